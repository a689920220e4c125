"""What `show filters` is told: each line in force with how often it decided."""

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from babelwg.babel.policy import Announcement
from babelwg.babel.wire.prefix import Prefix
from babelwg.config import BabelConfig, Config, Key, NodeConfig, TunnelsConfig, parse_babeld
from babelwg.daemon.effective import policy_of
from babelwg.daemon.queries.filters import Filters
from babelwg.linux.mirror import IFF_UP, InterfaceAddress, Link, Mirror
from babelwg.linux.routes import Route

TEXT = """\
in ip 10.0.0.0/8 le 24 if eth0 deny
in ip 10.0.0.0/8 metric 10
install neigh fe80::2 table 50
redistribute ip 192.0.2.0/24 proto 4 metric 7
"""


def mirror() -> Mirror:
    found = Mirror()
    found.set_link(Link(2, "eth0", 1500, IFF_UP, ""))
    address = bytes([198, 51, 100, 1])
    found.addresses.setdefault(2, {})[address, 24] = InterfaceAddress(2, address, 24, True)
    for number, text in enumerate(("192.0.2.0/24", "192.0.2.128/25", "203.0.113.0/24")):
        prefix = Prefix.parse(text)
        found.main[prefix, number, 2, b""] = Route(prefix, 254, interface=2, protocol=4)
    return found


def ask(config: Any, policy: Any) -> list[tuple[Any, ...]]:
    node = SimpleNamespace(config=config, policy=policy, monitor=SimpleNamespace(mirror=mirror()))
    context: Any = SimpleNamespace(node=node)
    rows: Any = asyncio.run(Filters(context).methods()["filters"]({}))  # type: ignore[arg-type]
    return [(row["kind"], row["filter"], row["implicit"], row["matches"]) for row in rows]


def test_lines_stand_in_order_with_what_they_decided_and_what_babeld_appends() -> None:
    config = parse_babeld(TEXT, "conf")
    policy: Any = policy_of(config)
    for text in ("10.1.0.0/16", "10.1.2.0/24", "10.1.2.3/32", "2001:db8::/32", "10.9.0.0/16"):
        announcement = Announcement(Prefix.parse(text), bytes(8), "eth0", bytes(16))
        policy.metric_in(announcement)
        policy.installs(announcement)
        policy.install_result(announcement)
    assert ask(config, policy) == [
        ("in", "ip 10.0.0.0/8 le 24 if eth0 deny", False, 3),
        ("in", "ip 10.0.0.0/8 metric 10", False, 1),
        ("in", "no match: allow", True, 1),
        ("out", "no match: allow", True, None),
        ("redistribute", "ip 192.0.2.0/24 proto 4 metric 7", False, 2),
        ("redistribute", "local allow", True, 1),
        ("redistribute", "no match: deny", True, 1),
        ("install", "neigh fe80::2 table 50 allow", False, 0),
        ("install", "no match: allow", True, 5),
    ]


def test_a_node_without_filters_has_what_happens_without_a_match() -> None:
    node = NodeConfig("alpha", Key(b"\x11" * 32), Path("node.key"))
    config = Config(node, TunnelsConfig(), BabelConfig(), (), Path("c"))
    assert [(kind, text) for kind, text, _, _ in ask(config, policy_of(config))] == [
        ("in", "no match: allow"),
        ("out", "no match: allow"),
        ("redistribute", "no match: deny"),
        ("install", "no match: allow"),
    ]


def test_counts_live_as_long_as_the_lines_and_do_not_make_them_differ() -> None:
    first: Any = policy_of(parse_babeld(TEXT, "conf"))
    first.metric_in(Announcement(Prefix.parse("10.1.0.0/16"), bytes(8), "eth0", bytes(16)))
    assert first == policy_of(parse_babeld(TEXT, "conf"))
    assert first.lists["in"].matches == [1, 0]
