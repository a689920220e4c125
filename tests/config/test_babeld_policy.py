"""in, out and install filters as a policy: every selector and action, and the compiled form against a plain reading."""

from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babelwg.babel.policy import Announcement
from babelwg.babel.wire.prefix import Prefix
from babelwg.config import FilterPolicy, InstallResult, parse_babeld
from babelwg.config.addresses import mask
from babelwg.config.babeld.compiled import FilterList
from babelwg.config.babeld.filters import Subject
from babelwg.config.babeld.lexer import c_integer

ROUTER = bytes.fromhex("020000000000000a")
NEIGHBOUR = ip_address("fe80::1").packed
ROUTE = "2001:db8:1::/48 from 2001:db8:f::/48"


def announcement(
    prefix: str = "2001:db8:1::/48",
    router_id: bytes = ROUTER,
    interface: str = "eth0",
    neighbour: bytes | None = NEIGHBOUR,
) -> Announcement:
    return Announcement(Prefix.parse(prefix), router_id, interface, neighbour)


def policy(*lines: str) -> FilterPolicy:
    return FilterPolicy(parse_babeld("".join(f"{line}\n" for line in lines), "x"))


SELECTORS = [
    ("", announcement(), True),
    ("ip 2001:db8::/32", announcement(), True),
    ("ip 2001:db8:1::/48", announcement(), True),
    ("ip 2001:db8:1::/64", announcement(), False),
    ("ip 2001:db8:2::/48", announcement(), False),
    ("ip default", announcement("0.0.0.0/0"), False),
    ("ip 10.0.0.0/8", announcement("10.1.0.0/16"), True),
    ("ip 10.0.0.0/8", announcement("0.0.0.0/0"), False),
    ("eq 48", announcement(), True),
    ("eq 47", announcement(), False),
    ("le 48", announcement(), True),
    ("le 47", announcement(), False),
    ("ge 48", announcement(), True),
    ("ge 49", announcement(), False),
    ("ge 32 le 64", announcement(), True),
    ("ip 10.0.0.0/8 le 16", announcement("10.1.0.0/16"), True),
    ("ip 10.0.0.0/8 le 15", announcement("10.1.0.0/16"), False),
    ("src-ip 2001:db8::/32", announcement(ROUTE), True),
    ("src-ip 2001:db8:e::/48", announcement(ROUTE), False),
    ("src-ip 2001:db8::/32", announcement(), False),
    ("src-ip ::/0", announcement(), True),
    ("src-eq 48", announcement(ROUTE), True),
    ("src-eq 0", announcement(), True),
    ("src-eq 0", announcement(ROUTE), False),
    ("src-le 40", announcement(ROUTE), False),
    ("src-ge 40", announcement(ROUTE), True),
    ("src-ge 1", announcement(), False),
    ("neigh fe80::1", announcement(), True),
    ("neigh fe80::2", announcement(), False),
    ("id 02:00:00:00:00:00:00:0a", announcement(), True),
    ("id 02:00:00:00:00:00:00:0b", announcement(), False),
    ("if eth0", announcement(), True),
    ("if eth1", announcement(), False),
    ("proto 4", announcement(), False),
    ("local", announcement(), False),
    ("ip 2001:db8::/32 if eth0 ge 40 neigh fe80::1", announcement(), True),
    ("ip 2001:db8::/32 if eth1 ge 40 neigh fe80::1", announcement(), False),
]


@pytest.mark.conformance("V7-1")
@pytest.mark.parametrize(
    ("selectors", "route", "matches"), SELECTORS, ids=[f"{s}-{r.prefix}" for s, r, _ in SELECTORS]
)
@pytest.mark.parametrize("kind", ["in", "out", "install"])
def test_each_selector_decides_in_each_kind_of_filter(
    kind: str, selectors: str, route: Announcement, matches: bool
) -> None:
    found = policy(f"{kind} {selectors} deny")
    answers = {
        "in": found.metric_in(route) == 65535,
        "out": found.metric_out(route) == 65535,
        "install": not found.installs(route),
    }
    assert answers[kind] is matches
    assert not any(denied for of, denied in answers.items() if of != kind)


