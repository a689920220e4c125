"""Aligned tables that fit: columns are shortened, then left out, until a line fits the width."""

import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import click

from babelwg.cli.render.units import ABSENT

Row = Mapping[str, Any]

UNKNOWN_WIDTH = 80  # columns where the output is no terminal
NO_LIMIT = 1 << 20
GAP = "  "
COLOURS = {
    "up": "green",
    "reachable": "green",
    "selected": "green",
    "connecting": "yellow",
    "no-endpoint": "yellow",
    "unresolved": "yellow",
    "unfeasible": "yellow",
    "filtered": "yellow",
    "down": "red",
    "failed": "red",
    "unreachable": "red",
    "retracted": "red",
}


class Column(NamedTuple):
    """A column: `least` is the width it may be cut to (0: never), the highest `spare` is left out first."""

    title: str
    value: Callable[[Row], str]
    right: bool = False
    least: int = 0
    spare: int = 0


def line_width(wide: bool = False) -> int:
    """Return how many characters a line may have."""
    if wide:
        return NO_LIMIT
    return shutil.get_terminal_size((UNKNOWN_WIDTH, 24)).columns if sys.stdout.isatty() else UNKNOWN_WIDTH


def has_colour() -> bool:
    """Return whether the output may hold colours."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def table(columns: Sequence[Column], rows: Sequence[Row], width: int) -> str:
    """Return rows under a line of titles, no line longer than `width` where that can be."""
    shown = [(column, [column.value(row) for row in rows]) for column in columns]
    # A column without any value tells nothing, except the first, which names the row.
    shown = [pair for i, pair in enumerate(shown) if i == 0 or any(cell != ABSENT for cell in pair[1])]
    while len(shown) > 1 and _total([_least(*pair) for pair in shown]) > width:
        spare = max(shown, key=lambda pair: pair[0].spare)
        if spare[0].spare == 0:
            break
        shown.remove(spare)
    widths = _fit(shown, width)
    colour = has_colour()
    lines = [_line([column.title for column, _ in shown], shown, widths, False)]
    for number in range(len(rows)):
        lines.append(_line([cells[number] for _, cells in shown], shown, widths, colour))
    return "\n".join(lines)


def shorten(text: str, width: int) -> str:
    """Return a text of at most `width` characters, with … where it was cut."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def wrap(line: str, width: int, indent: str) -> str:
    """Return a line, broken between words where it is too long, with `indent` before what follows."""
    if len(line) <= width:
        return line
    return textwrap.fill(line, width, subsequent_indent=indent, break_on_hyphens=False)


def _least(column: Column, cells: Sequence[str]) -> int:
    natural = _natural(column, cells)
    return min(natural, max(column.least, len(column.title))) if column.least else natural


def _natural(column: Column, cells: Sequence[str]) -> int:
    return max(len(column.title), *map(len, cells)) if cells else len(column.title)


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _fit(shown: Sequence[tuple[Column, list[str]]], width: int) -> list[int]:
    widths = [_natural(*pair) for pair in shown]
    least = [_least(*pair) for pair in shown]
    while _total(widths) > width:
        room = [(widths[i] - least[i], widths[i], i) for i in range(len(widths)) if widths[i] > least[i]]
        if not room:
            break
        # The widest of those that may give way gives way, so that short columns stay whole.
        _, _, index = max(room, key=lambda entry: entry[1])
        widths[index] -= 1
    return widths


def _line(
    cells: Sequence[str], shown: Sequence[tuple[Column, list[str]]], widths: Sequence[int], colour: bool
) -> str:
    parts: list[str] = []
    for cell, (column, _), width in zip(cells, shown, widths, strict=True):
        text = shorten(cell, width)
        padded = text.rjust(width) if column.right else text.ljust(width)
        parts.append(click.style(padded, fg=COLOURS[cell]) if colour and cell in COLOURS else padded)
    return GAP.join(parts).rstrip()
