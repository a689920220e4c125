"""`route get` and `route explain` on the command line: what is asked, what is printed, and the exit codes."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from jsonschema import Draft202012Validator

from babelwg.cli.schema import compose

Ask = Callable[..., Result]
NOTHING = {
    "asked": "10.9.0.0/16",
    "name": None,
    "has_route": False,
    "answer": "10.9.0.0/16 has no route: no neighbour announces it; no Babel session with bravo",
    "prefix": "10.9.0.0/16",
    "outcome": "unknown",
    "why": "no neighbour announces it",
    "route": None,
    "next": None,
    "candidates": [],
    "waiting": None,
    "requests": [],
    "held": None,
    "refused": [],
    "announced": None,
    "told": [],
    "kernel": None,
    "agrees": None,
    "kernel_words": "the kernel refuses such packets",
    "takers": [],
    "more_takers": 0,
    "sessions": [
        {"peer": "bravo", "interface": "bw-bravo", "state": "connecting", "reason": "no answer\x1b[2J yet"}
    ],
}
TEXT = """\
10.9.0.0/16 has no route: no neighbour announces it; no Babel session with bravo

kernel    refuses such packets
session   bravo: connecting, no answer\\x1b[2J yet
"""


def test_explain_prints_the_answer_first_and_fails_without_a_route(ask: Ask, daemon: Any) -> None:
    daemon.answers["route_explain"] = NOTHING
    result = ask("route", "explain", "10.9.0.0/16")
    assert (result.stdout, result.stderr, result.exit_code) == (TEXT, "", 1)
    assert daemon.requests[0]["params"] == {"prefix": "10.9.0.0/16"}
    daemon.answers["route_explain"] = NOTHING | {"has_route": True}
    assert ask("route", "explain", "::/0", "from", "fd00::/8").exit_code == 0
    assert daemon.requests[1]["params"] == {"prefix": "::/0 from fd00::/8"}
    # As a table shows it, in one word.
    assert ask("route", "explain", "::/0 from fd00::/8").exit_code == 0
    assert daemon.requests[2]["params"] == daemon.requests[1]["params"]
    assert ask("route", "explain", "bravo").exit_code == 0


def test_explain_prints_what_the_schema_says(ask: Ask, daemon: Any) -> None:
    daemon.answers["route_explain"] = NOTHING
    result = ask("route", "explain", "10.9.0.0/16", "--json")
    assert result.exit_code == 1
    Draft202012Validator(compose("route_explain")).validate(json.loads(result.stdout))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("10.9.0.1/16",), '"10.9.0.1/16" has bits set beyond its length; did you mean 10.9.0.0/16?'),
        (("10.9.0.0/33",), '"10.9.0.0/33" is not an IPv4 or IPv6 prefix'),
        (("fe80::1%eth0",), "names an interface"),
        (("::/0", "via", "bravo"), "expected PREFIX, or PREFIX from SOURCE"),
        (("::/0 from fd00::/8", "from", "fd00::/8"), "expected PREFIX, or PREFIX from SOURCE"),
        (("::/0 from house",), '"house" is not an IPv4 or IPv6 prefix'),
        (("::/0", "from"), "expected PREFIX, or PREFIX from SOURCE"),
    ],
)
def test_what_is_no_prefix_is_refused_before_anybody_is_asked(
    arguments: tuple[str, ...], words: str, ask: Ask, daemon: Any
) -> None:
    result = ask("route", "explain", *arguments)
    assert result.exit_code == 2
    assert words in result.stderr
    assert daemon.requests == []


def test_an_unknown_name_is_told_in_the_daemons_words(ask: Ask, daemon: Any) -> None:
    daemon.error = {"code": -32602, "message": 'no node is called so; did you mean "bravo"?'}
    result = ask("route", "explain", "brawo")
    assert (result.exit_code, result.stdout) == (1, "")
    assert 'did you mean "bravo"?' in result.stderr


def test_a_name_is_asked_for_as_it_is_and_shown_with_its_address(ask: Ask, daemon: Any) -> None:
    daemon.answers["route_get"]["name"] = "bravo"
    result = ask("route", "get", "bravo")
    address = daemon.answers["route_get"]["address"]
    assert (result.exit_code, result.stdout.splitlines()[0]) == (0, f"bravo ({address})")
    assert daemon.requests[-1]["params"] == {"address": "bravo", "source": None}


@pytest.mark.parametrize(("agrees", "code"), [(True, 0), (None, 0), (False, 1)])
def test_a_kernel_that_goes_another_way_is_exit_1(
    agrees: bool | None, code: int, ask: Ask, daemon: Any
) -> None:
    daemon.answers["route_get"]["agrees"] = agrees
    daemon.answers["route_explain"] = NOTHING | {"has_route": True, "agrees": agrees}
    assert ask("route", "get", "10.23.0.2").exit_code == code
    assert ask("route", "explain", "10.9.0.0/16").exit_code == code
