"""Rows of tables: as they came, one by one or as columns, and what is said of each."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple, overload

Row = Mapping[str, Any]


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
    """What is said of rows: the text of each kind, and the number of each row's kind; None where each is its own."""

    kinds: Sequence[str]
    rows: Sequence[int] | None = None

    @classmethod
    def of_values(cls, unit: Callable[..., str], values: Iterable[tuple[Any, ...]]) -> "Texts":
        """Return what `unit` says of the values of each row, asked once for each combination."""
        numbers: dict[tuple[Any, ...], int] = {}
        rows = [numbers.setdefault(value, len(numbers)) for value in values]
        return cls([unit(*value) for value in numbers], rows)

    def changed(self, change: Callable[[Sequence[str]], Sequence[str]]) -> "Texts":
        """Return the texts after a change of all kinds."""
        return Texts(change(self.kinds), self.rows)


def side_by_side(columns: Iterable[Texts], gap: str) -> list[str]:
    """Return a line for each row: what columns say, with `gap` between; joined once for each combination of kinds."""
    pieces: list[Iterable[str]] = []
    for is_each, neighbours in groupby(columns, lambda texts: texts.rows is None):
        texts = [*neighbours]
        if is_each:
            pieces += [text.kinds for text in texts]
        else:
            # Columns of one group share their list of kinds.
            groups = {id(text.rows): text.rows or () for text in texts}
            places = {key: place for place, key in enumerate(groups)}
            joined = _Joined([(text.kinds, places[id(text.rows)]) for text in texts], gap)
            pieces.append(map(joined.__getitem__, zip(*groups.values(), strict=True)))
    return [*map(gap.join, zip(*pieces, strict=True))]


class _Joined(dict[tuple[int, ...], str]):
    """What columns say side by side, by the number of the kind in each group; joined when it is first asked."""

    def __init__(self, columns: Sequence[tuple[Sequence[str], int]], gap: str) -> None:
        super().__init__()
        self._columns = columns
        self._gap = gap

    def __missing__(self, key: tuple[int, ...]) -> str:
        texts = [kinds[key[group]] for kinds, group in self._columns]
        self[key] = text = self._gap.join(texts)
        return text
