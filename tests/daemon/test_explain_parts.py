"""The parts of an explanation one by one: what is absent, what is equal, and who is named first."""

from ipaddress import ip_address
from types import SimpleNamespace
from typing import Any

import pytest

from babelwg.babel.explain import PeerAddress, Refused, Waiting
from babelwg.babel.wire.prefix import Prefix
from babelwg.daemon.control import RequestError
from babelwg.daemon.explain.candidates import describe_refused, describe_waiting
from babelwg.daemon.explain.kernelview import Agreement, compare, describe_kernel
from babelwg.daemon.explain.sentence import answer
from babelwg.daemon.explain.subject import MAX_TEXT, Subject, longest, read_subject
from babelwg.linux.routes import LOCAL, UNICAST, UNREACHABLE, Route

NEAR = bytes.fromhex("fe80") + bytes(13) + b"\x02"
P, SHORTER = Prefix.parse("10.1.0.0/16"), Prefix.parse("10.0.0.0/8")
BETTER: Any = SimpleNamespace(view=SimpleNamespace(interface="bw-bravo", neighbour=NEAR, metric=96))
CONTEXT: Any = SimpleNamespace(names=SimpleNamespace(neighbour=lambda interface, address: "bravo"))
WANTED: Any = SimpleNamespace(next_hop=NEAR, interface="bw-bravo")
INTERFACES = {3: "bw-bravo", 4: "eth0"}
SESSIONS = [{"peer": name} for name in ("bravo", "charlie", "delta", "echo")]


def kernel(prefix: Prefix = P, kind: int = UNICAST, interface: int = 3) -> Route:
    return Route(prefix, 254, kind, NEAR, interface)


@pytest.mark.parametrize(
    ("clearly", "again", "told"), [(None, 0.5, (None, 0.5)), (0.25004, -0.5, (0.25, 0.0))]
)
def test_a_better_route_tells_how_long_it_waits(
    clearly: float | None, again: float, told: tuple[float | None, float]
) -> None:
    waiting = describe_waiting(CONTEXT, Waiting(BETTER, clearly, again, "words"))
    assert waiting is not None
    assert (waiting["clearly_better_s"], waiting["again_s"]) == told
    assert (waiting["via"], waiting["metric"]) == ("bravo", 96)


@pytest.mark.parametrize(("router_id", "text"), [(bytes(range(8)), "00:01:02:03:04:05:06:07"), (None, None)])
def test_what_was_refused_has_a_router_id_where_one_was_told(
    router_id: bytes | None, text: str | None
) -> None:
    refused: Any = Refused(PeerAddress("bw-bravo", NEAR), "own-router-id", "words", router_id, 7, 96, 1.0)  # type: ignore[arg-type]
    assert describe_refused(CONTEXT, refused)["router_id"] == text


@pytest.mark.parametrize(
    ("prefix", "interface", "told"),
    [(P, 3, ("10.1.0.0/16", "bw-bravo")), (None, 0, (None, None))],
)
def test_a_kernels_route_tells_what_led_to_it_and_where_it_leads(
    prefix: Prefix | None, interface: int, told: tuple[str | None, str | None]
) -> None:
    data = describe_kernel(kernel(interface=interface), INTERFACES.__getitem__, prefix)
    assert (data["prefix"], data["interface"]) == told


@pytest.mark.parametrize(
    ("prefix", "found", "agrees", "words"),
    [
        (None, kernel(SHORTER), True, "the kernel agrees: via fe80::2 on bw-bravo table main"),
        (P, kernel(), True, "the kernel agrees: via fe80::2 on bw-bravo table main"),
        (P, kernel(SHORTER), False,
         "the kernel goes by 10.0.0.0/8, via fe80::2 on bw-bravo table main: ours is not there"),
        (None, kernel(SHORTER, interface=4), False,
         "the kernel goes via fe80::2 on eth0 table main, and not via fe80::2 on bw-bravo"),
        (P, kernel(interface=4), False,
         "the kernel goes via fe80::2 on eth0 table main, and not via fe80::2 on bw-bravo"),
        (P, None, False, "the kernel has no way: somebody removed the route, or forbids it"),
        (P, kernel(kind=LOCAL), False, "the kernel has no way: somebody removed the route, or forbids it"),
    ],
)  # fmt: skip
def test_the_kernel_is_compared_by_prefix_and_way(
    prefix: Prefix | None, found: Route | None, agrees: bool, words: str
) -> None:
    assert compare(prefix, WANTED, found, INTERFACES.__getitem__) == Agreement(agrees, words)


