"""Redistribute filters: which kernel routes and addresses a line lets in."""

import pytest

from babelwg.babel.wire.prefix import Prefix
from babelwg.config import ConfigErrors, parse_babeld
from babelwg.config.addresses import parse_prefix
from babelwg.config.babeld.compiled import FilterList
from babelwg.config.babeld.filters import PROTOCOL_BOOT, Filter, Subject

STATIC = 4
EVERYWHERE6, EVERYWHERE4 = parse_prefix("::/0"), parse_prefix("0.0.0.0/0")


def line(text: str) -> Filter:
    """Return the filter of one redistribute line."""
    return parse_babeld(f"redistribute {text}\n", "x").filters[0]


def matches(text: str, subject: Subject) -> bool:
    return FilterList([line(text)]).first_match(subject) is not None


def route(prefix: str, protocol: int = STATIC, source: Prefix | None = None) -> Subject:
    return Subject(parse_prefix(prefix), source, protocol, False, "eth0")


def address(prefix: str) -> Subject:
    return Subject(parse_prefix(prefix), None, None, True, "lo")


def metric(text: str, prefix: str, *, local: bool = False, protocol: int | None = STATIC) -> int | None:
    """Return what a whole file of redistribute lines makes of a kernel route or address."""
    config = parse_babeld(text, "x")
    decided = config.redistribution().allowing(Subject(parse_prefix(prefix), None, protocol, local, "eth0"))
    return None if decided is None else decided.metric


@pytest.mark.conformance("CF-1")
def test_without_lines_only_local_addresses_are_announced() -> None:
    assert metric("", "10.0.0.1", local=True, protocol=None) == 0
    assert metric("", "10.0.0.0/8") is None
    assert metric("", "::/0") is None


@pytest.mark.conformance("CF-1")
def test_users_lines_come_before_the_appended_one() -> None:
    text = "redistribute local ip 10.0.0.0/8 metric 300\n"
    assert metric(text, "10.0.0.1", local=True, protocol=None) == 300
    assert metric(text, "192.0.2.1", local=True, protocol=None) == 0


@pytest.mark.conformance("CF-3")
def test_local_deny_switches_the_appended_line_off() -> None:
    text = "redistribute proto 4\nredistribute local deny\n"
    assert metric(text, "10.0.0.1", local=True, protocol=None) is None
    assert metric(text, "10.0.0.0/8") == 0


@pytest.mark.conformance("CF-2")
def test_line_without_proto_or_local_means_neither_addresses_nor_boot_routes() -> None:
    assert matches("metric 10", route("10.0.0.0/8"))
    assert not matches("metric 10", route("10.0.0.0/8", PROTOCOL_BOOT))
    assert not matches("metric 10", address("10.0.0.1"))
    assert matches("proto 3", route("10.0.0.0/8", PROTOCOL_BOOT))
    assert matches("local", address("10.0.0.1"))
    assert not matches("local", route("10.0.0.0/8"))


def test_first_line_that_matches_decides() -> None:
    text = "redistribute ip 10.1.0.0/16 deny\nredistribute ip 10.0.0.0/8 metric 5\n"
    assert metric(text, "10.1.2.0/24") is None
    assert metric(text, "10.2.0.0/16") == 5
    assert metric(text, "11.0.0.0/8") is None


@pytest.mark.parametrize(
    ("text", "prefix", "expected"),
    [
        ("ip 10.0.0.0/8", "10.1.0.0/16", True),
        ("ip 10.0.0.0/8", "10.0.0.0/8", True),
        ("ip 10.0.0.0/8", "0.0.0.0/0", False),
        ("ip 10.0.0.0/8 eq 16", "10.1.0.0/16", True),
        ("ip 10.0.0.0/8 eq 16", "10.0.0.0/8", False),
        ("ip 10.0.0.0/8 ge 16 le 24", "10.1.1.0/24", True),
        ("ip 10.0.0.0/8 ge 16 le 24", "10.1.1.1/32", False),
        ("ip 10.0.0.0/8 ge 16 ge 20", "10.1.0.0/16", False),
        ("ip default", "2001:db8::/32", True),
        ("ip default", "10.0.0.0/8", False),
        ("ip 10.1.2.3/8", "10.200.0.0/16", True),
        ("", "10.0.0.0/8", True),
        ("", "2001:db8::/32", True),
    ],
)
def test_prefix_and_length_select(text: str, prefix: str, expected: bool) -> None:
    assert matches(text, route(prefix)) is expected


@pytest.mark.conformance("CF-4")
def test_lengths_without_an_address_mean_ipv6() -> None:
    assert matches("le 64", route("2001:db8::/48"))
    assert not matches("le 64", route("10.0.0.0/8"))


@pytest.mark.conformance("CF-4")
@pytest.mark.parametrize(
    "text",
    [
        "ip 10.0.0.0/8 src-ip 2001:db8::/32",
        "ip ::/0 src-ip 10.0.0.0/8",
        "ip 10.0.0.0/8 src-prefix ::/48",
        "ip ::/0 pref-src 10.0.0.1",
    ],
)
def test_line_that_mixes_families_is_refused(text: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        line(text)
    assert str(caught.value) == "x:1:14: one line cannot mix IPv4 and IPv6"


def test_source_selectors_look_at_the_source_prefix() -> None:
    inside = parse_prefix("2001:db8:c::/48")
    assert matches("src-ip 2001:db8::/32", route("::/0", source=inside))
    assert not matches("src-ip 2001:db8::/32", route("::/0"))
    assert matches("src-eq 0", route("::/0"))
    assert matches("src-eq 0", route("::/0", source=EVERYWHERE6))
    assert not matches("src-eq 0", route("::/0", source=inside))
    assert matches("src-ge 40 src-le 48", route("::/0", source=inside))
    assert matches("ip 10.0.0.0/8 src-eq 0", route("10.0.0.0/8", source=EVERYWHERE4))


def test_interface_neighbour_and_router_id_select() -> None:
    assert matches("if eth0", route("10.0.0.0/8"))
    assert not matches("if eth1", route("10.0.0.0/8"))
    subject = route("10.0.0.0/8")._replace(neighbour=bytes(15) + b"\1", router_id=b"\1" * 8)
    assert matches("neigh ::1", subject)
    assert not matches("neigh ::2", subject)
    assert not matches("neigh ::1", route("10.0.0.0/8"))
    assert matches("id 01:01:01:01:01:01:01:01", subject)
    assert not matches("id 01:01:01:01:01:01:01:02", subject)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("proto 4", 0),
        ("proto 4 allow", 0),
        ("proto 4 metric 128", 128),
        ("metric 128 proto 4 allow", 0),
        ("deny metric 7 proto 4", 7),
        ("metric 7 proto 4 deny", None),
        ("proto 4 metric 65535", None),
    ],
)
def test_last_action_word_wins(text: str, expected: int | None) -> None:
    assert metric(f"redistribute {text}\n", "10.0.0.0/8") == expected


def test_other_actions_are_kept() -> None:
    found = line("proto 4 src-prefix 2001:db8:c::/48 table 12 pref-src 2001:db8::1")
    assert str(found.set_source_prefix) == "2001:db8:c::/48"
    assert found.table == 12
    assert found.preferred_source == parse_prefix("2001:db8::1").network
