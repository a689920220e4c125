"""What people see: 80 columns, names before keys, what is too long shortened with …"""

import io
import sys
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from babelwg.cli.render.layout import Column, has_colour, line_width, shorten, table, wrap
from babelwg.cli.render.units import age, interval, metric, octets, plain, round_trip, share, word
from babelwg.cli.render.views import STATE

Ask = Callable[..., Result]


@pytest.mark.parametrize(
    "command", ["status", "show peers", "show neighbours", "show routes", "show interfaces", "show sources"]
)
def test_no_line_is_longer_than_80_columns(command: str, ask: Ask) -> None:
    lines = ask(*command.split()).stdout.splitlines()
    assert len(lines) >= 2
    assert max(map(len, lines)) <= 80


def test_wide_shortens_nothing_and_shows_the_keys(ask: Ask) -> None:
    text = ask("show", "peers", "--wide").stdout
    assert "…" not in text
    assert "MzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzM=" in text
    assert text.index("bravo") < text.index("IiIi")


def test_both_spellings_of_neighbours_work(ask: Ask) -> None:
    assert ask("show", "neighbors").stdout == ask("show", "neighbours").stdout != ""


def test_nothing_to_show_is_a_sentence(ask: Ask, daemon: Any) -> None:
    daemon.answers["routes"] = []
    result = ask("show", "routes")
    assert (result.stdout, result.exit_code) == ("No routes.\n", 0)


def test_route_that_is_selected_but_not_in_the_kernel_shows(ask: Ask, daemon: Any) -> None:
    daemon.answers["routes"][0]["installed"] = False
    assert "not installed" in ask("show", "routes", "10.23.0.2").stdout


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "installed"),
        ({"installed": False}, "not installed"),
        ({"state": "feasible"}, "feasible, not best"),
        ({"state": "feasible", "reason": "a route of the operator leads there"}, "refused"),
        ({"state": "unfeasible", "held": True}, "unfeasible"),
        ({"state": "retracted"}, "retracted"),
        ({"state": "retracted", "held": True}, "held"),
        ({"state": "filtered"}, "filtered"),
    ],
)
def test_the_state_of_a_route_is_said_in_words(fields: dict[str, Any], words: str, daemon: Any) -> None:
    assert STATE(daemon.answers["routes"][0] | fields) == words


@pytest.mark.parametrize(
    ("wanted", "prefixes"),
    [
        ("bravo", ["10.23.0.2/32"]),
        ("eth1", ["2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff/128"]),
        ("10.23.0.2", ["10.23.0.2/32"]),
        ("10.0.0.0/8", ["10.23.0.2/32"]),
        ("::/0", ["2001:db8:aaaa:bbbb:cccc:dddd:eeee:ffff/128"]),
    ],
)
def test_filter_selects_by_name_and_network(wanted: str, prefixes: list[str], ask: Ask) -> None:
    lines = ask("show", "routes", wanted, "--wide").stdout.splitlines()[1:]
    assert [line.split()[0] for line in lines] == prefixes


def test_filter_takes_other_names_that_the_daemon_knows(ask: Ask, daemon: Any) -> None:
    daemon.answers["named"] = ["bravo", "bw-bravo", "house"]
    for name in ("peers", "neighbours", "interfaces"):
        assert ask("show", name, "house").stdout == ask("show", name, "bravo").stdout != ""
    assert daemon.requests[-1] == daemon.requests[-1] | {"method": "named", "params": {"name": "bravo"}}
    before = len(daemon.requests)
    assert ask("show", "xroutes", "10.23.1.7").exit_code == 0
    assert [request["method"] for request in daemon.requests[before:]] == ["xroutes"]
    daemon.answers["named"] = ["10.23.1.0/24", "office"]
    assert ask("show", "xroutes", "office").stdout == ask("show", "xroutes", "10.23.1.0/24").stdout


def test_filter_by_address_selects_the_prefixes_around_it(ask: Ask) -> None:
    assert "10.23.1.0/24" in ask("show", "xroutes", "10.23.1.7").stdout
    assert ask("show", "xroutes", "10.23.1.0/25").exit_code == 1


