"""Checks of routes and rules: refused, missing, shadowed, clashing."""

import errno
from typing import Any

import pytest

from babelwg.babel.wire.prefix import Prefix
from babelwg.daemon.doctor.routes import (
    check_clashes,
    check_lost,
    check_present,
    check_refused,
    check_rules,
    check_shadows,
    check_tables,
)
from babelwg.daemon.doctor.system import check_forward_chains
from babelwg.daemon.incidents import Incidents
from babelwg.linux.foreignrules import Coverage, ForeignRule, catches, read_foreign_rule
from babelwg.linux.netlink import RTM_NEWRULE, Message, Refusal, pack_attribute
from babelwg.linux.nftables import closed_forwards, udp_drops
from babelwg.linux.routes import THROW, U32, UNREACHABLE, Place, Route
from babelwg.linux.rules import RULE, desired_rules, pack_rule

P1, P2, V4 = Prefix.parse("fd00::1/128"), Prefix.parse("fd00::2/128"), Prefix.parse("10.0.0.2/32")
US, THEM, OTHERS = b"u" * 8, b"t" * 8, b"o" * 8


def rule(**changes: Any) -> ForeignRule:
    values: dict[str, Any] = {"family": 6, "priority": 100, "table": 999, "refuses": False}
    return ForeignRule(**{**values, "to": None, "narrow": False, "least": 0, **changes})


@pytest.mark.parametrize(
    ("code", "words"),
    [(errno.EEXIST, "another program holds"), (errno.EINVAL, "preferred source"), (errno.ENOSPC, "is full")],
)
def test_a_refused_route_has_a_likely_cause(code: int, words: str) -> None:
    (finding,) = check_refused({P1: Refusal(code, "said so")})
    assert (finding.subject, finding.verdict) == ("fd00::1/128", "fail")
    assert words in (finding.cause or "")
    assert errno.errorcode[code] in finding.found


def test_many_refused_routes_are_summed_up() -> None:
    refused = {Prefix.parse(f"fd00::{i}/128"): Refusal(0, "it covers an endpoint") for i in range(1, 9)}
    findings = check_refused(refused)
    assert len(findings) == 6
    # It was not the kernel that refused these.
    assert findings[0].found == "the selected route is not installed"
    assert findings[0].cause == "it covers an endpoint"
    assert findings[-1].found == "3 more routes are refused"
    assert check_refused({})[0].verdict == "ok"


def test_routes_that_the_kernel_has_not_are_told() -> None:
    routes = [(P1, Route(P1, 6696)), (P2, Route(P2, 6696))]
    assert check_present(routes, [r for _, r in routes], [])[0].verdict == "ok"
    changed = Route(P1, 6696, UNREACHABLE)
    (finding,) = check_present(routes, [changed, routes[1][1]], ["BIRD"])
    assert finding.found == "1 route we want and the kernel has not: fd00::1/128"
    assert "(here runs BIRD)" in (finding.cause or "")


def test_what_was_put_back_is_a_warning() -> None:
    incidents = Incidents()
    assert check_lost(incidents, []) == []
    incidents.note("route-lost", "routes", "x", 7)
    incidents.note("rule-lost", "6696 (IPv6)")
    findings = check_lost(incidents, ["systemd-networkd"])
    assert [(f.check, f.verdict) for f in findings] == [("routes", "warn"), ("rules", "warn")]
    assert findings[0].found.startswith("7 times a route was removed")


def test_missing_rules_are_told() -> None:
    desired = desired_rules(6696, 1)
    assert check_rules(desired, desired)[0].verdict == "ok"
    (finding,) = check_rules(desired, {r for r in desired if (r.family, r.priority) != (4, 6696)})
    assert finding.found == "policy rules of ours are missing: 6696 (IPv4)"


