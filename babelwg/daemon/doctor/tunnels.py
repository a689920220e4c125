"""Checks of tunnels: the interface, its address, the endpoint, and why a handshake leads nowhere."""

import errno
import os
from base64 import b64encode
from collections.abc import Sequence
from ipaddress import ip_address

from babelwg.config import PeerConfig
from babelwg.daemon.doctor.finding import Finding, ago, fail, ok, times, warn
from babelwg.daemon.doctor.patient import Patient
from babelwg.daemon.incidents import Incidents, Kind
from babelwg.linux.tunnels.handshakes import SeenCaller
from babelwg.linux.tunnels.tunnel import ANY_ADDRESS, SocketAddress

DATA_PLANE_MEND = "systemctl restart babelwg-dataplane, or kill its process: another is started"
FORBIDDEN = os.strerror(errno.EPERM).lower()  # what netfilter answers to who sends
# What is put right at once and told for a while: the check, what happened, who may have done it, where to look
MENDED: dict[Kind, tuple[str, str, str, str]] = {
    "data-plane-lost": (
        "data-plane",
        "the data plane ended and was started again",
        "it was killed, or it crashed: its log says which",
        "tail /run/babelwg/dataplane.log; dmesg | grep -i oom",
    ),
    "address-lost": (
        "link-local",
        "the tunnel lost its link-local address, which was set again",
        "another program flushed its addresses, or set it down and up",
        "ip monitor address",
    ),
    "interface-lost": (
        "tunnel",
        "the tunnel vanished and was made again",
        "another program removed the interface",
        "ip monitor link",
    ),
    "interface-renamed": (
        "tunnel",
        "the tunnel's interface was renamed, and has its name back",
        "another program renamed it: a person, or a rule of udev or of a network manager",
        "ip monitor link",
    ),
    "tunnel-changed": (
        "allowed-ips",
        "somebody changed the tunnel, and it was set again",
        "`wg set` or `wg setconf`, or wg-quick with the same name",
        "wg show all",
    ),
    "sysctl-changed": (
        "sysctl",
        "a setting was changed, and set again",
        "another program or a file in /etc/sysctl.d",
        "grep -r net.ipv /etc/sysctl.conf /etc/sysctl.d /usr/lib/sysctl.d",
    ),
}


def check_tunnel(patient: Patient) -> list[Finding]:
    """Return what is to be said of one tunnel, from the interface to the session; the first fault hides the rest."""
    for check in (_interface, _link_local, _allowed_ips, _endpoint):
        finding = check(patient)
        if finding is not None:
            return [finding]
    up = ok("tunnel", patient.name, f"{patient.peer.interface} is up with its address")
    return [up, _session(patient), *_lost_names(patient)]


def check_twins(peers: Sequence[PeerConfig]) -> list[Finding]:
    """Return the peers that share an endpoint: one machine cannot be two of them on one port."""
    findings = []
    seen: dict[str, str] = {}
    for peer in peers:
        for endpoint in map(str, peer.endpoints):
            other = seen.setdefault(endpoint, peer.name)
            if other != peer.name:
                found = f"it has the same endpoint as {other}, {endpoint}"
                cause = "one of the two endpoints is a mistake, or both peers are one node"
                findings.append(warn("endpoint", peer.name, found, cause, "babelwg config show"))
    return findings


def check_mended(incidents: Incidents) -> list[Finding]:
    """Return what happened to tunnels lately, and has been put right since."""
    findings = []
    for kind, (check, words, cause, mend) in MENDED.items():
        for incident in incidents.lately(kind):
            found = f"{words}, {times(incident.times)}, {ago(incidents.age(incident))}"
            detail = f" ({incident.detail})" if incident.detail else ""
            findings.append(warn(check, incident.subject, found, cause + detail, mend))
    return findings