@pytest.mark.parametrize(
    ("prefix", "found", "words"),
    [
        (P, None, "the kernel refuses such packets"),
        (P, kernel(kind=UNREACHABLE), "the kernel refuses such packets"),
        (P, kernel(kind=LOCAL), "the kernel keeps such packets: the address is this node's"),
        (P, kernel(SHORTER), "the kernel goes by 10.0.0.0/8, via fe80::2 on bw-bravo table main"),
        (P, kernel(), "the kernel goes via fe80::2 on bw-bravo table main"),
        (None, kernel(SHORTER), "the kernel goes via fe80::2 on bw-bravo table main"),
    ],
)
def test_without_a_wish_of_ours_the_kernels_way_is_told(
    prefix: Prefix | None, found: Route | None, words: str
) -> None:
    agreement = compare(prefix, None, found, INTERFACES.__getitem__)
    assert (agreement.agrees, agreement.words) == (None, words)


def said(outcome: str, requests: list[dict[str, Any]], sessions: list[dict[str, str]] = []) -> str:  # noqa: B006  # never changed
    explanation: Any = SimpleNamespace(outcome=outcome, why="why", refused=(), held=None)
    data = {"prefix": "P", "route": None, "requests": requests, "sessions": sessions, "candidates": []}
    return answer(explanation, data, None)


def request(seqno: int, age: float, for_us: bool = True) -> dict[str, Any]:
    return {"seqno": seqno, "age_s": age, "sent_s": age, "for_us": for_us, "targets": ["bravo"]}


def test_of_several_requests_of_ours_the_oldest_is_told_and_only_where_a_newer_seqno_helps() -> None:
    both = [request(8, 0.5), request(9, 2.0), request(10, 9.0, for_us=False)]
    assert said("unfeasible", both) == "P has no route: why; seqno 9 was requested from bravo 2.0 s ago"
    assert said("unfeasible", both[2:]) == "P has no route: why"
    assert said("unconfirmed", both) == "P has no route: why"


def test_three_peers_without_a_session_are_named_and_more_are_counted() -> None:
    assert said("unknown", [], SESSIONS[:3]).endswith("no Babel session with bravo, charlie, delta")
    assert said("unknown", [], SESSIONS).endswith("no Babel session with bravo, charlie, delta and 1 more")
    assert said("unfeasible", [], SESSIONS) == "P has no route: why"


@pytest.mark.parametrize(
    ("source", "meant"),
    [
        (None, "::/0 from fd00::/16"),
        ("fd00::1", "::/0 from fd00::/16"),
        ("fe00::1", "2001:db9::1/128"),
    ],
)
def test_an_address_without_a_source_means_the_way_that_packets_of_some_sources_have(
    source: str | None, meant: str
) -> None:
    known = [Prefix.parse(text) for text in ("::/0 from fd00::/16", "2001:aaaa::/48 from fd00::/16")]
    packed = ip_address(source).packed if source else None
    found = longest(Subject(None, ip_address("2001:db9::1").packed, packed), known)
    assert found == Prefix.parse(meant)


@pytest.mark.parametrize(
    ("length", "words"), [(MAX_TEXT, "no node is called so"), (MAX_TEXT + 1, "is needed")]
)
def test_a_question_has_a_length(length: int, words: str) -> None:
    names: Any = SimpleNamespace(resolve=lambda text: [], all=list)
    with pytest.raises(RequestError, match=words):
        read_subject("x" * length, names)
