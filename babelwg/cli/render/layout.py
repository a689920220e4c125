"""Aligned tables that fit: columns are shortened, then left out, until a line fits the width."""

import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
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


class Shared(NamedTuple):
    """Fields that rows have in common: the values of each kind, and the kind of each row."""

    fields: Mapping[str, list[Any]]
    rows: list[int]


class Columns(Sequence[Row]):
    """Rows that came as columns: a list of values for each field, or the fields that rows have in common."""

    def __init__(self, fields: Sequence[str], own: Mapping[str, list[Any]], groups: Sequence[Shared]) -> None:
        self.fields = fields
        self._own = own
        self._groups = groups

    @classmethod
    def from_answer(cls, data: Mapping[str, Any]) -> "Columns":
        """Return the rows of an answer."""
        groups = [Shared(group["fields"], group["rows"]) for group in data["shared"]]
        return cls(data["fields"], data["columns"], groups)

    def kinds(self, *fields: str) -> tuple[list[tuple[Any, ...]], list[int]] | None:
        """Return the values of some fields for each kind of row, and the kind of each row, where they are told so."""
        for group in self._groups:
            if all(field in group.fields for field in fields):
                return [*zip(*(group.fields[field] for field in fields), strict=True)], group.rows
        return None

    def column(self, field: str) -> list[Any]:
        """Return one field of all rows, None where it is not told."""
        if (found := self.kinds(field)) is not None:
            kinds, rows = found
            return [kinds[kind][0] for kind in rows]
        return self._own.get(field) or [None] * len(self)

    def pick(self, numbers: Sequence[int]) -> "Columns":
        """Return the rows with these numbers, in this order."""
        own = {field: [values[number] for number in numbers] for field, values in self._own.items()}
        groups = [Shared(group.fields, [group.rows[number] for number in numbers]) for group in self._groups]
        return Columns(self.fields, own, groups)

    def __len__(self) -> int:
        return len(next(iter(self._own.values()), self._groups[0].rows if self._groups else ()))

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | Sequence[Row]:
        if isinstance(index, slice):
            return self.pick(range(len(self))[index])
        shared = {f: values[g.rows[index]] for g in self._groups for f, values in g.fields.items()}
        own = {field: values[index] for field, values in self._own.items()}
        return {field: shared[field] if field in shared else own[field] for field in self.fields}


def column_of(rows: Sequence[Row], key: str) -> list[Any]:
    """Return one field of all rows, None where a row has none."""
    if isinstance(rows, Columns):
        return rows.column(key)
    return [row.get(key) for row in rows]


class Texts(NamedTuple):
    """What is said of each row: the text of each kind, and the kind of each row; None where the kinds are the rows."""

    kinds: Mapping[Any, str]
    rows: Sequence[Any] | None = None

    @classmethod
    def of_each(cls, texts: Iterable[str]) -> "Texts":
        """Return what is said of rows one by one."""
        return cls(dict(enumerate(texts)))

    def changed(self, change: Callable[[Iterable[str]], Iterable[str]]) -> "Texts":
        """Return the texts after a change of all kinds."""
        return Texts(dict(zip(self.kinds, change(self.kinds.values()), strict=True)), self.rows)

    def all(self) -> Iterable[str]:
        """Return the text of each row."""
        return self.kinds.values() if self.rows is None else map(self.kinds.__getitem__, self.rows)


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

    def all(self, rows: Sequence[Row]) -> Texts:
        """Return what the column says of each row."""
        if isinstance(rows, Columns) and (found := rows.kinds(*self.keys)) is not None:
            return Texts(dict(enumerate(self.unit(*values) for values in found[0])), found[1])
        if not isinstance(rows, Columns):
            return Texts.of_each(map(self, rows))
        if len(self.keys) > 1:
            combined = list(zip(*(column_of(rows, key) for key in self.keys), strict=True))
            return Texts({values: self.unit(*values) for values in set(combined)}, combined)
        values = column_of(rows, self.keys[0])
        if self.is_whole:
            values = [None if value is None else int(value) for value in values]
        kinds = set(values)
        if 2 * len(kinds) > len(values):
            return Texts.of_each(map(self.unit, values))
        return Texts({value: self.unit(value) for value in kinds}, values)


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
    """What a column says of all rows; of ten thousand, most say what others have said."""

    def __init__(self, column: Column, rows: Sequence[Row]) -> None:
        self.column = column
        value = column.value
        texts = value.all(rows) if isinstance(value, Keyed) else Texts.of_each(map(value, rows))
        if not "".join(texts.kinds.values()).isprintable():
            texts = texts.changed(partial(map, plain))
        self._texts = texts
        self.natural = max(len(column.title), max(map(len, texts.kinds.values()), default=0))
        self.is_empty = all(text == ABSENT for text in texts.kinds.values())

    @property
    def least(self) -> int:
        """The width that the column may be cut to."""
        least = self.column.least
        return min(self.natural, max(least, len(self.column.title))) if least else self.natural

    def padded(self, width: int, colour: bool) -> list[str]:
        """Return the title and the cells, each with this width on the screen."""
        cells = self._texts.changed(lambda cells: self._pad(cells, width, colour))
        return [*self._pad([self.column.title], width, False), *cells.all()]

    def _pad(self, cells: Iterable[str], width: int, colour: bool) -> list[str]:
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