def test_a_rule_of_others_shadows_only_what_its_table_has_a_way_for() -> None:
    default, throw = Route(Prefix.parse("::/0"), 999), Route(P1, 999, THROW)
    assert catches(rule(), P1, Coverage([default]))
    assert not catches(rule(), V4, Coverage([default]))
    assert not catches(rule(), P1, Coverage([throw]))
    assert not catches(rule(), P1, Coverage([]))
    assert not catches(rule(narrow=True), P1, Coverage([default]))
    assert not catches(rule(to=Prefix.parse("fd01::/16")), P1, Coverage([default]))
    assert catches(rule(to=Prefix.parse("fd00::/16")), P1, Coverage([default]))
    assert not catches(rule(least=1), P1, Coverage([default]))
    assert catches(rule(refuses=True), P1, Coverage([]))
    (finding,) = check_shadows([rule()], {999: [default]}, [P1, P2])
    assert (finding.subject, finding.verdict) == ("rule 100", "fail")
    assert finding.found == "packets to fd00::1/128, fd00::2/128 do not follow our routes"
    assert check_shadows([rule()], {999: []}, [P1])[0].verdict == "ok"


def message(*parts: bytes, action: int = 1, flags: int = 0, table: int = 0, to_plen: int = 0) -> Message:
    head = RULE.pack(10, to_plen, 0, 0, table, 0, 0, action, flags)
    return Message(RTM_NEWRULE, 0, 1, memoryview(head + b"".join(parts)))


def test_foreign_rules_are_read_from_the_kernel() -> None:
    table, priority = pack_attribute(15, U32.pack(999)), pack_attribute(6, U32.pack(100))
    none = pack_attribute(14, U32.pack(0xFFFFFFFF))
    assert read_foreign_rule(message(table, priority, none)) == rule()
    assert read_foreign_rule(message(table, priority, pack_attribute(14, U32.pack(0)))) == rule(least=1)
    to = pack_attribute(1, P1.network)
    assert read_foreign_rule(message(table, priority, to, to_plen=128)) == rule(to=P1)
    mark = pack_attribute(10, U32.pack(7))
    assert read_foreign_rule(message(table, priority, mark)) == rule(narrow=True)
    assert read_foreign_rule(message(table, priority, mark, flags=2)) == rule()  # "not fwmark 7"
    assert read_foreign_rule(message(priority, action=7)) == rule(table=0, refuses=True)
    assert read_foreign_rule(message(table=255)) is None
    for ours in desired_rules(6696, 1):
        payload = pack_rule(ours)
        assert read_foreign_rule(Message(RTM_NEWRULE, 0, 1, payload)) is None


def test_strangers_in_our_table_are_a_warning() -> None:
    def nothing(place: Place) -> None:
        del place

    assert check_tables(6696, [], nothing)[0].verdict == "ok"
    strange = Route(P1, 6696, protocol=186)
    (finding,) = check_tables(6696, [strange], nothing)
    assert (finding.verdict, "holds 1 route of another program" in finding.found) == ("warn", True)
    # Beside ours, the smaller metric takes the packets.
    ours = {(6696, P1): Route(P1, 6696)}
    (finding,) = check_tables(6696, [strange._replace(priority=2000)], ours.get)
    assert finding.verdict == "warn"
    (finding,) = check_tables(6696, [strange._replace(priority=5)], ours.get)
    assert (finding.verdict, finding.found) == ("fail", "packets to fd00::1/128 do not follow our routes")
    assert finding.mend == "ip -6 route del fd00::1/128 table 6696 metric 5"
    # In a table that others share, only what is in our way is worth a word.
    assert check_tables(6696, [strange], nothing, shared=True) == []
    (finding,) = check_tables(6696, [strange._replace(priority=5)], ours.get, shared=True)
    assert finding.verdict == "fail"


def test_an_address_of_ours_that_another_announces_is_a_clash() -> None:
    network = Prefix.parse("fd00:1::/64")
    announced = [(P1, "bravo", THEM), (P2, "bravo", THEM), (network, "bravo", THEM), (P1, "us", US)]
    (finding,) = check_clashes({P1, network}, announced, US)
    assert (finding.subject, finding.verdict) == ("fd00::1", "fail")
    assert "the other one is bravo" in (finding.cause or "")
    (finding,) = check_clashes({P1}, [(P2, "bravo", THEM), (P2, "carol", OTHERS)], US)
    assert (finding.subject, finding.verdict) == ("fd00::2", "warn")
    assert check_clashes({P1}, [(P2, "x", THEM), (P2, "x", THEM)], US)[0].verdict == "ok"
    # What this node announces besides its own addresses may be meant to be everywhere.
    (finding,) = check_clashes({P1}, [(P2, "bravo", THEM)], US, {P2})
    assert (finding.verdict, finding.found) == ("warn", "2 nodes announce it")
    assert "(bravo, this node)" in (finding.cause or "")