def _interface(patient: Patient) -> Finding | None:
    peer, problem = patient.peer, patient.tunnel_problem
    if patient.ipv6_disabled and patient.exists:
        cause = f"IPv6 is switched off on {peer.interface}, and Babel needs a link-local address there"
        mend = f"sysctl net.ipv6.conf.{peer.interface}.disable_ipv6=0"
        return fail("link-local", peer.name, "the tunnel has no link-local address", cause, mend)
    if problem is not None:
        found = "the tunnel does not work"
        if _is_about_data_plane(problem.reason):
            cause = f"its data plane is dead or hangs: {problem.reason}"
            return fail("data-plane", peer.name, found, cause, DATA_PLANE_MEND)
        return fail("tunnel", peer.name, found, problem.reason, problem.hint or None)
    if not patient.exists:
        cause = (
            f"the interface {peer.interface} is gone: somebody removed it; it is made again within seconds"
        )
        return fail("tunnel", peer.name, "there is no tunnel", cause, "babelwg doctor")
    if not patient.up:
        cause = "somebody set it down, or its data plane has ended"
        return fail(
            "tunnel", peer.name, f"{peer.interface} is down", cause, f"ip link set {peer.interface} up"
        )
    return None


def _is_about_data_plane(reason: str) -> bool:
    return "data plane" in reason or "/run/wireguard" in reason or reason.startswith("nothing serves")


def _link_local(patient: Patient) -> Finding | None:
    if patient.has_link_local:
        return None
    cause = "somebody removed it; it is set again within seconds"
    found = f"{patient.peer.interface} has no link-local address of ours"
    return fail("link-local", patient.name, found, cause, f"ip -6 address show dev {patient.peer.interface}")


def _allowed_ips(patient: Patient) -> Finding | None:
    state, interface = patient.state, patient.peer.interface
    if state is None:
        cause = "its WireGuard does not answer: is the process alive, and is it stopped?"
        return fail("data-plane", patient.name, "the tunnel does not tell its state", cause, DATA_PLANE_MEND)
    missing = set(ANY_ADDRESS) - (state.settings.allowed_ips if state.settings else frozenset())
    if not missing:
        return None
    found = f"AllowedIPs of {interface} lack {', '.join(sorted(missing))}"
    cause = "somebody used `wg set` or `wg setconf`; it is put back within half a minute"
    return fail("allowed-ips", patient.name, found, cause, f"wg show {interface} allowed-ips")


def _endpoint(patient: Patient) -> Finding | None:
    peer = patient.peer
    if patient.name_problem and patient.endpoint is None:
        host = next((e.host for e in peer.endpoints), "")
        cause = "the name is wrong, or this machine has no working DNS"
        return fail("endpoint", peer.name, patient.name_problem, cause, f"getent hosts {host}")
    if patient.endpoint is None and not patient.has_session and not peer.leaf_addresses:
        cause = "no endpoint is configured for it here, so it has to call us first"
        return warn(
            "endpoint", peer.name, "the peer has not called yet", cause, f"babelwg doctor  # on {peer.name}"
        )
    return None


def _lost_names(patient: Patient) -> list[Finding]:
    """Return that the peer would not be found again, though packets still go where it was last."""
    if not patient.name_problem:
        return []
    cause = "what is known of it is used as long as it lasts; after a restart it is not found"
    host = next((e.host for e in patient.peer.endpoints), "")
    return [warn("endpoint", patient.name, patient.name_problem, cause, f"getent hosts {host}")]


def _session(patient: Patient) -> Finding:
    """Return how the handshake goes; the surest sign first."""
    if patient.echoes or patient.hears:
        return ok("handshake", patient.name, f"last one {ago(patient.handshake_age or 0)}")
    for sign in (_wrong_preshared_key, _wrong_key_here, _wrong_key_there):
        if finding := sign(patient):
            return finding
    if patient.peer.leaf_addresses:
        heard = "never" if patient.handshake_age is None else ago(patient.handshake_age)
        return ok("handshake", patient.name, f"a leaf, which may sleep; last one {heard}")
    for sign in (_knock, _one_way):
        if finding := sign(patient):
            return finding
    return _silence(patient)


def _wrong_preshared_key(patient: Patient) -> Finding | None:
    age = patient.signs.refused
    if age is None or not patient.is_news(age):
        return None
    found = f"it answered our handshake {ago(age)}, but the answer cannot be read"
    cause = "the preshared keys differ, or only one side has one"
    mend = "compare preshared-key-file of both sides, then `babelwg reload`; `babelwg genpsk` makes a new one"
    return fail("handshake", patient.name, found, cause, mend)


