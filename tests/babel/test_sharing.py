"""What changes is encoded once for all neighbours to whom the same is to be said, and for no others."""

from typing import Any

import pytest

from babelwg.babel.operation import sharing
from babelwg.babel.parameters import InterfaceParameters
from babelwg.babel.policy import Announcement, Policy
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY, AcknowledgmentRequest, Update
from tests.babel.bench import ORIGIN, OUR_ADDRESS, V4, Bench, P, Q, retraction, tlvs_of, update, updates
from tests.babel.test_hostile import prefixes

LINKS = 30


def hub(links: int = LINKS, **parameters: dict[str, Any]) -> Bench:
    """Return a speaker with tunnels tun1, tun2, ... to reachable neighbours; `tun2={...}` sets parameters of one."""
    found = Bench()
    for number in range(1, links + 1):
        name = f"tun{number}"
        found.interface(name, InterfaceParameters(**parameters.get(name, {})))
        found.meet(number, name, hellos=16)
    found.wait(0.5)
    found.events()
    return found


def told(found: Bench, seconds: float = 0.0) -> dict[str, list[Update]]:
    """Return the updates that leave, by interface."""
    updates_by: dict[str, list[Update]] = {}
    datagrams = [d for _, d in found.wait_datagrams(seconds)] if seconds else found.datagrams()
    for datagram in datagrams:
        found_here = [tlv for tlv in tlvs_of(datagram) if isinstance(tlv, Update)]
        updates_by.setdefault(datagram.interface, []).extend(found_here)
    return updates_by


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Prefix]:
    """Return the prefixes of which updates are built."""
    seen: list[Prefix] = []
    real = sharing.build_update

    def build(state: Any, interface: Any, prefix: Prefix, **how: Any) -> Update | None:
        seen.append(prefix)
        return real(state, interface, prefix, **how)

    monkeypatch.setattr(sharing, "build_update", build)
    return seen


def test_a_change_is_encoded_once_however_many_hear_of_it(built: list[Prefix]) -> None:
    found, known = hub(), prefixes(200)
    found.receive([update(p) for p in known], 1, "tun1")
    heard = told(found)
    assert len(built) < 2 * len(known)
    assert sorted(heard) == sorted(f"tun{n}" for n in range(2, LINKS + 1))
    assert all([u.prefix for u in each] == known for each in heard.values())
    assert {(u.metric, u.router_id, u.seqno) for each in heard.values() for u in each} == {(96, ORIGIN, 7)}


def test_a_retraction_and_its_further_copies_are_encoded_once(built: list[Prefix]) -> None:
    found, known = hub(), prefixes(200)
    found.receive([update(p) for p in known], 1, "tun1")
    found.live(8.0)
    built.clear()
    found.receive([retraction(p) for p in known], 1, "tun1")
    heard = told(found)
    assert len(built) < 2 * len(known)
    assert len(heard) == LINKS
    assert all([u.metric for u in each] == [INFINITY] * len(known) for each in heard.values())
    built.clear()
    assert sum(map(len, told(found, 0.6).values())) == LINKS * len(known)
    assert len(built) < 2 * len(known)


def test_a_change_of_metric_is_encoded_once(built: list[Prefix]) -> None:
    found = hub()
    found.receive([update(P, seqno=7)], 1, "tun1")
    found.live(8.0)
    built.clear()
    found.receive([update(P, metric=500, seqno=8)], 1, "tun1")
    heard = told(found, 0.1)
    assert [u.metric for each in heard.values() for u in each] == [596] * (LINKS - 1)
    assert len(built) <= 4, "but for links on which a Hello took it along"


def test_where_a_route_goes_through_split_horizon_says_something_else() -> None:
    found = hub(4)
    found.receive([update(P), update(Q)], 1, "tun1")
    found.live(8.0)
    other = bytes.fromhex("02000000000000bb")
    found.receive([update(P, seqno=9, number=2, router_id=other)], 2, "tun2")
    found.receive([retraction(P), update(Q, metric=5, router_id=other)], 1, "tun1")
    heard = told(found)
    said = {name: {u.prefix: u.metric for u in each} for name, each in heard.items()}
    assert said == {
        "tun1": {P: 96, Q: INFINITY},
        "tun2": {P: INFINITY, Q: 101},
        "tun3": {P: 96, Q: 101},
        "tun4": {P: 96, Q: 101},
    }


def test_each_neighbour_hears_its_own_next_hop_of_ipv4_and_of_what_it_knows() -> None:
    own = bytes([192, 0, 2, 9])
    found = hub(4, tun2={"ipv4": own}, tun4={"rfc6126_compatible": True})
    specific = P.with_source(Q)
    for prefix in (V4, specific, P):
        found.speaker.announce(prefix, 5, found.now)
    heard = told(found, 0.2)
    next_hops = {name: {u.next_hop for u in each if u.prefix == V4} for name, each in heard.items()}
    assert next_hops == {"tun1": {OUR_ADDRESS}, "tun2": {own}, "tun3": {OUR_ADDRESS}, "tun4": {OUR_ADDRESS}}
    assert {name for name, each in heard.items() if updates(each, specific)} == {"tun1", "tun2", "tun3"}
    assert {name for name, each in heard.items() if updates(each, P)} == {"tun1", "tun2", "tun3", "tun4"}


def test_filters_that_differ_by_interface_are_heeded() -> None:
    class Dear(Policy):
        def metric_in(self, announcement: Announcement) -> int:
            return 0

        def metric_out(self, announcement: Announcement) -> int:
            return {"tun2": 10, "tun3": INFINITY}.get(announcement.interface, 0)

        def installs(self, announcement: Announcement) -> bool:
            return True

    found = hub(5)
    found.speaker.set_policy(Dear(), found.now)
    found.receive([update(P)], 1, "tun1")
    heard = told(found)
    assert {name: [u.metric for u in each] for name, each in heard.items()} == {
        "tun2": [106],
        "tun4": [96],
        "tun5": [96],
    }


def test_each_packet_asks_for_its_own_acknowledgment() -> None:
    found = hub(5)
    found.receive([update(P)], 1, "tun1")
    asked = [t.opaque for d in found.datagrams() for t in tlvs_of(d) if isinstance(t, AcknowledgmentRequest)]
    assert len(asked) == len(set(asked)) == 4
