"""Tab-separated values for `cut`, `awk` and spreadsheets: a line of field names, then a line for each row."""

import json
from typing import Any

from babelwg.cli.render.units import plain

ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})


def render_tsv(data: Any) -> str:
    """Return the rows of an answer, or the fields of a single record a line each; nothing where there are none."""
    if isinstance(data, dict):
        lines = [[key, _cell(value)] for key, value in data.items()]
    else:
        names = list(dict.fromkeys(name for row in data for name in row))
        lines = [names] if names else []
        lines += [[_cell(row.get(name)) for name in names] for row in data]
    return "".join("\t".join(line) + "\n" for line in lines)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int | float):
        return repr(value)
    text = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    return text if text.isprintable() and "\\" not in text else plain(text.translate(ESCAPES))
