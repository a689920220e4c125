"""Aligned tables that fit: columns are shortened, then left out, until a line fits the width."""

import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, overload

import click

from babelwg.cli.render.units import ABSENT, plain

Row = Mapping[str, Any]

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


class Columns(Sequence[Row]):
    """Rows that came as columns, a list of values for each field."""

    def __init__(self, columns: Mapping[str, list[Any]]) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        if isinstance(index, slice):
            return Columns({key: values[index] for key, values in self.columns.items()})
        return {key: values[index] for key, values in self.columns.items()}


def column_of(rows: Sequence[Row], key: str) -> list[Any]:
    """Return one field of all rows, None where a row has none."""
    if isinstance(rows, Columns):
        return rows.columns.get(key) or [None] * len(rows)
    return [row.get(key) for row in rows]


class Keyed:
    """What a column says of some fields: a function of them, asked once for each combination of values."""

    __slots__ = ("is_whole", "keys", "unit")

    def __init__(self, unit: Callable[..., str], *keys: str, is_whole: bool = False) -> None:
        """Say `unit` of the fields `keys`; `is_whole` where the fraction of a number makes no difference."""
        self.unit = unit
        self.keys = keys
        self.is_whole = is_whole

    def __call__(self, row: Row) -> str:
        """Return what the column says of a row."""
        return self.unit(*map(row.get, self.keys))

    def all(self, rows: Sequence[Row]) -> list[str]:
        """Return what the column says of each row."""
        if len(self.keys) == 1:
            values = column_of(rows, self.keys[0])
            if self.is_whole:
                values = [None if value is None else int(value) for value in values]
            texts = {value: self.unit(value) for value in set(values)}
        else:
            values = list(zip(*(column_of(rows, key) for key in self.keys), strict=True))
            texts = {value: self.unit(*value) for value in set(values)}
        return [texts[value] for value in values]


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
    padded = [cells.padded(width, colour) for cells, width in zip(shown, widths, strict=True)]
    return "\n".join([GAP.join(line).rstrip() for line in zip(*padded, strict=True)])


def shorten(text: str, width: int) -> str:
    """Return a text of at most `width` characters, with … where it was cut."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def wrap(line: str, width: int, indent: str) -> str:
    """Return a line, broken between words where it is too long, with `indent` before what follows."""
    line = plain(line)
    if len(line) <= width:
        return line
    return textwrap.fill(line, width, subsequent_indent=indent, break_on_hyphens=False)


class _Cells:
    """What a column says of all rows; ten thousand of them are worked on at once, column by column."""

    def __init__(self, column: Column, rows: Sequence[Row]) -> None:
        self.column = column
        value = column.value
        cells = value.all(rows) if isinstance(value, Keyed) else [value(row) for row in rows]
        if not "".join(cells).isprintable():
            cells = [plain(cell) for cell in cells]
        self.cells = cells
        self.natural = max(len(column.title), max(map(len, cells), default=0))
        self.is_empty = all(cell == ABSENT for cell in cells)

    @property
    def least(self) -> int:
        """The width that the column may be cut to."""
        least = self.column.least
        return min(self.natural, max(least, len(self.column.title))) if least else self.natural

    def padded(self, width: int, colour: bool) -> list[str]:
        """Return the title and the cells, each with this width on the screen."""
        cells, kinds = self.cells, set(self.cells)
        if 4 * len(kinds) < len(cells):
            # Most rows say what others have said.
            made = {cell: self._pad(cell, width, colour) for cell in kinds}
            return [self._pad(self.column.title, width, False), *[made[cell] for cell in cells]]
        return [
            self._pad(self.column.title, width, False),
            *[self._pad(cell, width, colour) for cell in cells],
        ]

    def _pad(self, cell: str, width: int, colour: bool) -> str:
        if len(cell) > width:
            text = shorten(cell, width)
        else:
            text = cell.rjust(width) if self.column.right else cell.ljust(width)
        return click.style(text, fg=COLOURS[cell]) if colour and cell in COLOURS else text


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
