"""All that an interface knows, sessions and timers too, as plain values and back: one process follows another.

The values hold secrets. They must be used once: two that send by one session would use its counters twice.
"""

from math import inf
from typing import Any

from babelwg.wireguard.allowedips import Network
from babelwg.wireguard.events import Endpoint, LocalAddress
from babelwg.wireguard.handshake import Handshake
from babelwg.wireguard.indices import IndexTable
from babelwg.wireguard.interface import Interface
from babelwg.wireguard.keypair import Keypair
from babelwg.wireguard.noise.handshake import SentInitiation, Transcript, TransportKeys
from babelwg.wireguard.peer import Peer
from babelwg.wireguard.refusals import Reason, Refusals
from babelwg.wireguard.timers import Timers

Values = dict[str, Any]  # of what JSON knows, with octets in hexadecimal and infinities

PEER = (
    "persistent_keepalive",
    "rx_bytes",
    "tx_bytes",
    "last_handshake",
    "_need_another_keepalive",
    "_sent_last_minute_handshake",
)
HANDSHAKE = ("refused", "jitter", "_index", "_initiated", "_last_consumed", "_last_sent", "_attempts")
STAMPS = ("greatest_timestamp", "_sent_timestamp")
KEYPAIR = ("created", "counter", "preferred")
SLOTS = ("previous", "current", "next")


def describe_interface(interface: Interface) -> Values:
    """Return all that an interface knows."""
    return {
        "mtu": interface.mtu,
        "mark": interface.mark,
        "private": interface.keys.private.hex() if interface.keys else "",
        "refusals": describe_refusals(interface.refusals),
        "peers": [_describe_peer(interface, peer) for peer in interface.peers.values()],
    }


def restore_interface(name: str, values: Values, indices: IndexTable) -> Interface:
    """Return an interface that knows all this, to be attached to a device with these indices."""
    interface = Interface(name, values["mtu"])
    interface.set_private_key(bytes.fromhex(values["private"]) or bytes(32))
    interface.mark = values["mark"]
    interface.refusals.update(restore_refusals(values["refusals"]))
    for each in values["peers"]:
        _restore_peer(interface, each, indices)
    return interface


def describe_refusals(refusals: Refusals) -> Values:
    """Return how often something was refused, by reason."""
    return {str(reason): count for reason, count in refusals.items()}


def restore_refusals(values: Values) -> Refusals:
    """Return the counters that these values are of; reasons that are not known any more are left out."""
    known = {str(reason): reason for reason in Reason}
    return Refusals({known[name]: count for name, count in values.items() if name in known})


def _describe_peer(interface: Interface, peer: Peer) -> Values:
    keypairs = {slot: getattr(peer.keypairs, slot) for slot in SLOTS}
    return {
        "public": peer.public_key.hex(),
        "preshared": peer.preshared_key.hex(),
        "allowed_ips": [str(network) for network in interface.allowed_ips.of(peer)],
        "endpoint": _describe_endpoint(peer.endpoint),
        "fields": {name: getattr(peer, name) for name in PEER},
        "timers": {name: getattr(peer.timers, name) for name in Timers.__slots__},
        "staged": [packet.hex() for packet in peer.staged],
        "handshake": _describe_handshake(peer.handshake),
        "nudges": [peer.nudges.seen, peer.nudges.sent],
        "keypairs": {slot: _describe_keypair(pair) for slot, pair in keypairs.items() if pair is not None},
    }


def _restore_peer(interface: Interface, values: Values, indices: IndexTable) -> None:
    peer = Peer(interface, bytes.fromhex(values["public"]))
    interface.peers[peer.public_key] = peer
    peer.preshared_key = bytes.fromhex(values["preshared"])
    for network in values["allowed_ips"]:
        interface.allowed_ips.add(Network.parse(network), peer)
    peer.endpoint = _restore_endpoint(values["endpoint"], interface.mark)
    for name in PEER:
        setattr(peer, name, values["fields"][name])
    for name in Timers.__slots__:
        # Who is replaced may not have known all of them.
        setattr(peer.timers, name, values["timers"].get(name, inf))
    peer.staged.extend(bytes.fromhex(packet) for packet in values["staged"])
    _restore_handshake(peer, values["handshake"], indices)
    peer.nudges.seen, peer.nudges.sent = values.get("nudges", (0, 0))
    for slot, each in values["keypairs"].items():
        keypair = _restore_keypair(peer, each)
        setattr(peer.keypairs, slot, keypair)
        indices.sessions[keypair.local_index] = keypair


def _describe_endpoint(endpoint: Endpoint | None) -> Values | None:
    if endpoint is None:
        return None
    local = endpoint.local and (endpoint.local.address.hex(), endpoint.local.interface_index)
    return {"remote": endpoint.remote, "local": local}


def _restore_endpoint(values: Values | None, mark: int) -> Endpoint | None:
    if values is None:
        return None
    local = values["local"] and LocalAddress(bytes.fromhex(values["local"][0]), values["local"][1])
    return Endpoint(tuple(values["remote"]), local, mark)


def _describe_handshake(handshake: Handshake) -> Values:
    values: Values = {name: getattr(handshake, name) for name in HANDSHAKE}
    values |= {name: getattr(handshake, name).hex() for name in STAMPS}
    jar = handshake.jar
    values["cookie"] = ((jar.last_mac1 or b"").hex(), (jar.cookie or b"").hex(), jar.received)
    if (sent := handshake._initiation) is not None:
        secrets = (sent._ephemeral, sent._transcript.chain, sent._transcript.hash)
        values["initiation"] = [secret.hex() for secret in secrets]
    return values


def _restore_handshake(peer: Peer, values: Values, indices: IndexTable) -> None:
    handshake = peer.handshake
    for name in HANDSHAKE:
        setattr(handshake, name, values[name])
    for name in STAMPS:
        setattr(handshake, name, bytes.fromhex(values[name]))
    last_mac1, cookie, handshake.jar.received = values["cookie"]
    handshake.jar.last_mac1, handshake.jar.cookie = (
        bytes.fromhex(last_mac1) or None,
        bytes.fromhex(cookie) or None,
    )
    if "initiation" in values:
        ephemeral, chain, digest = (bytes.fromhex(secret) for secret in values["initiation"])
        transcript = Transcript(b"")
        transcript.chain, transcript.hash = chain, digest
        handshake._initiation = SentInitiation(transcript, ephemeral)
        indices.handshakes[handshake._index] = peer


def _describe_keypair(keypair: Keypair) -> Values:
    return {
        "keys": [keypair.sending.octets().hex(), keypair.receiving.octets().hex()],
        "indices": [keypair.local_index, keypair.remote_index],
        "initiator": keypair.initiator,
        "replay": keypair.replay.values(),
        "fields": {name: getattr(keypair, name) for name in KEYPAIR},
    }


def _restore_keypair(peer: Peer, values: Values) -> Keypair:
    mine, theirs = (bytes.fromhex(key) for key in values["keys"])
    keys = TransportKeys(mine, theirs) if values["initiator"] else TransportKeys(theirs, mine)
    local, remote = values["indices"]
    keypair = Keypair(peer, keys, values["initiator"], local, remote, created=0.0)
    for name in KEYPAIR:
        setattr(keypair, name, values["fields"][name])
    keypair.replay.set_values(*values["replay"])
    return keypair