def test_filter_of_counters_takes_the_front_of_a_name(ask: Ask) -> None:
    assert ask("show", "stats", "babel.packet_dropped").stdout.splitlines()[1:] == [
        "babel.packet_dropped.not-link-local      3"
    ]


def test_counters_of_a_data_plane_that_hangs_have_their_age(ask: Ask, daemon: Any) -> None:
    stats = daemon.answers["stats"]
    assert "data plane" not in ask("show", "stats").stdout
    stats["dataplane_age_s"] = 12.345
    words = "The data plane does not answer: what it counts is 12.3s old."
    assert ask("show", "stats").stdout.splitlines()[-2:] == ["", words]
    assert ask("show", "stats", "babel").stdout.splitlines()[-1] == words
    assert "data plane" not in ask("show", "stats", "-o", "tsv").stdout
    stats["dataplane_age_s"] = None
    unknown = "The data plane does not answer: what it counts is not known."
    assert ask("show", "stats").stdout.splitlines()[-1] == unknown
    # That of another version says nothing of it.
    del stats["dataplane_age_s"]
    assert "data plane" not in ask("show", "stats").stdout


def test_units_are_short_and_readable() -> None:
    assert [age(x) for x in (None, 0.4, 59.9, 60, 3599, 3600, 86399, 86400, 1e6)] == [
        "-", "0s", "59s", "1m", "59m", "1h", "23h", "1d", "11d",
    ]  # fmt: skip
    assert [octets(x) for x in (None, 0, 1023, 1024, 10240, 1 << 20, 5 << 30, 3 << 40)] == [
        "-", "0B", "1023B", "1.0KiB", "10KiB", "1.0MiB", "5.0GiB", "3.0TiB",
    ]  # fmt: skip
    times = (None, 0.0004, 0.0042, 0.0421, 1.25)
    assert [round_trip(x) for x in times] == ["-", "0.4ms", "4.2ms", "42ms", "1.2s"]
    assert [share(x) for x in (None, 0.0, 0.034, 1.0)] == ["-", "0%", "3%", "100%"]
    assert [metric(x) for x in (None, 0, 65534, 65535)] == ["-", "0", "65534", "inf"]
    assert [interval(x) for x in (None, 4.0, 0.25)] == ["-", "4s", "0.25s"]
    assert [word(x) for x in (None, "", True, False, 7)] == ["-", "-", "yes", "no", "7"]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("bravo – 5 µs", "bravo – 5 µs"),
        ("a\x1b[2Jb", "a\\x1b[2Jb"),
        ("a\nb\tc\r", "a\\nb\\tc\\r"),
        ("\x9b31m", "\\x9b31m"),  # the same as an escape for some terminals
        ("a\u202eb", "a\\u202eb"),  # would turn round what follows
    ],
)
def test_what_moves_the_cursor_is_written_out(text: str, shown: str) -> None:
    assert plain(text) == shown
    assert table([Column("A", lambda row: str(row["a"]))], [{"a": text}], 80) == f"A\n{shown}"
    assert wrap(text, 80, "") == shown


def test_a_column_of_thousands_of_characters_gives_way_at_once() -> None:
    columns = [Column("A", lambda row: str(row["a"]), False, 4), Column("B", lambda row: "b" * 30, False, 9)]
    lines = table(columns, [{"a": "a" * 100_000}], 40).splitlines()
    assert lines[1] == "a" * 18 + "…  " + "b" * 18 + "…"


def test_text_is_cut_with_an_ellipsis() -> None:
    assert (shorten("abcdef", 6), shorten("abcdef", 4)) == ("abcdef", "abc…")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_width_is_the_terminals_or_80(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "132")
    assert (line_width(), line_width(wide=True) > 1000) == (80, True)
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert line_width() == 132


def test_colour_needs_a_terminal_and_no_objection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    column = Column("STATE", lambda row: str(row["state"]))
    assert not has_colour()
    monkeypatch.setattr(sys, "stdout", Terminal())
    assert has_colour()
    assert "\x1b[32mup" in table([column], [{"state": "up"}], 80)
    monkeypatch.setenv("TERM", "dumb")
    assert not has_colour()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("NO_COLOR", "1")
    assert table([column], [{"state": "up"}], 80) == "STATE\nup"
