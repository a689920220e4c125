"""What people see, whole: 80 columns without colour, compared with the files in golden/.

After a wanted change: `BABELWG_WRITE_GOLDEN=1 pytest tests/cli/test_cli_golden.py`, then read the difference.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

GOLDEN = Path(__file__).with_name("golden")
LONG = "a-name-" + "of-a-hundred-and-more-characters-" * 4
HOSTILE = "bravo\x1b[2J\x07\n\u202eevil\x9b31m"
COMMANDS = {
    "overview": "",
    "status": "status",
    "peers": "show peers",
    "neighbours": "show neighbours",
    "routes": "show routes",
    "xroutes": "show xroutes",
    "sources": "show sources",
    "interfaces": "show interfaces",
    "filters": "show filters",
    "stats": "show stats",
    "gateways": "show gateways",
    "route-get": "route get 10.23.0.2",
}


def renamed(data: Any, old: str, new: str) -> Any:
    """Return an answer in which a text stands for another, at any depth."""
    if isinstance(data, dict):
        return {key: renamed(value, old, new) for key, value in data.items()}
    if isinstance(data, list):
        return [renamed(item, old, new) for item in data]
    return data.replace(old, new) if isinstance(data, str) else data


def check(name: str, result: Result) -> None:
    """Compare what a command printed with its file, or write that when it is asked for."""
    assert result.stderr == ""
    path = GOLDEN / f"{name}.txt"
    if os.environ.get("BABELWG_WRITE_GOLDEN"):
        path.write_text(result.stdout)
    assert result.stdout == path.read_text()
    lines = result.stdout.splitlines()
    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines)) <= 80


@pytest.mark.parametrize("name", COMMANDS)
def test_text_is_as_in_the_file(name: str, ask: Callable[..., Result]) -> None:
    result = ask(*COMMANDS[name].split())
    assert result.exit_code == 0
    check(name, result)


@pytest.mark.parametrize(("kind", "text"), [("hostile", HOSTILE), ("long", LONG)])
@pytest.mark.parametrize("name", ["status", "peers", "routes", "neighbours"])
def test_names_from_the_network_cannot_hurt(
    name: str, kind: str, text: str, ask: Callable[..., Result], daemon: Any
) -> None:
    daemon.answers = renamed(daemon.answers, "bravo", text)
    check(f"{name}-{kind}", ask(*COMMANDS[name].split()))


def test_neighbours_of_a_lan_stand_below_the_peers(ask: Callable[..., Result], daemon: Any) -> None:
    far = daemon.answers["neighbours"][1]
    named = far | {"name": "delta", "state": "reachable", "cost": 256, "loss": 0.12, "last_heard_s": 1.0}
    daemon.answers["status"]["neighbours"] = [far, named]
    daemon.answers["status"]["problems"] = []
    check("status-lan", ask("status"))


def test_each_state_of_a_route_and_why_it_is_not_used(ask: Callable[..., Result], daemon: Any) -> None:
    route = daemon.answers["routes"][0]
    daemon.answers["routes"] = [
        route,
        route | {"peer": None, "neighbour_name": "delta", "interface": "eth1", "state": "feasible"},
        route | {"prefix": "10.23.0.3/32", "origin": "charlie", "state": "unfeasible"},
        route | {"prefix": "10.23.4.0/24", "state": "retracted", "metric": 65535, "held": True},
        route | {"prefix": "10.23.5.0/24", "state": "filtered", "metric": 65535},
        route | {"prefix": "10.23.6.0/24", "installed": False, "reason": "the kernel refused the route: error 13"},
        route | {"prefix": "0.0.0.0/0", "state": "feasible", "reason": "a route of the operator leads there"},
    ]  # fmt: skip
    check("routes-states", ask("show", "routes"))
