"""What people see: 80 columns, names before keys, what is too long shortened with …"""

import io
import sys
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result

from babelwg.cli.render.layout import Column, has_colour, line_width, shorten, table
from babelwg.cli.render.units import age, interval, metric, octets, round_trip, share, word

Ask = Callable[..., Result]

STATUS = """\
alpha  overlay, embedded back end, up 2h, pid 4242, version 0.1.0
router-id  02:00:00:00:00:00:00:0a
routes     7 selected of 12, in table 6696
addresses  fd5a:8c21:77::1/128, 10.23.0.1/32
announces  10.23.1.0/24

PEER      STATE        PATH        RTT  LOSS  COST  HEARD          RX/TX  ROUTES
bravo     up           direct     12ms    0%    96     2s  1.2MiB/3.4MiB       5
charlie…  no-endpoint  via bravo     -     -     -      -          0B/0B       0

Problems:
  charlie-with-a-long-name-indeed: no endpoint is configured and the peer has
    not called yet
    babelwg show peers charlie-with-a-long-name-indeed
"""
PEERS = """\
NAME              STATE        INTERFACE        ENDPOINT         HANDSHAKE  COST
bravo             up           bw-bravo         192.0.2.2:51820        42s    96
charlie-with-a-…  no-endpoint  bw-charlie-ab2c  -                        -     -

charlie-with-a-long-name-indeed: no endpoint is configured and the peer has not
  called yet
"""
ROUTES = """\
PREFIX                VIA         INTERFACE  METRIC  STATE      ORIGIN       AGE
10.23.0.2/32          bravo       bw-bravo       96  selected   bravo         1m
2001:db8:aaaa:bbbb:…  fe80::123…  eth1          inf  retracted  02:00:00:0…   1d
"""
XROUTES = """\
PREFIX              METRIC  ORIGIN
10.23.0.1/32             0  address
10.23.1.0/24             0  announce
2001:db8:ffff::/48     256  redistribute
"""
SOURCES = """\
PREFIX        ROUTER-ID                SEQNO  METRIC  EXPIRES
10.23.0.2/32  02:00:00:00:00:00:00:0b      5      96       2m
"""
STATS = """\
COUNTER                              VALUE
babel.packet_dropped.not-link-local      3
babel.packets_received                 120
kernel.overruns                          0
"""
GATEWAYS = """\
PREFIX                     METRIC  INTERFACE  STATE      CHECKS
::/0 from 2001:db8:a::/48       0  wan        withdrawn  ping 2001:db8:ffff::1:…

::/0 from 2001:db8:a::/48: ping 2001:db8:ffff::1: no answer in 1 s, 3 of 3
  failed
"""
ROUTE_GET = """\
10.23.0.2
  babel   10.23.0.2/32 via bravo (bw-bravo), metric 96
          announced by bravo, seqno 5, learned 1m ago, expires in 40s
  next    no other feasible route
  kernel  unicast via fe80::2 on bw-bravo from 10.23.0.1 table 6696 (agrees)
"""


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("", STATUS),
        ("status", STATUS),
        ("show peers", PEERS),
        ("show routes", ROUTES),
        ("show xroutes", XROUTES),
        ("show sources", SOURCES),
        ("show stats", STATS),
        ("show gateways", GATEWAYS),
        ("route get 10.23.0.2", ROUTE_GET),
    ],
)
def test_text_is_as_written_here(command: str, expected: str, ask: Ask) -> None:
    result = ask(*command.split())
    assert result.exit_code == 0, result.stderr
    assert result.stdout == expected
    assert result.stderr == ""


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


def test_filter_by_address_selects_the_prefixes_around_it(ask: Ask) -> None:
    assert "10.23.1.0/24" in ask("show", "xroutes", "10.23.1.7").stdout
    assert ask("show", "xroutes", "10.23.1.0/25").exit_code == 1


def test_filter_of_counters_takes_the_front_of_a_name(ask: Ask) -> None:
    assert ask("show", "stats", "babel.packet_dropped").stdout.splitlines()[1:] == [
        "babel.packet_dropped.not-link-local      3"
    ]


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
