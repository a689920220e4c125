"""What `show routes` is told: every candidate, chosen by the daemon as the command line would."""

import asyncio
from collections.abc import Sequence
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from babelwg.babel.snapshot import SourceView
from babelwg.babel.wire.prefix import Prefix
from babelwg.cli.render.rows import Columns
from babelwg.cli.selection import select
from babelwg.daemon.control import RequestError
from babelwg.daemon.queries.context import Context
from babelwg.daemon.queries.routetable import ROUTE_FIELDS
from babelwg.daemon.queries.tables import SLICE, Tables
from babelwg.daemon.texts import ip_text, prefix_text
from babelwg.linux.netlink import Refusal
from babelwg.linux.routes import UNREACHABLE, Route
from tests.daemon.test_names import BRAVO_ID, FAR_ID, Bench, route

LAN_ADDRESS = bytes.fromhex("fe80") + bytes(13) + b"\x09"


class Tabled(Bench):
    """A node whose kernel a test lays ready."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory)
        self.learned: dict[Prefix, Route] = {}
        self.refused: dict[Prefix, Refusal] = {}
        self.node.routes = SimpleNamespace(
            learned=self.learned, refused=self.refused, tables_of=self.tables_of
        )
        self.node.routing.installer = SimpleNamespace(guarded=frozenset({Prefix.parse("10.9.0.0/16")}))
        self.node.names = self.names
        self.context = Context(self.node)

    def tables_of(self, prefixes: Sequence[Prefix]) -> list[int | None]:
        return [route.table if (route := self.learned.get(p)) else None for p in prefixes]

    def ask(self, wanted: str | None = None) -> list[dict[str, Any]]:
        params = {} if wanted is None else {"filter": wanted}
        answer: Any = asyncio.run(Tables(self.context).methods()["routes"](params))  # type: ignore[arg-type]
        return list(msgspec.json.decode(answer))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tabled:
    monkeypatch.setattr("babelwg.daemon.names.SYSTEM_HOSTS", tmp_path / "none")
    bench = Tabled(tmp_path)
    bench.hosts("00:00:00:00:00:00:00:03 far farther\nfe80::9 delta", 1)
    bench.routes = [
        route("10.0.0.2/32", BRAVO_ID, 0),
        route("10.0.0.2/32", BRAVO_ID, state="feasible")._replace(interface="eth0", neighbour=LAN_ADDRESS),
        route("10.9.0.0/16", FAR_ID, state="feasible"),
        route("10.8.0.0/16", FAR_ID, state="retracted"),
        route("0.0.0.0/0", FAR_ID),
        route("::/0 from 2001:db8:a::/48", FAR_ID),
        route("2001:db8:b::/48", FAR_ID, state="unfeasible"),
    ]
    bench.routes.sort(key=lambda route: route.prefix)
    return bench


@pytest.mark.parametrize(
    "wanted",
    [
        "10.0.0.2", "10.0.0.0/8", "10.8.1.0/24", "0.0.0.0/0", "::/0", "2001:db8:b::1", "2001:db8::/32", "fe80::9",
        "bravo", "bw-bravo", "eth0", "delta", "far", "00:00:00:00:00:00:00:03", "nobody", "10.0.0.2/40", "",
        "::/0 from 2001:db8::/32", "::/0 from 2001:db8:f::1", "::/0 from ::/0", "2001:db8::/32 from 2001:db8::/32",
        "::/0 from 10.0.0.0/8", "::/0 from house",
    ],
)  # fmt: skip
def test_the_daemon_chooses_what_the_command_line_would(wanted: str, bench: Tabled) -> None:
    assert bench.ask(wanted) == select(bench.ask(), wanted)


def test_another_name_of_the_hosts_file_selects_as_the_one_that_is_shown(bench: Tabled) -> None:
    assert bench.ask("farther") == bench.ask("far") != []


def test_a_name_of_a_prefix_selects_its_routes_whoever_announces_it(bench: Tabled) -> None:
    bench.hosts("10.8.0.0/16 office\n10.9.0.0/16 office", 2)
    bench.routes.append(route("10.9.0.0/16", BRAVO_ID))
    assert {row["prefix"] for row in bench.ask("office")} == {"10.8.0.0/16", "10.9.0.0/16"}


def test_an_address_selects_what_leads_to_it_and_a_network_what_lies_inside(bench: Tabled) -> None:
    assert [row["prefix"] for row in bench.ask("10.8.1.1")] == ["0.0.0.0/0", "10.8.0.0/16"]
    assert [row["prefix"] for row in bench.ask("10.8.0.0/13")] == ["10.8.0.0/16", "10.9.0.0/16"]


def test_a_route_tells_its_names_its_table_and_why_it_is_not_used(bench: Tabled) -> None:
    prefixes = [Prefix.parse(text) for text in ("10.0.0.2/32", "10.8.0.0/16", "0.0.0.0/0")]
    bench.learned[prefixes[0]] = Route(prefixes[0], 6696)
    bench.learned[prefixes[1]] = Route(prefixes[1], 6696, UNREACHABLE)
    bench.refused[prefixes[2]] = Refusal(0, "it covers the endpoint 192.0.2.1 of a tunnel")
    rows = bench.ask()
    assert [(row["installed"], row["table"], row["held"]) for row in rows[:5]] == [
        (False, None, False),
        (True, 6696, False),
        (False, None, False),
        (False, None, True),
        (False, None, False),
    ]
    assert [row["reason"] for row in rows[:5]] == [
        "the route is not used: it covers the endpoint 192.0.2.1 of a tunnel",
        None,
        None,
        None,
        "a route of the operator leads there",
    ]
    assert [(row["peer"], row["neighbour_name"], row["origin"]) for row in rows[:3]] == [
        ("bravo", "bravo", "far"),
        ("bravo", "bravo", "bravo"),
        (None, "delta", "bravo"),
    ]


def test_many_routes_come_in_order_and_others_get_the_loop_between(bench: Tabled) -> None:
    prefixes = [f"10.{n >> 8}.{n & 255}.0/24" for n in range(2 * SLICE + 5)]
    bench.routes = [route(prefix, FAR_ID) for prefix in prefixes]
    turns = []

    async def count() -> None:
        while True:
            turns.append(None)
            await asyncio.sleep(0)

    async def ask() -> Any:
        counting = asyncio.ensure_future(count())
        try:
            return await Tables(bench.context).methods()["routes"]({})
        finally:
            counting.cancel()

    assert [row["prefix"] for row in msgspec.json.decode(asyncio.run(ask()))] == prefixes
    assert len(turns) >= 2


@pytest.mark.parametrize(
    "text", ["10.0.0.1", "::", "::1", "::192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1", "1::8"]
)
def test_fast_texts_are_those_of_python(text: str) -> None:
    packed = ip_address(text).packed
    assert ip_text(packed) == str(ip_address(text))
    prefix = Prefix(4 if len(packed) == 4 else 6, packed, 8 * len(packed))
    assert prefix_text(prefix) == str(prefix)
    assert prefix_text(prefix.with_source(prefix)) == str(prefix.with_source(prefix))


def test_columns_hold_what_the_rows_say(bench: Tabled) -> None:
    rows = bench.ask()
    assert {tuple(row) for row in rows} == {ROUTE_FIELDS}
    methods = Tables(bench.context).methods()
    whole: Any = asyncio.run(methods["routes"]({"columns": True}))  # type: ignore[arg-type]
    assert list(Columns.from_answer(whole)) == rows
    some: Any = asyncio.run(methods["routes"]({"columns": ["metric", "origin"]}))  # type: ignore[arg-type]
    assert list(Columns.from_answer(some)) == [
        {key: row[key] for key in ("metric", "origin")} for row in rows
    ]
    with pytest.raises(RequestError, match="columns is a list of prefix"):
        asyncio.run(methods["routes"]({"columns": ["nonsense"]}))  # type: ignore[arg-type]


def test_a_record_by_itself_is_a_row_of_the_table(bench: Tabled) -> None:
    rows = bench.ask()
    assert [bench.context.describe_route(route) for route in bench.routes] == rows


def test_prefixes_that_came_or_went_since_the_last_question_are_told_as_they_are(bench: Tabled) -> None:
    prefixes = [f"10.{n >> 8}.{n & 255}.0/24" for n in range(SLICE + 5)]
    for told in (prefixes, prefixes, [*prefixes[:7], *prefixes[8:]], ["0.0.0.0/0", *prefixes], prefixes[:3]):
        bench.routes = [route(prefix, FAR_ID) for prefix in told]
        assert [row["prefix"] for row in bench.ask()] == told


def test_sources_are_told_as_records_and_as_columns(bench: Tabled) -> None:
    views = [
        SourceView(Prefix.parse("10.8.0.0/16"), FAR_ID, 7, 96, 12.3456),
        SourceView(Prefix.parse("::/0 from 2001:db8:a::/48"), BRAVO_ID, 65535, 0, 1.0),
    ]
    bench.sources = tuple(views)
    sources: Any = Tables(bench.context).methods()["sources"]
    rows = asyncio.run(sources({}))
    assert rows[0] == {
        "prefix": "10.8.0.0/16", "router_id": "00:00:00:00:00:00:00:03", "origin": "far", "seqno": 7,
        "metric": 96, "expires_s": 12.345,
    }  # fmt: skip
    assert [(row["prefix"], row["origin"]) for row in rows[1:]] == [("::/0 from 2001:db8:a::/48", "bravo")]
    assert list(Columns.from_answer(asyncio.run(sources({"columns": True})))) == rows
    whole: Any = asyncio.run(sources({"columns": True, "whole_seconds": True}))
    assert [row["expires_s"] for row in Columns.from_answer(whole)] == [12, 1]
    bench.sources = ()
    assert (
        asyncio.run(sources({})) == list(Columns.from_answer(asyncio.run(sources({"columns": True})))) == []
    )


def test_whole_seconds_are_those_of_the_rows_cut_off(bench: Tabled) -> None:
    bench.routes = [one._replace(age=n + 0.9, expires=60.0 - n) for n, one in enumerate(bench.routes)]
    told: Any = asyncio.run(
        Tables(bench.context).methods()["routes"]({"columns": True, "whole_seconds": True})  # type: ignore[arg-type]
    )
    rows = bench.ask()
    assert [row["age_s"] for row in rows] != [row["age_s"] for row in Columns.from_answer(told)]
    cut_off = [row | {key: int(row[key]) for key in ("age_s", "expires_s")} for row in rows]
    assert list(Columns.from_answer(told)) == cut_off
