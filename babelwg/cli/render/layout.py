"""Aligned tables that fit: columns are shortened, then left out, until a line fits the width."""

import os
import sys
from collections.abc import Callable, Sequence
from typing import NamedTuple

import click

from babelwg.cli.render.rows import Columns, Row, Texts, side_by_side
from babelwg.cli.render.units import ABSENT, plain, word

UNKNOWN_WIDTH = 80  # columns where the output is no terminal
NO_LIMIT = 1 << 20
GAP = "  "
COLOURS = {
    "up": "green",
    "reachable": "green",
    "selected": "green",
    "installed": "green",
    "ok": "green",
    "connecting": "yellow",
    "no-endpoint": "yellow",
    "disabled": "yellow",
    "unresolved": "yellow",
    "unfeasible": "yellow",
    "filtered": "yellow",
    "held": "yellow",
    "refused": "yellow",
    "down": "red",
    "failed": "red",
    "unreachable": "red",
    "retracted": "red",
    "not installed": "red",
    "missing": "red",
    "different": "red",
    "beaten": "red",
    "not wanted": "red",
}


class Keyed:
    """What a column says of some fields: a function of them, asked once for each combination of values."""

    __slots__ = ("keys", "unit")

    def __init__(self, unit: Callable[..., str], *keys: str) -> None:
        """Say `unit` of the fields `keys`."""
        self.unit = unit
        self.keys = keys

    def __call__(self, row: Row) -> str:
        """Return what the column says of a row."""
        return self.unit(*map(row.get, self.keys))

    def all(self, rows: Sequence[Row]) -> Texts:
        """Return what the column says of each row."""
        if not isinstance(rows, Columns):
            return Texts([*map(self, rows)])
        if (found := rows.kinds(*self.keys)) is not None:
            return Texts([self.unit(*values) for values in found[0]], found[1])
        if len(self.keys) > 1:
            return Texts.of_values(self.unit, zip(*map(rows.column, self.keys), strict=True))
        values = rows.column(self.keys[0])
        # Words are said as they are.
        is_said = self.unit is word and all(values) and set(map(type, values)) == {str}
        return Texts(values if is_said else [*map(self.unit, values)])


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
    if not is_terminal():
        return UNKNOWN_WIDTH
    import shutil

    return shutil.get_terminal_size((UNKNOWN_WIDTH, 24)).columns


def is_terminal() -> bool:
    """Return whether somebody reads the output as it comes; nobody does where descriptor 1 was closed."""
    return sys.stdout is not None and sys.stdout.isatty()


def has_colour() -> bool:
    """Return whether the output may hold colours."""
    return is_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def table(columns: Sequence[Column], rows: Sequence[Row], width: int) -> str:
    """Return rows under a line of titles, no line longer than `width` where that can be."""
    shown = [_Cells(column, rows) for column in columns]
    # A column without any value tells nothing, except the first, which names the row.
    shown = [cells for i, cells in enumerate(shown) if i == 0 or not cells.is_empty]
    while len(shown) > 1 and _total([cells.least for cells in shown]) > width:
        spare = max(shown, key=lambda cells: cells.column.spare)
        if spare.column.spare == 0:
            break
        shown.remove(spare)
    widths = _fit(shown, width)
    colour = has_colour()
    titles = [cells.title(width) for cells, width in zip(shown, widths, strict=True)]
    padded = [cells.padded(width, colour) for cells, width in zip(shown, widths, strict=True)]
    return "\n".join([GAP.join(titles).rstrip(), *map(str.rstrip, side_by_side(padded, GAP))])


def shorten(text: str, width: int) -> str:
    """Return a text of at most `width` characters, with … where it was cut."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def wrap(line: str, width: int, indent: str) -> str:
    """Return a line, broken between words where it is too long, with `indent` before what follows."""
    line = plain(line)
    if len(line) <= width:
        return line
    import textwrap

    return textwrap.fill(line, width, subsequent_indent=indent, break_on_hyphens=False)


class _Cells:
    """What a column says of all rows; of ten thousand, most say what others have said."""

    def __init__(self, column: Column, rows: Sequence[Row]) -> None:
        self.column = column
        value = column.value
        texts = value.all(rows) if isinstance(value, Keyed) else Texts([*map(value, rows)])
        if not "".join(texts.kinds).isprintable():
            texts = texts.changed(lambda kinds: [*map(plain, kinds)])
        self._texts = texts
        self.natural = max(len(column.title), max(map(len, texts.kinds), default=0))
        self.is_empty = all(text == ABSENT for text in texts.kinds)

    @property
    def least(self) -> int:
        """The width that the column may be cut to."""
        least = self.column.least
        return min(self.natural, max(least, len(self.column.title))) if least else self.natural

    def title(self, width: int) -> str:
        """Return the title with this width."""
        return self._pad([self.column.title], width, False)[0]

    def padded(self, width: int, colour: bool) -> Texts:
        """Return the cells, each with this width on the screen."""
        return self._texts.changed(lambda cells: self._pad(cells, width, colour))

    def _pad(self, cells: Sequence[str], width: int, colour: bool) -> list[str]:
        fill = str.rjust if self.column.right else str.ljust
        if self.natural > width:
            padded = [fill(shorten(cell, width), width) for cell in cells]
        else:
            padded = [fill(cell, width) for cell in cells]
        if not colour:
            return padded
        return [
            click.style(text, fg=COLOURS[cell]) if cell in COLOURS else text
            for cell, text in zip(cells, padded, strict=True)
        ]


def _total(widths: Sequence[int]) -> int:
    return sum(widths) + len(GAP) * (len(widths) - 1)


def _fit(shown: Sequence[_Cells], width: int) -> list[int]:
    widths = [cells.natural for cells in shown]
    excess = _total(widths) - width
    while excess > 0:
        room = [index for index, cells in enumerate(shown) if widths[index] > cells.least]
        if not room:
            break
        # The widest of those that may give way gives way, so that short columns stay whole.
        index = max(room, key=lambda number: widths[number])
        # At once down to the next widest one, as a name may have thousands of characters.
        next_widest = max((widths[i] for i in room if i != index), default=0)
        step = min(excess, widths[index] - max(shown[index].least, min(next_widest, widths[index] - 1)))
        widths[index] -= step
        excess -= step
    return widths
