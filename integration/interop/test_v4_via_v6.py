"""IPv4 over links without IPv4 addresses (RFC 9229)."""

import pytest

from integration.interop.net import Net

pytestmark = pytest.mark.interop

LACKING = {
    "bird": "BIRD 2.0.12 has no IPv4 routes with IPv6 next hops in Babel",
    "frr": "FRR 8.4 has no IPv4 routes with IPv6 next hops in Babel",
}


@pytest.mark.parametrize("place", ["between", "around"])
@pytest.mark.parametrize("peer", ["babeld", "bird", "frr"])
def test_ipv4_goes_both_ways_over_links_without_ipv4(net: Net, peer: str, place: str) -> None:
    #   a --- b --- c, each link with link-local addresses only
    if peer in LACKING:
        pytest.skip(LACKING[peer])
    ends, middle = ("babelwg", peer) if place == "between" else (peer, "babelwg")
    for name, kind in zip("abc", (ends, middle, ends), strict=True):
        net.add(name, kind)
    net.link("a", "b", ipv4=False)
    net.link("b", "c", ipv4=False)
    net.start()
    net.wait_for_all("everybody has everybody's addresses")
    for name, others in (("a", "bc"), ("b", "ac"), ("c", "ab")):
        ways = [net[name].way_to(net[other].addresses[1]) for other in others]
        assert all(way is not None and (way.next_hop or "").startswith("fe80:") for way in ways), ways
