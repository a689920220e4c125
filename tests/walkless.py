"""A table for tests that count on it that no entry is looked at but those asked for."""

from typing import Any, NoReturn


class Walkless(dict[Any, Any]):
    """A dictionary that refuses to be walked over, so that a change costs what it changes however large it is."""

    def _refuse(self) -> NoReturn:
        raise AssertionError("what one change costs must not grow with the table")

    __iter__ = keys = values = items = _refuse  # type: ignore[assignment]


def forbid_walks(owner: object, *names: str) -> None:
    """Put such tables in the place of these attributes."""
    for name in names:
        setattr(owner, name, Walkless(getattr(owner, name)))
