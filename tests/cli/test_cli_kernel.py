"""`show kernel`: what differs comes first, and decides the exit code."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from jsonschema import Draft202012Validator

from babelwg.cli.schema import compose
from tests.cli.test_cli_golden import check

Ask = Callable[..., Result]
WAY = {
    "type": "unicast",
    "next_hop": "fe80::2",
    "interface": "bw-bravo",
    "source": "10.23.0.1",
    "priority": 1024,
}
OTHER = WAY | {"next_hop": "fe80::3", "interface": "bw-charlie"}
HELD = {"type": "unreachable", "next_hop": None, "interface": None, "source": None, "priority": 1024}
RULES = [
    {"priority": 6679, "family": 6, "rule": "from all to fe80::/10 lookup 254", "state": "ok"},
    {"priority": 6696, "family": 4, "rule": "from all not fwmark 0x6277 lookup 6696", "state": "ok"},
]


def row(prefix: str, state: str, wanted: Any = WAY, present: Any = WAY, reason: str | None = None) -> Any:
    return {
        "prefix": prefix,
        "table": 6696,
        "state": state,
        "reason": reason,
        "wanted": wanted,
        "present": present,
    }


def tables(wanted: int, present: int) -> Any:
    return [{"table": 6696, "source": None, "wanted": wanted, "present": present}]


@pytest.fixture
def equal(daemon: Any) -> Any:
    routes = [row("10.23.0.2/32", "ok"), row("10.23.0.3/32", "ok", OTHER, OTHER)]
    answer = {"table": 6696, "differences": 0, "tables": tables(2, 2), "rules": RULES, "routes": routes}
    daemon.answers["kernel"] = answer
    return answer


@pytest.fixture
def different(equal: Any, daemon: Any) -> Any:
    answer = equal | {
        "differences": 6,
        "tables": [*tables(5, 3), {"table": 6701, "source": "10.0.0.0/8", "wanted": 0, "present": 0}],
        "rules": [*RULES, RULES[1] | {"family": 6, "state": "missing"}],
        "routes": [
            *equal["routes"],
            row("10.23.0.4/32", "missing", present=None),
            row("10.23.0.5/32", "different", present=OTHER),
            row("10.23.6.0/24", "different", present=HELD),
            row("10.23.7.0/24", "refused", present=None, reason="Invalid argument (EINVAL)"),
            row("2001:db8::/32", "not wanted", wanted=None),
        ],
    }
    daemon.answers["kernel"] = answer
    return answer


@pytest.mark.usefixtures("equal")
def test_an_equal_kernel_is_one_sentence(ask: Ask) -> None:
    result = ask("show", "kernel")
    assert (result.stdout, result.exit_code) == (
        "the kernel has all 2 routes and 2 rules that are wanted\n",
        0,
    )
    check("kernel-all", ask("show", "kernel", "--all"))


@pytest.mark.usefixtures("different")
def test_differences_come_first_and_the_exit_code_tells(ask: Ask) -> None:
    result = ask("show", "kernel")
    assert result.exit_code == 1
    check("kernel-different", result)
    assert "10.23.0.2/32" not in result.stdout
    lines = ask("show", "kernel", "--all").stdout.splitlines()
    assert [line.split()[0] for line in lines[1:8]][-2:] == ["10.23.0.2/32", "10.23.0.3/32"]


def test_what_beats_a_route_of_ours_is_shown_with_its_protocol_and_metric(
    ask: Ask, equal: Any, daemon: Any
) -> None:
    foreign = WAY | {
        "interface": "eth0",
        "next_hop": None,
        "source": None,
        "priority": 5,
        "protocol": "static",
    }
    beaten = row("10.23.0.2/32", "beaten", present=foreign, reason="the kernel prefers another")
    daemon.answers["kernel"] = equal | {"differences": 1, "routes": [beaten]}
    shown = ask("show", "kernel").stdout.splitlines()
    assert shown[1].split()[:3] == ["10.23.0.2/32", "6696", "beaten"]
    assert "  proto static metric 5 " in shown[1]
    assert "10.23.0.2/32: the kernel prefers another" in shown
    document = json.loads(ask("show", "kernel", "bw-bravo", "--json").stdout)
    assert len(document["data"]["routes"]) == 1
    Draft202012Validator(compose("kernel")).validate(document)


@pytest.mark.parametrize(
    ("wanted", "count"), [("10.23.0.4", 1), ("10.23.0.0/24", 4), ("bw-charlie", 2), ("::/0", 1)]
)
@pytest.mark.usefixtures("different")
def test_a_filter_selects_by_network_and_interface(wanted: str, count: int, ask: Ask) -> None:
    assert len(json.loads(ask("show", "kernel", wanted, "--json").stdout)["data"]["routes"]) == count


@pytest.mark.usefixtures("equal")
@pytest.mark.parametrize("form", ["text", "json", "tsv"])
def test_a_filter_that_matches_nothing_says_so_in_every_form(form: str, ask: Ask, daemon: Any) -> None:
    daemon.answers["words"] = ["bravo", "bw-bravo", "charlie"]
    result = ask("show", "kernel", "brava", "-o", form)
    assert result.exit_code == 1
    assert result.stderr == 'babelwg: no route of ours in the kernel matches "brava"; did you mean "bravo"?\n'
    if form == "json":
        assert json.loads(result.stdout)["data"]["routes"] == []
    else:
        assert result.stdout == ""


def test_json_follows_the_schema_and_tsv_has_a_line_for_each_route(ask: Ask, different: Any) -> None:
    document = json.loads(ask("show", "kernel", "--json").stdout)
    assert document["data"] == different
    Draft202012Validator(compose("kernel")).validate(document)
    assert len(ask("show", "kernel", "-o", "tsv").stdout.splitlines()) == 1 + len(different["routes"])


def test_a_peer_selects_the_routes_that_lead_through_it(ask: Ask, equal: Any) -> None:
    for route, peer in zip(equal["routes"], ("bravo", "charlie"), strict=True):
        route["peer"] = peer
    said = ask("show", "kernel", "bravo").stdout
    assert "10.23.0.2/32" in said
    assert "10.23.0.3/32" not in said