@pytest.mark.conformance("CF-1")
def test_without_a_match_everything_passes() -> None:
    found = policy("in if nowhere deny", "out if nowhere deny", "install if nowhere deny")
    assert (found.metric_in(announcement()), found.metric_out(announcement())) == (0, 0)
    assert found.installs(announcement())
    assert found.install_result(announcement()) == InstallResult(None, None)


@pytest.mark.parametrize(
    ("action", "added"),
    [
        ("", 0),
        ("allow", 0),
        ("deny", 65535),
        ("metric 256", 256),
        ("metric 65535", 65535),
        ("deny metric 7", 7),
    ],
)
def test_each_action_of_in_and_out_adds_to_the_metric(action: str, added: int) -> None:
    found = policy(f"in {action}", f"out {action}")
    assert found.metric_in(announcement()) == found.metric_out(announcement()) == added


@pytest.mark.parametrize(
    ("action", "installs", "result"),
    [
        ("", True, InstallResult()),
        ("allow", True, InstallResult()),
        ("metric 9", True, InstallResult()),
        ("deny", False, InstallResult()),
        ("table 12", True, InstallResult(12)),
        ("pref-src 2001:db8::1", True, InstallResult(None, ip_address("2001:db8::1").packed)),
        ("table 7 pref-src 2001:db8::1", True, InstallResult(7, ip_address("2001:db8::1").packed)),
        ("pref-src 10.0.0.1", True, InstallResult()),  # this line is about IPv4
    ],
)
def test_each_action_of_install(action: str, installs: bool, result: InstallResult) -> None:
    found = policy(f"install {action}")
    assert found.installs(announcement()) is installs
    if installs:
        assert found.install_result(announcement()) == result


def test_the_first_line_that_matches_decides() -> None:
    found = policy("in ip 2001:db8:1::/48 metric 5", "in ip 2001:db8::/32 deny", "in metric 9")
    assert found.metric_in(announcement()) == 5
    assert found.metric_in(announcement("2001:db8:2::/48")) == 65535
    assert found.metric_in(announcement("10.0.0.0/8")) == 9


def test_traffic_of_each_network_can_prefer_another_gateway() -> None:
    found = policy(
        "in id 02:00:00:00:00:00:00:0a src-ip 2001:db8:b::/48 metric 1000",
        "in id 02:00:00:00:00:00:00:0b src-ip 2001:db8:a::/48 metric 1000",
    )
    other = bytes.fromhex("020000000000000b")
    first, second = "::/0 from 2001:db8:a::/48", "::/0 from 2001:db8:b::/48"
    assert [found.metric_in(announcement(p, r)) for p in (first, second) for r in (ROUTER, other)] == [
        0,
        1000,
        1000,
        0,
    ]


def test_policies_of_the_same_lines_are_equal() -> None:
    assert policy("in deny") == policy("in deny")
    assert hash(policy("in deny")) == hash(policy("in deny"))
    assert policy("in deny") != policy("out deny")
    assert policy("in deny") != "in deny"


# A plain reading of the grammar: no compilation, text and ipaddress only.


def plainly_matches(text: str, subject: Subject) -> bool:
    """Return whether the words of a line fit, read one after the other as the manual has them."""
    words = text.split()
    network = ip_network(str(subject.prefix))
    source = ip_network(
        str(subject.source_prefix) if subject.source_prefix else ("0.0.0.0/0", "::/0")[network.version == 6]
    )
    networks = [
        ip_network(words[n + 1]) for n, word in enumerate(words) if word in ("ip", "src-ip", "src-prefix")
    ]
    has_length = any(word in ("eq", "le", "ge", "src-eq", "src-le", "src-ge") for word in words)
    family = networks[0].version if networks else 6 if has_length else network.version
    origin = None
    fits = family == network.version
    while words:
        word = words.pop(0)
        if word in ("allow", "deny"):
            continue
        if word == "local":
            origin = "local"
            continue
        value = words.pop(0)
        if word in ("ip", "src-ip"):
            of = network if word == "ip" else source
            fits = fits and of.version == ip_network(value).version and of.subnet_of(ip_network(value))  # type: ignore[arg-type]
        elif word.removeprefix("src-") in ("eq", "le", "ge"):
            plen, limit = (source if word.startswith("src-") else network).prefixlen, c_integer(value)
            assert limit is not None
            holds = {"eq": plen == limit, "le": plen <= limit, "ge": plen >= limit}
            fits = fits and holds[word.removeprefix("src-")]
        elif word == "proto":
            origin = value
        elif word == "if":
            fits = fits and subject.interface == value
        elif word == "neigh":
            fits = fits and subject.neighbour == ip_address(value).packed
        elif word == "id":
            fits = fits and subject.router_id == bytes.fromhex(value.replace(":", ""))
    if origin == "local":
        return fits and subject.is_local
    if origin is not None:
        return fits and not subject.is_local and subject.protocol == int(origin, 0)
    return fits and not subject.is_local and subject.protocol != 3


