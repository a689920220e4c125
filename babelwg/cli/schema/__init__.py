"""The schema babelwg/1 of the answers with --json: one file for each answer beside this module."""

import json
from importlib.resources import files
from typing import Any

COMMON = "common"


def answers() -> list[str]:
    """Return the names of all answers that the schema describes."""
    names = (
        file.name.removesuffix(".json") for file in files(__name__).iterdir() if file.name.endswith(".json")
    )
    return sorted(name for name in names if name != COMMON)


def definitions() -> dict[str, Any]:
    """Return every definition by its name."""
    return {**_read(COMMON)["$defs"], **{name: _read(name) for name in answers()}}


def compose(answer: str | None = None) -> dict[str, Any]:
    """Return one JSON Schema for the whole document that a command prints: for one answer, or for all."""
    data = [{"$ref": f"#/$defs/{name}"} for name in ([answer] if answer else answers())]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Answers of babelwg with --json, schema babelwg/1: fields are added, never changed",
        "type": "object",
        "required": ["schema", "node", "data"],
        "properties": {
            "schema": {"const": "babelwg/1"},
            "node": {"type": ["string", "null"]},
            "data": data[0] if answer else {"anyOf": data},
        },
        "$defs": definitions(),
    }


def _read(name: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(files(__name__).joinpath(f"{name}.json").read_text())
    return document
