"""What grows without end: the entries of all containers that an object reaches, and their course over time."""

from collections import Counter, deque
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import pairwise
from statistics import median
from types import CellType, FunctionType, MethodType
from typing import NamedTuple

PACKAGE = "babelwg."
WINDOWS = 6  # of equal length, after the warm-up
WARM_UP = 1 / 6  # of the time
LEAST, SHARE = 6, 0.15  # entries, and part of what there was: a growth that counts
CONTAINERS = (dict, list, set, frozenset, deque)


class Growth(NamedTuple):
    """A container whose size rose from each window to the next, with its median in each."""

    label: str
    medians: tuple[float, ...]

    def __str__(self) -> str:
        return f"{self.label} grows: {' '.join(f'{value:g}' for value in self.medians)}"


def census(root: object) -> Counter[str]:
    """Return how many entries the containers have that an object reaches, by owner and name, and how many objects.

    A container is named by the class and the attribute that hold it, one inside of another with `[]`. Followed are
    attributes, slots, entries, bound arguments and what functions enclose; of other packages nothing.
    """
    counts: Counter[str] = Counter()
    seen: set[int] = set()
    todo: list[tuple[str, object]] = [("root", root)]
    while todo:
        label, item = todo.pop()
        if id(item) in seen or isinstance(item, str | bytes | int | float | type | None):
            continue
        seen.add(id(item))
        if isinstance(item, CONTAINERS):
            counts[label] += len(item)
        elif not isinstance(item, tuple) and type(item).__module__.startswith(PACKAGE):
            counts[f"objects of {type(item).__name__}"] += 1
        todo.extend(_inner(label, item))
    return counts


def _inner(label: str, item: object) -> Iterator[tuple[str, object]]:
    """Yield what an object holds, with the name of each."""
    if isinstance(item, Mapping):
        for key, value in item.items():
            yield f"{label}[]", key
            yield f"{label}[]", value
    elif isinstance(item, (tuple, *CONTAINERS)):
        yield from ((f"{label}[]", part) for part in item)
    elif isinstance(item, partial):
        yield from ((label, part) for part in (item.func, *item.args, *item.keywords.values()))
    elif isinstance(item, MethodType):
        yield label, item.__self__
    elif isinstance(item, FunctionType):
        yield from ((f"{item.__qualname__}()", cell) for cell in item.__closure__ or ())
    elif isinstance(item, CellType):
        try:
            yield label, item.cell_contents
        except ValueError:
            return  # Nothing was put in yet.
    elif type(item).__module__.startswith(PACKAGE):
        for name in _attributes(item):
            if hasattr(item, name):
                yield f"{type(item).__name__}.{name}", getattr(item, name)


def _attributes(item: object) -> set[str]:
    slots = {name for kind in type(item).__mro__ for name in getattr(kind, "__slots__", ())}
    return (slots | getattr(item, "__dict__", {}).keys()) - {"__dict__", "__weakref__"}


def growing(samples: Sequence[Mapping[str, int]]) -> list[Growth]:
    """Return what keeps growing over samples that were taken at equal distances, the most grown first.

    After the warm-up the median of each window is above the one before, and the last is clearly above the first. What
    is full, what comes and goes, and what rises once is not meant.
    """
    kept = samples[round(len(samples) * WARM_UP) :]
    size = len(kept) // WINDOWS
    assert size > 0, "more samples than windows"
    windows = [kept[number * size : (number + 1) * size] for number in range(WINDOWS)]
    found = []
    for label in sorted({label for sample in kept for label in sample}):
        medians = tuple(median(sample.get(label, 0) for sample in window) for window in windows)
        rises = all(after > before for before, after in pairwise(medians))
        if rises and medians[-1] - medians[0] >= LEAST + SHARE * medians[0]:
            found.append(Growth(label, medians))
    return sorted(found, key=lambda growth: growth.medians[0] - growth.medians[-1])