def plainly_first(lines: list[str], subject: Subject) -> int | None:
    return next((n for n, text in enumerate(lines) if plainly_matches(text, subject)), None)


@st.composite
def networks(draw: st.DrawFn, family: int) -> Prefix:
    """Return prefixes that often contain each other."""
    start = b"\x0a" if family == 4 else b"\x20\x01\x0d\xb8"
    rest = draw(st.sampled_from([b"\0", b"\1", b"\1\2", b"\1\2\3", b"\xff\xff\xff"]))
    octets = 4 if family == 4 else 16
    plen = draw(
        st.sampled_from([0, 8, 12, 16, 20, 24, 32])
        if family == 4
        else st.sampled_from([0, 1, 32, 40, 44, 48, 56, 64, 128])
    )
    return Prefix(family, mask((start + rest).ljust(octets, b"\0")[:octets], plen), plen)


@st.composite
def filter_lines(draw: st.DrawFn) -> str:
    family = draw(st.sampled_from([4, 6]))
    clauses = {
        "ip": st.just(family).flatmap(networks).map(str),
        "src-ip": st.just(family).flatmap(networks).map(str),
        "neigh": st.sampled_from(["fe80::1", "fe80::2"]),
        "id": st.sampled_from(["02:00:00:00:00:00:00:0a", "02:00:00:00:00:00:00:0b"]),
        "if": st.sampled_from(["eth0", "eth1"]),
        "proto": st.sampled_from(["3", "4", "0x4", "42"]),
        "local": st.just(""),
        "metric": st.sampled_from(["1", "65535"]),
        "allow": st.just(""),
        "deny": st.just(""),
    } | {
        f"{side}{word}": st.sampled_from(["0", "8", "16", "24", "32", "48", "64", "0x40", "128"])
        for side in ("", "src-")
        for word in ("eq", "le", "ge")
    }
    names = draw(st.lists(st.sampled_from([*clauses, "ip", "ip", "src-ip", "src-ip"]), max_size=3))
    once = [
        name
        for n, name in enumerate(names)
        if name not in ("ip", "src-ip", "neigh", "id", "if") or name not in names[:n]
    ]
    return " ".join(f"{name} {draw(clauses[name])}".strip() for name in once)


@st.composite
def subjects(draw: st.DrawFn) -> Subject:
    family = draw(st.sampled_from([4, 6]))
    is_local = draw(st.booleans())
    source = draw(st.none() | networks(family))
    return Subject(
        draw(networks(family)),
        source if source is not None and source.plen else None,
        None if is_local else draw(st.sampled_from([None, 3, 4, 42])),
        is_local,
        draw(st.sampled_from([None, "eth0", "eth1"])),
        draw(st.sampled_from([None, NEIGHBOUR])),
        draw(st.sampled_from([None, ROUTER])),
    )


@settings(max_examples=300)
@given(st.lists(filter_lines(), max_size=4), st.lists(subjects(), min_size=1, max_size=8))
def test_compiled_filters_decide_as_a_plain_reading_of_the_lines(
    lines: list[str], looked_at: list[Subject]
) -> None:
    parsed = parse_babeld("".join(f"redistribute {line}\n" for line in lines), "x").filters
    compiled = FilterList(parsed)
    for subject in looked_at:
        found = compiled.first_match(subject)
        expected = plainly_first(lines, subject)
        assert (None if found is None else parsed[expected or 0]) == found
        assert (found is None) is (expected is None)
