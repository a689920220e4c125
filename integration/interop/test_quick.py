"""One line of all that `make test` shows of interoperation; the rest is `make interop`."""

import pytest

from integration.interop.net import Net, line

EXTRA = ("fd00:77:9::9/128", "10.23.9.9/32")


@pytest.mark.parametrize("peer", ["babeld", "bird"])
def test_a_peer_gets_routes_through_babelwg_and_loses_a_withdrawn_one(net: Net, peer: str) -> None:
    #   a (babelwg) --- b (babelwg) --- c (peer)
    line(net, "babelwg", "babelwg", peer)
    for prefix in EXTRA:
        net["a"].announce(prefix)
    net.wait("c has a's new prefixes", lambda: net["c"].reaches(*EXTRA))
    for prefix in EXTRA:
        net["a"].withdraw(prefix)
    net.wait("c has lost them", lambda: net["c"].lacks(*EXTRA))
    assert net["c"].goes_by("b", *net["a"].addresses)