def _wrong_key_here(patient: Patient) -> Finding | None:
    for caller in _recent_callers(patient):
        if caller.public_key:
            key = b64encode(caller.public_key).decode()
            found = f"no answer, but from {caller.address} somebody calls with a key that no peer has"
            cause = f"the public key of {patient.name} is wrong here: it seems to be {key}"
            mend = (
                f"compare with `babelwg config show` on {patient.name}, set public-key, then `babelwg reload`"
            )
            return fail("handshake", patient.name, found, cause, mend)
    return None


def _wrong_key_there(patient: Patient) -> Finding | None:
    for caller in _recent_callers(patient):
        if caller.knows_us_wrongly:
            found = f"no answer, but from {caller.address} somebody calls a key that is not ours"
            cause = f"the public key of this node is wrong on {patient.name}"
            return fail("handshake", patient.name, found, cause, f"on {patient.name}: set public-key to ours")
    return None


def _recent_callers(patient: Patient) -> list[SeenCaller]:
    return [caller for caller in patient.callers if patient.is_news(caller.age)]


def _knock(patient: Patient) -> Finding | None:
    outer, where = patient.probes.outer, _text(patient.endpoint)
    if outer is None or outer.outcome == "silent":
        return None
    if outer.outcome == "closed":
        cause = f"nobody listens on {where}: its daemon is not running, uses another port, or a firewall rejects it"
        mend = f"on {patient.name}: `babelwg status`, and compare listen-port with the endpoint here"
        return fail("handshake", patient.name, "the UDP port of the peer is closed", cause, mend)
    found = f"no packet can be sent to {where}: {outer.reason}"
    if outer.reason == FORBIDDEN:
        cause = "a firewall of this machine forbids it"
        return fail("handshake", patient.name, found, cause, "nft list ruleset; iptables -S OUTPUT")
    cause = "this machine has no route to it"
    host = where.rpartition(":")[0].strip("[]")
    return fail("handshake", patient.name, found, cause, f"ip route get {host}")


def _one_way(patient: Patient) -> Finding | None:
    if not patient.calls_in_vain:
        return None
    cause = f"UDP from us to {patient.name} is dropped on the way"
    if not patient.tells:
        cause += ", or the preshared keys differ"
    mend = f"on {patient.name}: allow UDP port {_port(patient.endpoint)} in its firewall"
    return fail("handshake", patient.name, "it calls us and does not hear our answers", cause, mend)


def _silence(patient: Patient) -> Finding:
    where, port = _text(patient.endpoint), _port(patient.endpoint)
    if patient.tunnel_drops:
        rule = patient.tunnel_drops[0]
        found = f"nothing arrives from {where}"
        return fail("handshake", patient.name, found, f"a rule here drops it: {rule}", rule.removal)
    if patient.probes.host_answers:
        found = f"{where} answers pings, and nothing else"
        cause = (
            f"UDP is dropped on the way, port {port} there or port {patient.port} here;"
            f" or {patient.name} has another public key than ours says, or does not know ours"
        )
        if not patient.tells:
            cause += '; or the preshared keys differ (backend = "embedded" tells such things apart)'
        mend = f"on {patient.name}: `babelwg doctor`, and its firewall for UDP port {port}"
        return fail("handshake", patient.name, found, cause, mend)
    found = f"nothing comes back from {where}"
    cause = "the machine is off, its address has changed, or a firewall drops everything"
    return fail("handshake", patient.name, found, cause, f"ping {where.rpartition(':')[0].strip('[]')}")


def _text(endpoint: SocketAddress | None) -> str:
    if endpoint is None:
        return "its last address"
    address = ip_address(endpoint[0])
    return f"[{address}]:{endpoint[1]}" if address.version == 6 else f"{address}:{endpoint[1]}"


def _port(endpoint: SocketAddress | None) -> int | str:
    return endpoint[1] if endpoint else "of the tunnel"
