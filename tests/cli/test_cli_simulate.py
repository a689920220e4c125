"""`simulate` on files and on what a daemon knows: the table, the JSON, and names that nobody has."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from jsonschema import Draft202012Validator

from babelwg.cli.schema import compose

Ask = Callable[..., Result]

TOML = """\
node = [{name = "alpha"}, {name = "bravo"}, {name = "char-lie"}]
link = [
  {a = "alpha", b = "bravo"},
  {a = "bravo", b = "char-lie"},
  {a = "alpha", b = "char-lie", cost = 300},
]
"""
COST = """\
If link alpha-char-lie costs 100 (seen from alpha):

DESTINATION  BEFORE          AFTER
char-lie     via bravo, 192  direct, 100

1 of 2 ways change, 0 of them are lost; it takes 0.8 s, 0 seqno requests and
"""


@pytest.fixture
def toml(tmp_path: Path) -> str:
    path = tmp_path / "mesh.toml"
    path.write_text(TOML)
    return str(path)


def vertex(name: str, metric: int | None, via: str | None) -> dict[str, Any]:
    kind = "self" if metric == 0 else "peer"
    known = {"router_id": None, "addresses": [], "prefixes": [], "prefix_count": 0}
    return {"id": f"id-{name}", "name": name, "kind": kind, "is_self": metric == 0, **known} | {
        "metric": metric,
        "via": via and f"id-{via}",
    }


def edge(a: str, b: str, cost: int, inferred: bool = False) -> dict[str, Any]:
    return {"source": f"id-{a}", "target": f"id-{b}", "cost": cost, "metric": cost, "inferred": inferred} | (
        dict.fromkeys(("interface", "rxcost", "txcost", "rtt_s", "loss"))
    )


@pytest.fixture
def mesh(daemon: Any) -> Any:
    daemon.answers["topology"] = {
        "nodes": [vertex("a", 0, None), vertex("b", 96, "b"), vertex("c", 192, "b"), vertex("d", None, None)],
        "links": [edge("a", "b", 96), edge("a", "c", 300), edge("b", "c", 96, True), edge("a", "d", 65535)],
        "omitted": 0,
    }
    return daemon.answers["topology"]


def test_a_description_is_played_and_told_as_a_table(run: Ask, toml: str) -> None:
    result = run("simulate", "--topology", toml, "--cost", "char-lie-alpha=100", "--from", "alpha")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.startswith(COST)
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_what_the_daemon_knows_is_played_with_guesses_named(ask: Ask, mesh: Any) -> None:
    result = ask("simulate", "--fail-link", "b-a", "--restore")
    assert result.exit_code == 0, result.stderr
    words = " ".join(result.stdout.split())
    assert "If link a-b fails (seen from a):" in words
    assert "b direct, 96 via c, 396" in words
    assert "c via b, 192 direct, 300" in words
    assert "If all is as before (seen from a):" in words
    assert "1 of 3 links are inferred, which is a guess" in words
    assert "Left out, because they carry nothing now: a-d." in words
    assert "goes another way" not in words
    assert max(map(len, result.stdout.splitlines())) <= 80


def test_where_the_simulation_differs_from_the_node_it_says_so(ask: Ask, mesh: Any) -> None:
    mesh["nodes"][2]["via"] = "id-c"
    words = " ".join(ask("simulate", "--fail-node", "b").stdout.split())
    assert "this node goes another way than the simulation to: c." in words


def test_the_json_follows_the_schema_and_is_the_same_each_time(ask: Ask, mesh: Any) -> None:
    one, two = (ask("simulate", "--fail-node", "c", "--all", "--json").stdout for _ in range(2))
    assert one == two
    document = json.loads(one)
    Draft202012Validator(compose("simulate")).validate(document)
    (phase,) = document["data"]["phases"]
    assert document["data"]["sources"] == ["a", "b", "d"]
    assert [(m["source"], m["destination"], m["after"], m["gap_s"]) for m in phase["moves"]] == [
        ("a", "c", None, None),
        ("b", "c", None, None),
    ]


def test_tsv_has_a_line_for_each_move(ask: Ask, mesh: Any) -> None:
    lines = [
        line.split("\t") for line in ask("simulate", "--fail-link", "a-b", "-o", "tsv").stdout.splitlines()
    ]
    assert lines[0] == ["change", "source", "destination", "prefix", "gap_s"] + [
        f"{when}_{what}" for when in ("before", "after") for what in ("via", "metric")
    ]
    assert [line[2] + line[5] + line[7] for line in lines[1:]] == ["bbc", "cbc"]


def test_netjson_of_another_mesh_is_played_too(ask: Ask, run: Ask, mesh: Any, tmp_path: Path) -> None:
    path = tmp_path / "mesh.json"
    path.write_text(ask("topology", "--format", "netjson").stdout)
    result = run("simulate", "--netjson", str(path), "--fail-link", "a-b", "--from", "a")
    assert "b direct, 96 via c, 396" in " ".join(result.stdout.split())


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        ([], 2, "nothing is to happen: give --fail-link, --fail-node or --cost"),
        (["--fail-link", "alpha-brav"], 1, 'there is no link "alpha-brav" in this mesh; did you mean'),
        (["--fail-node", "alpa"], 1, 'there is no node "alpa" in this mesh; did you mean "alpha"?'),
        (["--fail-node", "alpha", "--from", "alpha"], 2, "alpha is to fail"),
        (["--cost", "alpha-bravo"], 2, "is not A-B=COST"),
        (["--cost", "alpha-bravo=65535"], 2, "is not A-B=COST"),
        (["--fail-link", "alpha-bravo", "--from", "x"], 1, 'there is no node "x"'),
        (["--fail-link", "alpha-bravo", "--netjson", "x"], 2, "exclude each other"),
    ],
)
def test_what_cannot_be_played_is_told(
    run: Ask, toml: str, words: list[str], code: int, complaint: str
) -> None:
    result = run("simulate", "--topology", toml, *words)
    assert (result.exit_code, complaint in result.stderr) == (code, True), result.stderr


def test_a_dead_link_a_missing_file_and_a_large_mesh_are_told(ask: Ask, mesh: Any, tmp_path: Path) -> None:
    assert (
        'no link "a-d" in this mesh: it carries nothing now' in ask("simulate", "--fail-link", "a-d").stderr
    )
    result = ask("simulate", "--topology", str(tmp_path / "none"), "--fail-link", "a-b")
    assert (result.exit_code, "No such file" in result.stderr) == (5, True)
    mesh["nodes"] += [vertex(f"n{number}", None, None) for number in range(200)]
    result = ask("simulate", "--fail-link", "a-b")
    assert (result.exit_code, "this mesh has 204 nodes" in result.stderr) == (1, True)


def test_a_large_mesh_is_played_when_it_is_asked_for(run: Ask, toml: str) -> None:
    asked = ("simulate", "--topology", toml, "--from", "alpha", "--cost", "alpha-char-lie=100")
    refused = run(*asked, "--max-nodes", "2")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "this mesh has 3 nodes; more than 2 are not played unasked" in refused.stderr
    assert "--max-nodes 3 plays it" in refused.stderr
    assert run(*asked, "--max-nodes", "3").stdout.startswith(COST)
