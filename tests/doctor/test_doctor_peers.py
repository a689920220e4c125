"""The cause that doctor names for each state of a peer, from signs alone."""

from dataclasses import replace
from typing import Any

import pytest

from babelwg.babel.snapshot import NeighbourView
from babelwg.babel.wire.prefix import Prefix
from babelwg.config import Endpoint, PeerConfig
from babelwg.config.keys import generate_private, public_of
from babelwg.daemon.doctor.babel import check_keys, check_link, check_seqno
from babelwg.daemon.doctor.patient import Patient, Probes
from babelwg.daemon.doctor.tunnels import check_mended, check_tunnel, check_twins
from babelwg.daemon.incidents import Incidents
from babelwg.daemon.tunnel_notes import Problem
from babelwg.linux.nftables import DropRule
from babelwg.linux.probes.knock import Knock
from babelwg.linux.tunnels.handshakes import SeenCaller, SignAges
from babelwg.linux.tunnels.tunnel import ANY_ADDRESS, Settings, TunnelState

KEY = public_of(generate_private())
OTHER = b"\x42" * 32
WHERE = (bytes([192, 0, 2, 2]), 51820)
PEER = PeerConfig("bravo", KEY, "bw-bravo", (Endpoint("bravo.example", 51820),))
SETTINGS = Settings(KEY.octets, bytes(32), 0, 0, 51820, frozenset(ANY_ADDRESS))
STATE = TunnelState(WHERE, 1.0, 10, 10, 51820, SETTINGS)
RULE = DropRule("inet", "filter", "in", 7, "input", frozenset())
NEIGHBOUR = NeighbourView("bw-bravo", bytes(16), 0xFFFF, 0, 96, 96, 96, 0.0, 4.0, 1.0, 3, True, None, None)
HEALTHY = Patient(
    peer=PEER,
    exists=True,
    up=True,
    has_link_local=True,
    ipv6_disabled=False,
    port=51820,
    endpoint=WHERE,
    state=STATE,
    handshake_age=30.0,
    neighbour=NEIGHBOUR,
    probes=Probes({128: 0.01, 1420: 0.01}, 1420),
)
SILENT = Probes(outer=Knock("silent"), host_answers=True)
DEAD = replace(HEALTHY, neighbour=None, probes=SILENT, handshake_age=None)
ONE_WAY = replace(NEIGHBOUR, txcost=65535, cost=65535)


def caller(reason: str, key: bytes = b"", age: float = 2.0) -> SeenCaller:
    return SeenCaller(reason, "192.0.2.2", 51820, key, 3, age)


def test_a_healthy_peer_has_no_fault() -> None:
    findings = check_tunnel(HEALTHY) + check_link(HEALTHY)
    assert [(f.check, f.verdict) for f in findings] == [
        ("tunnel", "ok"),
        ("handshake", "ok"),
        ("link", "ok"),
        ("mtu", "ok"),
    ]


