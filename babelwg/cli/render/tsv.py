"""Tab-separated values for `cut`, `awk` and spreadsheets: a line of field names, then a line for each row."""

import json
from collections.abc import Sequence
from typing import Any

from babelwg.cli.render.rows import Columns, Row, Texts, column_of, side_by_side
from babelwg.cli.render.units import plain

ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def render_tsv(data: Any) -> str:
    """Return the rows of an answer, or the fields of a single record a line each; nothing where there are none."""
    if isinstance(data, dict):
        return "".join([f"{key}\t{_cell(value)}\n" for key, value in data.items()])
    names = [*data.fields] if isinstance(data, Columns) else [*dict.fromkeys(n for row in data for n in row)]
    if not len(data):
        return ""
    lines = ["\t".join(names), *side_by_side([_cells(data, name) for name in names], "\t"), ""]
    return "\n".join(lines)


def _cells(data: Sequence[Row], name: str) -> Texts:
    if isinstance(data, Columns) and (found := data.kinds(name)) is not None:
        return Texts([_cell(value) for (value,) in found[0]], found[1])
    values = column_of(data, name)
    return Texts([*map(_cell, values)])


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return repr(value)
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return text if text.isprintable() and "\\" not in text else plain(text.translate(ESCAPES))
