"""Every answer in JSON follows the schema file, and the schema refuses what is not one."""

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import Result
from jsonschema import Draft202012Validator, ValidationError

from babelwg.cli.schema import compose

SCHEMA = compose()
READING = [
    "status",
    "peers",
    "neighbours",
    "routes",
    "xroutes",
    "sources",
    "interfaces",
    "filters",
    "gateways",
    "stats",
]


def validate(definition: str, data: Any) -> None:
    """Raise ValidationError unless data follows one definition of the schema."""
    Draft202012Validator({"$ref": f"#/$defs/{definition}", "$defs": SCHEMA["$defs"]}).validate(data)


def test_schema_is_one() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("name", READING)
def test_reading_command_prints_what_the_schema_says(
    name: str, ask: Callable[..., Result], daemon: Any
) -> None:
    result = ask(*(["status"] if name == "status" else ["show", name]), "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert (document["schema"], document["node"]) == ("babelwg/1", "alpha")
    assert document["data"] == daemon.answers[name]
    validate(name, document["data"])
    Draft202012Validator(SCHEMA).validate(document)
    assert [request["method"] for request in daemon.requests] == [name]


def test_route_get_prints_what_the_schema_says(ask: Callable[..., Result], daemon: Any) -> None:
    result = ask("route", "get", "10.23.0.2", "from", "10.23.0.1", "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    validate("route_get", document["data"])
    assert daemon.requests[0]["params"] == {"address": "10.23.0.2", "source": "10.23.0.1"}


def test_reload_and_version_print_what_the_schema_says(ask: Callable[..., Result]) -> None:
    validate("reload", json.loads(ask("reload", "--json").stdout)["data"])
    document = json.loads(ask("version", "--json").stdout)
    validate("version", document["data"])
    assert document["node"] is None


def test_json_may_stand_before_the_command(ask: Callable[..., Result]) -> None:
    assert json.loads(ask("--json").stdout)["data"]["name"] == "alpha"
    assert json.loads(ask("--json", "show", "xroutes").stdout)["data"][0]["prefix"] == "10.23.0.1/32"


@pytest.mark.parametrize(
    "name", ["peers", "neighbours", "routes", "xroutes", "sources", "interfaces", "filters"]
)
def test_schema_asks_for_every_field_and_allows_new_ones(name: str, daemon: Any) -> None:
    rows = daemon.answers[name]
    for field in rows[0]:
        lacking = copy.deepcopy(rows)
        del lacking[0][field]
        with pytest.raises(ValidationError):
            validate(name, lacking)
    validate(name, [{**rows[0], "a_field_of_tomorrow": 1}])


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("routes", "metric", 65536),
        ("routes", "prefix", "10.0.0.0"),
        ("routes", "router_id", "0a"),
        ("routes", "installed", None),
        ("peers", "public_key", "short"),
        ("peers", "loss", 1.5),
        ("peers", "state", "fine"),
        ("neighbours", "reach", "FFFF"),
        ("xroutes", "origin", "elsewhere"),
        ("interfaces", "kind", "loopback"),
    ],
)
def test_schema_refuses_wrong_values(name: str, field: str, value: object, daemon: Any) -> None:
    with pytest.raises(ValidationError):
        validate(name, [{**daemon.answers[name][0], field: value}])


def test_schema_is_printed_whole_or_for_one_answer(run: Callable[..., Result]) -> None:
    assert json.loads(run("schema").stdout) == SCHEMA
    routes = json.loads(run("schema", "routes").stdout)
    assert routes["properties"]["data"] == {"$ref": "#/$defs/routes"}
    wrong = run("schema", "route")
    assert wrong.exit_code == 2
    assert 'no such answer "route"; did you mean "routes"?' in wrong.stderr
