"""What is wrong with a configuration: every complaint with its file and line, all of them at once."""

import difflib
from collections.abc import Iterable
from dataclasses import dataclass

MAX_QUOTED = 60  # characters of a foreign text that a message repeats


@dataclass(frozen=True, slots=True)
class ConfigError:
    """One complaint; `line` is None when the whole file is meant, `column` counts from 1."""

    file: str
    line: int | None
    message: str
    column: int | None = None

    def __str__(self) -> str:
        place = [self.file]
        if self.line is not None:
            place.append(str(self.line))
            if self.column is not None:
                place.append(str(self.column))
        return f"{':'.join(place)}: {self.message}"


class ConfigErrors(Exception):
    """All complaints about a configuration; its text has one `file:line: message` per line."""

    def __init__(self, errors: Iterable[ConfigError]) -> None:
        self.errors = tuple(errors)
        super().__init__("\n".join(str(error) for error in self.errors))


def quoted(text: str) -> str:
    """Return a foreign text in quotation marks, shortened and without control characters."""
    shown = text if len(text) <= MAX_QUOTED else text[:MAX_QUOTED] + "…"
    return '"' + "".join(c if c.isprintable() else repr(c)[1:-1] for c in shown) + '"'


def expected(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean "…"?` when a known word is near, else all of those known."""
    *most, last = known
    return did_you_mean(word, (*most, last)) or f", expected {', '.join(most)} or {last}"


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `; did you mean "…"?` when a known word is near, else nothing."""
    near = difflib.get_close_matches(word[:MAX_QUOTED], list(known), n=1, cutoff=0.6)
    return f'; did you mean "{near[0]}"?' if near else ""