def nft_rule(*expressions: Any, handle: int = 1) -> dict[str, Any]:
    place = {"family": "inet", "table": "filter", "chain": "in", "handle": handle}
    return {"rule": {**place, "expr": list(expressions)}}


def dport(right: Any, op: str = "==", protocol: str = "udp") -> dict[str, Any]:
    return {
        "match": {"op": op, "left": {"payload": {"protocol": protocol, "field": "dport"}}, "right": right}
    }


def test_rules_that_drop_a_port_are_found() -> None:
    drop, accept = {"drop": None}, {"accept": None}
    interface = {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": "bw-b"}}
    ruleset = [
        {"chain": {"family": "inet", "table": "filter", "name": "in", "hook": "input"}},
        nft_rule(dport(6696), accept, handle=1),
        nft_rule(interface, dport(6696), drop, handle=2),
        nft_rule(dport(53), drop, handle=3),
        nft_rule(dport({"set": [53, {"range": [6000, 7000]}]}), {"reject": {}}, handle=4),
        nft_rule(dport(53, "!="), drop, handle=5),
        nft_rule(dport(6696, protocol="tcp"), drop, handle=6),
        nft_rule(dport(6696, protocol="th"), drop, handle=7),
    ]
    found = udp_drops(ruleset, 6696)
    assert [(r.handle, r.hook) for r in found] == [(2, "input"), (4, "input"), (5, "input"), (7, "input")]
    assert found[0].interfaces == {"bw-b"}
    assert found[0].removal == "nft delete rule inet filter in handle 2"


def forward(policy: str, *rules: list[Any], more: tuple[list[Any], ...] = ()) -> list[dict[str, Any]]:
    """Return a table with a chain `f` at the hook for what is forwarded, and a chain `user` beside it."""
    place = {"family": "inet", "table": "fw"}
    found: list[dict[str, Any]] = [{"chain": place | {"name": "f", "hook": "forward", "policy": policy}}]
    found += [{"rule": place | {"chain": "f", "expr": rule}} for rule in rules]
    return found + [{"rule": place | {"chain": "user", "expr": rule}} for rule in more]


def iif(name: str) -> dict[str, Any]:
    return {"match": {"op": "==", "left": {"meta": {"key": "iifname"}}, "right": name}}


KNOWN = {"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": ["established", "related"]}}
ACCEPT, DROP, COUNTER = {"accept": None}, {"drop": None}, {"counter": {"packets": 0, "bytes": 0}}
JUMP = {"jump": {"target": "user"}}


@pytest.mark.parametrize(
    ("ruleset", "closed"),
    [
        (forward("drop"), True),
        (
            forward("drop", [KNOWN, ACCEPT], [iif("docker0"), ACCEPT], [JUMP], more=([{"return": None}],)),
            True,
        ),
        (forward("drop", more=([ACCEPT],)), True),
        (forward("accept", [COUNTER, DROP]), True),
        (forward("drop", [{"xt": {"type": "match", "name": "conntrack"}}, ACCEPT]), True),
        (forward("accept", [iif("eth0"), DROP]), False),
        (forward("drop", [iif("bw-*"), ACCEPT]), False),
        (forward("drop", [JUMP], more=([iif("bw-b"), ACCEPT],)), False),
        (forward("drop", [dport(53), ACCEPT]), False),
        ([{"chain": {"family": "ip", "table": "t", "name": "i", "hook": "input", "policy": "drop"}}], False),
    ],
)
def test_a_chain_that_forwards_nothing_is_found(ruleset: list[Any], closed: bool) -> None:
    assert [str(chain) for chain in closed_forwards(ruleset, ["bw-b", "bw-c"])] == ["inet fw f"] * closed


def test_who_relays_for_nobody_may_forward_nothing() -> None:
    assert check_forward_chains(forward("drop"), ["bw-b"]) == []
    (finding,) = check_forward_chains(forward("drop"), ["bw-b", "bw-c"])
    assert (finding.verdict, finding.mend) == (
        "fail",
        "nft 'insert rule inet fw f iifname \"bw-*\" accept'",
    )
    (finding,) = check_forward_chains(forward("drop"), ["bw-b", "tun7"])
    assert "iifname { bw-b, tun7 } accept" in (finding.mend or "")
