"""A source-specific default (RFC 9079) among babelwg, babeld and BIRD, each announcing it in turn."""

import pytest

from integration.interop.net import Net
from integration.interop.routers.router import Options

pytestmark = pytest.mark.interop

SOURCE = "2001:db8:a::/48"
DEFAULT = f"::/0 from {SOURCE}"
KINDS = ("babelwg", "babeld", "bird")


@pytest.mark.parametrize("gateway", KINDS)
def test_a_source_specific_default_comes_and_goes_when_a_gateway_announces_it(net: Net, gateway: str) -> None:
    #   a (gateway) --- b --- c, and BIRD's IPv6 table is `ipv6 sadr`
    others = [kind for kind in KINDS if kind != gateway]
    _check(net, (gateway, *others))


@pytest.mark.parametrize("gateway", ["babeld", "bird"])
def test_babelwg_relays_a_source_specific_default(net: Net, gateway: str) -> None:
    _check(net, (gateway, "babelwg", "bird" if gateway == "babeld" else "babeld"))


@pytest.mark.parametrize("relay", ["babeld", "bird"])
def test_a_source_specific_default_reaches_babelwg_through_a_relay(net: Net, relay: str) -> None:
    _check(net, ("babelwg", relay, "babelwg"))


def test_frr_lacks_source_specific_routes() -> None:
    pytest.skip("FRR 8.4 has no source-specific routes")


def _check(net: Net, kinds: tuple[str, ...]) -> None:
    for name, kind in zip("abc", kinds, strict=True):
        net.add(name, kind, Options(source=SOURCE))
    net.link("a", "b")
    net.link("b", "c")
    net.start()
    net.wait_for_all("everybody has everybody's addresses")
    a, b, c = (net[name] for name in "abc")
    assert b.lacks(DEFAULT)
    a.announce(DEFAULT)
    net.wait(
        "b and c have the default as a subtree", lambda: b.goes_by("a", DEFAULT) and c.goes_by("b", DEFAULT)
    )
    # Nothing without that source may follow it.
    assert b.lacks("::/0")
    assert c.lacks("::/0")
    a.withdraw(DEFAULT)
    net.wait("b and c have lost it", lambda: b.lacks(DEFAULT) and c.lacks(DEFAULT))
    assert net.converged()