CASES: dict[str, tuple[Patient, str, str, str]] = {
    "data plane": (
        replace(HEALTHY, tunnel_problem=Problem("nothing serves /run/wireguard/x.sock")),
        "data-plane",
        "dead or hangs",
        "babelwg-dataplane",
    ),
    "taken port": (
        replace(HEALTHY, tunnel_problem=Problem("UDP port 1 is taken by another program", "set another")),
        "tunnel",
        "is taken by another program",
        "set another",
    ),
    "no interface": (replace(HEALTHY, exists=False), "tunnel", "is gone", "babelwg doctor"),
    "down": (replace(HEALTHY, up=False), "tunnel", "set it down", "ip link set bw-bravo up"),
    "no IPv6": (replace(HEALTHY, ipv6_disabled=True), "link-local", "IPv6 is switched off", "disable_ipv6=0"),
    "no link-local": (replace(HEALTHY, has_link_local=False), "link-local", "somebody removed it", "ip -6"),
    "allowed IPs": (
        replace(HEALTHY, state=replace(STATE, settings=replace(SETTINGS, allowed_ips=frozenset(["::/0"])))),
        "allowed-ips",
        "wg set",
        "wg show bw-bravo",
    ),
    "no state": (replace(HEALTHY, state=None), "data-plane", "does not answer", "babelwg-dataplane"),
    "no name": (
        replace(DEAD, endpoint=None, name_problem="bravo.example does not resolve: unknown"),
        "endpoint",
        "no working DNS",
        "getent hosts bravo.example",
    ),
    "preshared key": (
        replace(DEAD, signs=SignAges(1.0, None, 1.0), callers=(caller("wrong-mac1"),)),
        "handshake",
        "preshared keys differ",
        "preshared-key-file",
    ),
    "wrong key here": (
        replace(DEAD, callers=(caller("wrong-mac1"), caller("unknown-peer", OTHER))),
        "handshake",
        "it seems to be QkJC",
        "config show",
    ),
    "wrong key there": (
        replace(DEAD, callers=(caller("wrong-mac1"),)),
        "handshake",
        "public key of this node is wrong on bravo",
        "on bravo",
    ),
    "port closed": (
        replace(DEAD, probes=Probes(outer=Knock("closed"))),
        "handshake",
        "nobody listens on 192.0.2.2:51820",
        "on bravo: `babelwg status`",
    ),
    "no way": (
        replace(DEAD, probes=Probes(outer=Knock("unreachable", "network is unreachable"))),
        "handshake",
        "has no route to it",
        "ip route get 192.0.2.2",
    ),
    "no right": (
        replace(DEAD, probes=Probes(outer=Knock("unreachable", "operation not permitted"))),
        "handshake",
        "a firewall of this machine",
        "nft list ruleset",
    ),
    "one way": (
        replace(DEAD, signs=SignAges(1.0, 1.0, None)),
        "handshake",
        "UDP from us to bravo is dropped",
        "allow UDP port 51820",
    ),
    "one way, by octets": (
        replace(DEAD, grows=True, tells=False),
        "handshake",
        "or the preshared keys differ",
        "allow UDP",
    ),
    "one way, by octets before": (
        replace(DEAD, tells=False),
        "handshake",
        "or the preshared keys differ",
        "allow UDP",
    ),
    "silence of a back end that tells little": (
        replace(DEAD, tells=False, state=replace(STATE, rx_bytes=0)),
        "handshake",
        'or the preshared keys differ (backend = "embedded"',
        "its firewall",
    ),
    "a rule here": (
        replace(DEAD, tunnel_drops=(RULE,)),
        "handshake",
        "inet filter in handle 7",
        "nft delete",
    ),
    "silence": (DEAD, "handshake", "UDP is dropped on the way", "its firewall"),
    "nothing at all": (
        replace(DEAD, probes=Probes(outer=Knock("silent"), host_answers=False)),
        "handshake",
        "the machine is off",
        "ping 192.0.2.2",
    ),
    "6696 filtered here": (
        replace(HEALTHY, neighbour=None, babel_drops=(RULE,)),
        "firewall",
        "6696 is filtered inside the tunnel by a rule here",
        "nft delete rule inet filter in handle 7",
    ),
    "6696 filtered somewhere": (replace(HEALTHY, neighbour=None), "firewall", "here or on bravo", "6696"),
    "no speaker": (
        replace(HEALTHY, neighbour=None, probes=replace(HEALTHY.probes, babel=Knock("closed"))),
        "link",
        "no Babel speaker runs on bravo",
        "systemctl start",
    ),
    "no IHU": (
        replace(HEALTHY, neighbour=ONE_WAY),
        "one-way",
        "filtered inside the tunnel on bravo",
        "on bravo: allow UDP port 6696",
    ),
    "one way below": (
        replace(HEALTHY, neighbour=ONE_WAY, probes=SILENT),
        "one-way",
        "UDP from us to bravo is dropped",
        "51820",
    ),
    "black hole": (
        replace(HEALTHY, probes=Probes({128: 0.01, 1372: 0.01}, 1420)),
        "mtu",
        "black hole",
        "set mtu = 1372",
    ),
    "black hole below IPv6": (
        replace(HEALTHY, probes=Probes({128: 0.01, 900: 0.01}, 1420)),
        "mtu",
        "black hole",
        "raise the MTU of the underlay",
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_each_state_has_its_one_cause(name: str) -> None:
    patient, check, cause, mend = CASES[name]
    faults = [f for f in check_tunnel(patient) + check_link(patient) if f.verdict == "fail"]
    assert [f.check for f in faults] == [check]
    assert cause in (faults[0].cause or "")
    assert mend in (faults[0].mend or "")


@pytest.mark.parametrize(
    "change",
    [
        {"signs": SignAges(1.0, 11.0, 11.0)},  # from before the last handshake
        {"signs": SignAges(1.0, 9.0, 9.0)},  # crossed with it
        {"callers": (caller("wrong-mac1", age=11.0),)},
    ],
)
def test_old_signs_are_no_news(change: dict[str, Any]) -> None:
    patient = replace(DEAD, handshake_age=10.0, **change)
    (_, session) = check_tunnel(patient)
    assert "UDP is dropped on the way, port" in (session.cause or "")


def test_a_peer_that_has_not_called_is_a_warning() -> None:
    peer = replace(PEER, endpoints=())
    (finding,) = check_tunnel(replace(DEAD, peer=peer, endpoint=None))
    assert (finding.verdict, finding.found) == ("warn", "the peer has not called yet")


def test_a_leaf_may_sleep_and_still_have_a_wrong_key() -> None:
    leaf = replace(PEER, endpoints=(), leaf_addresses=(Prefix.parse("10.9.0.1/32"),))
    asleep = replace(DEAD, peer=leaf, endpoint=None, probes=Probes(), handshake_age=4000.0)
    assert [f.verdict for f in check_tunnel(asleep) + check_link(asleep)] == ["ok", "ok"]
    (_, session) = check_tunnel(replace(asleep, callers=(caller("wrong-mac1"),)))
    assert "public key of this node is wrong" in (session.cause or "")


def test_a_name_that_resolves_no_more_is_a_warning_while_the_session_lasts() -> None:
    findings = check_tunnel(replace(HEALTHY, name_problem="bravo.example does not resolve: unknown"))
    assert [f.verdict for f in findings if f.check in ("handshake", "endpoint")] == ["ok", "warn"]


def test_a_lossy_link_is_a_warning() -> None:
    (finding, _) = check_link(replace(HEALTHY, neighbour=replace(NEIGHBOUR, loss=0.3)))
    assert (finding.verdict, finding.found) == ("warn", "30% of its Hellos are lost")


def test_two_peers_with_one_endpoint_are_told() -> None:
    twin = replace(PEER, name="twin", interface="bw-twin")
    (finding,) = check_twins([PEER, twin])
    assert finding.subject == "twin"
    assert "bravo" in finding.found
    assert check_twins([PEER, replace(twin, endpoints=(Endpoint("bravo.example", 51821),))]) == []


def test_what_was_mended_is_told() -> None:
    incidents = Incidents()
    incidents.note("data-plane-lost", "data plane")
    incidents.note("sysctl-changed", "ipv4/ip_forward", "it was 0")
    plane, sysctl = check_mended(incidents)
    assert (plane.check, plane.verdict) == ("data-plane", "warn")
    assert "it was 0" in (sysctl.cause or "")


def test_a_seqno_behind_the_neighbours_is_a_fault() -> None:
    incidents = Incidents()
    assert check_seqno(incidents)[0].verdict == "ok"
    incidents.note("seqno-behind", "own seqno")
    (finding,) = check_seqno(incidents)
    assert (finding.verdict, "old copy of its state" in (finding.cause or "")) == ("fail", True)


def test_wrong_macs_are_a_warning() -> None:
    (finding,) = check_keys([("packet_dropped.mac-wrong", 4), ("packet_dropped.mac-missing", 0), ("x", 9)])
    assert "4 packets of Babel with a wrong MAC" in finding.found
