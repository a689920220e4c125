"""Sequence numbers, and prefixes as keys."""

import pytest

from babelwg.babel.wire.prefix import Prefix, is_martian
from babelwg.babel.wire.seqno import seqno_add, seqno_difference, seqno_lt


@pytest.mark.conformance("B3.2.1-1")
def test_seqno_addition_is_modulo_2_to_the_16() -> None:
    assert seqno_add(65535, 1) == 0
    assert seqno_add(0, -1) == 65535
    assert seqno_add(7, 3) == 10


@pytest.mark.conformance("B3.2.1-2")
@pytest.mark.parametrize(
    ("earlier", "later", "expected"),
    [(0, 1, True), (1, 0, False), (5, 5, False), (0, 32767, True), (0, 32768, False), (32768, 0, False)]
    + [(65535, 0, True), (0, 65535, False), (65000, 100, True), (100, 65000, False)],
)
def test_seqno_order_wraps(earlier: int, later: int, expected: bool) -> None:
    assert seqno_lt(earlier, later) is expected


def test_seqno_difference_is_signed() -> None:
    assert [seqno_difference(a, b) for a, b in ((3, 1), (1, 3), (0, 65535), (65535, 0))] == [2, -2, 1, -1]


@pytest.mark.parametrize("text", ["2001:db8::/32", "10.0.0.0/8", "::/0", "0.0.0.0/0", "192.0.2.1/32"])
def test_a_prefix_reads_what_it_writes(text: str) -> None:
    assert str(Prefix.parse(text)) == text


@pytest.mark.parametrize("text", ["10.0.0.1/8", "2001:db8::1/32", "10.0.0.0/33", "nonsense", ""])
def test_a_prefix_refuses_host_bits_and_nonsense(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        Prefix.parse(text)


@pytest.mark.conformance("BC-2")
@pytest.mark.parametrize(
    ("text", "expected"),
    [("fe80::/64", True), ("fe80::1/128", True), ("ff00::/8", True), ("ff02::1/128", True)]
    + [("127.0.0.1/32", True), ("0.0.0.0/32", True), ("224.0.0.0/8", True), ("224.0.0.111/32", True)]
    + [("::/0", False), ("0.0.0.0/0", False), ("fd00::/8", False), ("fe80:0:0:1::/64", True)]
    + [("febf::/16", True), ("fec0::/10", False), ("fe80::/9", False), ("fe00::/9", False)]
    + [("127.0.0.0/8", True), ("126.0.0.0/7", False), ("0.0.0.0/8", True), ("0.0.0.0/7", False)]
    + [("239.255.0.0/16", True), ("240.0.0.0/4", True), ("255.255.255.255/32", True)]
    + [("224.0.0.0/3", False), ("223.255.255.0/24", False), ("::/128", True), ("::1/128", True)]
    + [("::2/128", False), ("::/127", False), ("::ffff:0:0/96", True), ("::ffff:1.2.3.4/128", True)]
    + [("::/8", False), ("64:ff9b::/96", False), ("fe00::/7", False)]
    + [("10.0.0.0/8", False), ("192.0.2.0/24", False), ("2001:db8::/32", False)],
)
def test_martian_prefixes_are_known(text: str, expected: bool) -> None:
    prefix = Prefix.parse(text)
    assert is_martian(prefix) is expected
    anywhere = Prefix.parse("2001:db8::/32" if prefix.family == 6 else "192.0.2.0/24")
    assert is_martian(anywhere.with_source(prefix)) is expected


def test_source_specific_prefix_keeps_its_sources_apart():
    prefix = Prefix.parse("2001:db8:1::/48 from 2001:db8:2::/64")
    assert str(prefix) == "2001:db8:1::/48 from 2001:db8:2::/64"
    assert prefix.destination == Prefix.parse("2001:db8:1::/48") != prefix
    assert prefix.source == Prefix.parse("2001:db8:2::/64")
    assert prefix.destination.with_source(prefix.source) == prefix
    assert prefix.with_source(Prefix.parse("::/0")) == prefix.destination


@pytest.mark.parametrize("text", ["::/0 from 10.0.0.0/8", "::/0 from", "::/0 from 2001:db8::1/32"])
def test_prefix_refuses_a_source_that_cannot_be(text):
    with pytest.raises(ValueError, match=r"."):
        Prefix.parse(text)
