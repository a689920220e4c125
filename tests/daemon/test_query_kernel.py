"""What `show kernel` is told: read anew, and read again when something differs."""

import asyncio
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from babelwg.babel.wire.prefix import Prefix
from babelwg.cli.render.rows import Columns
from babelwg.daemon.queries import kernel as module
from babelwg.daemon.queries.kernel import Kernel, rule_text
from babelwg.linux.compare import read_present
from babelwg.linux.fib import KernelRoutes
from babelwg.linux.mirror import IFF_UP, Link, Mirror
from babelwg.linux.routes import Route
from babelwg.linux.rules import Rule, desired_rules
from tests.linux.fakekernel import FakeKernel

NEXT_HOP = bytes.fromhex("fe80") + bytes(13) + b"\x02"
P = Prefix.parse("10.1.0.0/16")
OTHER_NAMES = {"house": ("bravo",)}
PREFIXES_OF = {"office": ("10.1.0.0/16",), "elsewhere": ("10.1.0.0/24",)}


class Requests(FakeKernel):
    """A kernel that can be asked over a socket of its own."""

    def close(self) -> None:
        pass


class Bench:
    """A node with one learned route and its rules in the kernel."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kernel: Any = Requests()
        self.stale: Any = None  # what a look beside the loop sees
        self.fib = KernelRoutes(self.kernel, 6696)
        self.fib.learn(P, NEXT_HOP, 3, bytes([10, 0, 0, 1]))
        self.fib.flush()
        self.kernel.rules = set(desired_rules(6696, 0x6277))
        mirror = Mirror()
        mirror.set_link(Link(3, "bw-bravo", 1420, IFF_UP, "tun"))
        node: Any = SimpleNamespace(
            routes=self.fib,
            requests=self.kernel,
            kernel=SimpleNamespace(rules=frozenset(desired_rules(6696, 0x6277))),
            monitor=SimpleNamespace(mirror=mirror),
        )
        names = SimpleNamespace(
            peer_on=lambda interface: interface.removeprefix("bw-"),
            selected_by=lambda name: {name, *OTHER_NAMES.get(name, ())},
            prefixes_of=lambda name: {Prefix.parse(text) for text in PREFIXES_OF.get(name, ())},
        )
        context: Any = SimpleNamespace(node=node, names=names, learn_names=lambda: None)
        self.query = Kernel(context).methods()["kernel"]
        monkeypatch.setattr(module, "RequestSocket", lambda: self.stale or self.kernel)

    def ask(self, **params: Any) -> Any:
        answer: Any = asyncio.run(self.query(params))  # type: ignore[arg-type]
        routes = answer["routes"]
        rows = Columns.from_answer(routes) if "columns" in params else msgspec.json.decode(routes)
        return answer | {"routes": list(rows)}


@pytest.fixture
def bench(monkeypatch: pytest.MonkeyPatch) -> Bench:
    return Bench(monkeypatch)


def test_an_equal_kernel_differs_in_nothing(bench: Bench) -> None:
    answer = bench.ask()
    assert answer["differences"] == 0
    assert answer["tables"] == [{"table": 6696, "source": None, "wanted": 1, "present": 1}]
    way = {
        "type": "unicast",
        "next_hop": "fe80::2",
        "interface": "bw-bravo",
        "source": "10.0.0.1",
        "priority": 1024,
    }
    (route,) = answer["routes"]
    assert route == {
        "prefix": "10.1.0.0/16", "table": 6696, "peer": "bravo", "state": "ok", "reason": None, "wanted": way,
        "present": way
    }  # fmt: skip
    assert len(answer["rules"]) == 5


def test_a_lost_route_and_a_lost_rule_are_two_differences(bench: Bench) -> None:
    bench.kernel.places.clear()
    bench.kernel.rules.pop()
    answer = bench.ask()
    assert answer["differences"] == 2
    assert (answer["routes"][0]["state"], answer["routes"][0]["present"]) == ("missing", None)
    assert [rule["state"] for rule in answer["rules"]].count("missing") == 1


def test_a_route_of_another_program_that_beats_ours_is_a_difference(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = Route(P, 6696, interface=3, priority=5, protocol=4)
    present = read_present(bench.kernel, [6696])
    monkeypatch.setattr(module, "read_present", lambda *_: present._replace(foreign=(foreign,)))
    answer = bench.ask()
    (route,) = answer["routes"]
    assert (answer["differences"], route["state"]) == (1, "beaten")
    assert (route["present"]["protocol"], route["present"]["priority"]) == ("static", 5)
    assert "protocol" not in route["wanted"]
    assert answer["tables"] == [{"table": 6696, "source": None, "wanted": 1, "present": 1}]


def test_columns_hold_what_the_records_say(bench: Bench) -> None:
    bench.fib.learn(Prefix.parse("10.2.0.0/16"), NEXT_HOP, 3, b"")
    bench.fib.flush()
    bench.fib.learn(Prefix.parse("10.3.0.0/16"), NEXT_HOP, 3, b"")  # not in the kernel yet
    records = bench.ask()
    assert [row["state"] for row in records["routes"]] == ["ok", "ok", "missing"]
    assert bench.ask(columns=True) == records


@pytest.mark.parametrize(
    ("word", "prefixes"),
    [
        ("10.0.0.0/8", ["10.1.0.0/16", "10.2.0.0/16"]),
        ("10.2.0.1", ["10.2.0.0/16"]),
        ("bravo", ["10.1.0.0/16"]),
        ("bw-bravo", ["10.1.0.0/16"]),
        ("house", ["10.1.0.0/16"]),
        ("office", ["10.1.0.0/16"]),
        ("elsewhere", []),
        ("nobody", []),
        ("", []),
    ],
)
def test_a_word_selects_routes_and_only_their_differences_count(
    word: str, prefixes: list[str], bench: Bench
) -> None:
    bench.fib.retract(Prefix.parse("10.2.0.0/16"))
    bench.fib.flush()
    bench.kernel.places.pop((6696, Prefix.parse("10.2.0.0/16")))
    bench.kernel.rules.pop()
    answer = bench.ask(filter=word)
    assert [row["prefix"] for row in answer["routes"]] == prefixes
    assert answer["differences"] == prefixes.count("10.2.0.0/16")
    assert (answer["rules"], answer["tables"][0]["wanted"]) == ([], 2)


def test_what_moved_while_the_kernel_was_read_is_no_difference(bench: Bench) -> None:
    bench.stale = Requests()
    assert bench.ask()["differences"] == 0


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        (Rule(6, 6679, 254, to="fe80::/10"), "from all to fe80::/10 lookup 254"),
        (Rule(4, 6679, 0, fwmark=0x6277, goto=6696), "from all fwmark 0x6277 goto 6696"),
        (Rule(4, 6696, 6696, fwmark=0x6277), "from all not fwmark 0x6277 lookup 6696"),
        (Rule(4, 6680, 6701, source="10.0.0.0/8"), "from 10.0.0.0/8 lookup 6701"),
    ],
)
def test_a_rule_reads_as_ip_rule_writes_it(rule: Rule, text: str) -> None:
    assert rule_text(rule) == text
