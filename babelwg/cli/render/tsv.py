"""Tab-separated values for `cut`, `awk` and spreadsheets: a line of field names, then a line for each row."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from babelwg.cli.render.layout import Columns, Row, Texts, column_of
from babelwg.cli.render.units import plain

ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def render_tsv(data: Any) -> str:
    """Return the rows of an answer, or the fields of a single record a line each; nothing where there are none."""
    if isinstance(data, dict):
        return "".join([f"{key}\t{_cell(value)}\n" for key, value in data.items()])
    names = list(
        data.fields if isinstance(data, Columns) else dict.fromkeys(name for row in data for name in row)
    )
    # Column by column: of ten thousand routes, most say what others have said.
    columns = [[name, *_cells(data, name)] for name in names] if len(data) else []
    return "".join(["\t".join(line) + "\n" for line in zip(*columns, strict=True)])


def _cells(data: Sequence[Row], name: str) -> Iterable[str]:
    if isinstance(data, Columns) and (found := data.kinds(name)) is not None:
        return Texts(dict(enumerate(_cell(value) for (value,) in found[0])), found[1]).all()
    values = column_of(data, name)
    types = set(map(type, values)) - {type(None)}
    # True and 1 are equal and read differently, so only a column of one kind is asked once for each value.
    if len(types) > 1 or types & {list, dict}:
        return map(_cell, values)
    return Texts({value: _cell(value) for value in set(values)}, values).all()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return repr(value)
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return text if text.isprintable() and "\\" not in text else plain(text.translate(ESCAPES))
