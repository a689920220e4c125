"""Cryptokey routing by longest match."""

from ipaddress import ip_address

import pytest

from babelwg.wireguard.allowedips import AllowedIps, Network


def table(**networks):
    ips = AllowedIps()
    for owner, texts in networks.items():
        for text in texts.split():
            ips.add(Network.parse(text), owner)
    return ips


def find(ips, text):
    return ips.find(ip_address(text).packed)


@pytest.mark.conformance("W-aip-1", "W-aip-2")
def test_longest_prefix_wins():
    ips = table(
        a="192.168.4.0/24 2607:5300:6006:0:0:0:c05f:543/128",
        b="192.168.4.4/32 10.1.0.0/29",
        c="192.168.0.0/16 2607:5300:6006::/64",
        d="0.0.0.0/0 ::/0",
        e="10.1.0.0/20 10.1.0.8/30 10.1.4.128/25 10.1.3.0/27",
    )
    assert find(ips, "192.168.4.20") == "a"
    assert find(ips, "192.168.4.4") == "b"
    assert find(ips, "192.168.200.182") == "c"
    assert find(ips, "8.8.8.8") == "d"
    assert find(ips, "10.1.0.7") == "b"
    assert find(ips, "10.1.0.11") == "e"
    assert find(ips, "10.1.15.255") == "e"
    assert find(ips, "10.1.16.0") == "d"
    assert find(ips, "2607:5300:6006::c05f:543") == "a"
    assert find(ips, "2607:5300:6006::1") == "c"
    assert find(ips, "2001:db8::1") == "d"


def test_no_prefix_gives_no_owner():
    assert find(table(a="10.0.0.0/8"), "11.0.0.1") is None
    assert find(table(a="10.0.0.0/8"), "::1") is None


@pytest.mark.conformance("W-aip-3")
def test_prefix_given_to_another_peer_moves():
    ips = table(a="10.0.0.0/8 10.1.0.0/16")
    ips.add(Network.parse("10.1.0.0/16"), "b")
    assert find(ips, "10.1.2.3") == "b"
    assert [str(n) for n in ips.of("a")] == ["10.0.0.0/8"]
    ips.remove(Network.parse("10.1.0.0/16"), "a")  # not a's any more
    assert find(ips, "10.1.2.3") == "b"


def test_removed_peer_leaves_no_prefix():
    ips = table(a="10.0.0.0/8 ::/0", b="10.1.0.0/16")
    ips.remove_all("a")
    assert find(ips, "10.9.9.9") is None
    assert find(ips, "10.1.0.1") == "b"
    assert ips.of("a") == []


@pytest.mark.conformance("W-uapi-4")
@pytest.mark.parametrize(
    "text", ["10.0.0.1", "10.0.0.0/33", "::/129", "x/8", "10.0.0.0/255.0.0.0", "/8", "10.0.0.0/"]
)
def test_text_that_is_no_prefix_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        Network.parse(text)


def test_host_bits_are_cleared():
    assert str(Network.parse("10.1.2.3/8")) == "10.0.0.0/8"
    assert str(Network.parse("2001:db8::1/32")) == "2001:db8::/32"
