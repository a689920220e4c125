"""Addresses, prefixes and endpoints as text."""

import pytest

from babelwg.babel.wire.prefix import Prefix
from babelwg.config.addresses import (
    Endpoint,
    InterfaceAddress,
    covers,
    is_martian,
    mask,
    near,
    overlap,
    parse_network,
    parse_prefix,
)


def test_address_keeps_its_length_and_knows_its_network() -> None:
    address = InterfaceAddress.parse("10.23.1.7/24")
    assert address == (4, bytes([10, 23, 1, 7]), 24)
    assert str(address) == "10.23.1.7/24"
    assert str(address.network) == "10.23.1.0/24"
    assert str(address.host) == "10.23.1.7/32"


def test_address_without_a_length_is_a_host() -> None:
    assert str(InterfaceAddress.parse("fd5a::1")) == "fd5a::1/128"


def test_prefix_with_host_bits_is_refused_with_what_was_meant() -> None:
    with pytest.raises(ValueError) as caught:
        parse_prefix("10.23.1.7/24")
    assert str(caught.value) == '"10.23.1.7/24" has bits set beyond its length; did you mean 10.23.1.0/24?'
    assert str(parse_network("10.23.1.7/24")) == "10.23.1.0/24"


@pytest.mark.parametrize(
    "text",
    ["", "/", "10.0.0", "10.0.0.0/33", "10.0.0.0/255.0.0.0", "::1/129", "fe80::1%e/64", "::/+1"],
)
def test_text_that_is_no_prefix_is_refused(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_prefix(text)
    assert text in str(caught.value)


def test_prefixes_cover_and_overlap() -> None:
    ten, inside, other = parse_prefix("10.0.0.0/8"), parse_prefix("10.1.0.0/16"), parse_prefix("11.0.0.0/8")
    assert covers(ten, inside)
    assert not covers(inside, ten)
    assert overlap(inside, ten)
    assert not overlap(ten, other)
    assert not covers(parse_prefix("0.0.0.0/0"), parse_prefix("::/0"))


def test_mask_clears_what_lies_beyond_the_length() -> None:
    assert mask(bytes([255, 255, 255, 255]), 9) == bytes([255, 128, 0, 0])
    assert mask(b"\xff" * 16, 0) == bytes(16)
    assert mask(b"\xff" * 16, 128) == b"\xff" * 16


@pytest.mark.parametrize(
    "text", ["fe80::/64", "fe80::1", "ff02::/16", "::1", "::", "127.0.0.1", "0.0.0.0", "224.0.0.5"]
)
def test_local_and_multicast_prefixes_are_martians(text: str) -> None:
    assert is_martian(parse_prefix(text))


@pytest.mark.parametrize("text", ["0.0.0.0/0", "::/0", "10.0.0.0/8", "2001:db8::/32", "fd00::/8"])
def test_ordinary_prefixes_and_defaults_are_not_martians(text: str) -> None:
    assert not is_martian(parse_prefix(text))


@pytest.mark.parametrize(
    ("text", "host", "port"),
    [
        ("bravo.example.net:51820", "bravo.example.net", 51820),
        ("192.0.2.1:1", "192.0.2.1", 1),
        ("[2001:DB8::1]:65535", "2001:db8::1", 65535),
        ("[fe80::1%eth0]:51820", "fe80::1%eth0", 51820),
    ],
)
def test_endpoint_is_a_host_and_a_port(text: str, host: str, port: int) -> None:
    assert Endpoint.parse(text) == (host, port)


def test_endpoint_writes_an_ipv6_address_in_brackets() -> None:
    assert str(Endpoint("2001:db8::1", 51820)) == "[2001:db8::1]:51820"
    assert str(Endpoint("bravo", 51820)) == "bravo:51820"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("bravo", 'endpoint "bravo" has no port; expected host:port or [IPv6]:port'),
        ("bravo:0", 'port "0" of endpoint "bravo:0" must be 1-65535'),
        ("bravo:65536", 'port "65536" of endpoint "bravo:65536" must be 1-65535'),
        ("bravo:x", 'port "x" of endpoint "bravo:x" must be 1-65535'),
        (
            "2001:db8::1:51820",
            'endpoint "2001:db8::1:51820": write an IPv6 address as in [2001:db8::1]:51820',
        ),
        ("[bravo]:1", 'endpoint "[bravo]:1" has no IPv6 address in its brackets'),
        (":1", '"" in endpoint ":1" is not a host name or an address'),
        ("a b:1", '"a b" in endpoint "a b:1" is not a host name or an address'),
        ("256.0.0.1:1", '"256.0.0.1" in endpoint "256.0.0.1:1" is not an IPv4 address'),
        ("[fe80::1%a\nb]:1", '"a\\nb" in endpoint "[fe80::1%a\\nb]:1" is not the name of an interface'),
    ],
)
def test_endpoint_tells_what_is_wrong(text: str, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        Endpoint.parse(text)
    assert str(caught.value) == message


def test_prefix_is_the_key_that_the_tables_use() -> None:
    assert parse_prefix("2001:db8::/32") == Prefix.parse("2001:db8::/32")


@pytest.mark.parametrize(
    "text", ["10.1.2.3/32", "10.1.0.0/16", "10.0.0.0/7", "0.0.0.0/0", "2001:db8::1/128", "::/0"]
)
def test_the_quick_test_lets_all_pass_that_cover_an_address_or_lie_in_a_network(text: str) -> None:
    network = parse_prefix(text)
    others = [parse_prefix(f"{a}.{b}.0.0/{n}") for a in (10, 11, 12) for b in (0, 1) for n in (16, 24)]
    others += [parse_prefix(other) for other in ("0.0.0.0/0", "10.0.0.0/8", "10.1.2.3/32", "10.1.2.0/25")]
    others += [parse_prefix(other) for other in ("::/0", "2001:db8::/32", "2001:db8::1/128", "2001:db9::/32")]
    is_host = network.plen == 8 * len(network.network)
    meant = {o for o in others if (covers(o, network) if is_host else covers(network, o))}
    assert meant <= {other for other in others if near(network)(other.network)}


NEAR = {
    "10.3.7.0/24": ["10.3.7.0/24"],
    # Of an address every shorter network counts, whatever its length.
    "10.3.7.9/32": [f"10.{ab}.0/24" for ab in ("0.0", "2.0", "3.0", "3.4", "3.6", "3.7")],
}


def test_the_quick_test_lets_few_others_pass() -> None:
    many = [parse_prefix(f"10.{a}.{b}.0/24") for a in range(20) for b in range(20)]
    passed = {text: [str(p) for p in many if near(parse_prefix(text))(p.network)] for text in NEAR}
    assert passed == NEAR
