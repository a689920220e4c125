"""A TOML table that is read key by key, gathering every complaint with its line."""

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from babelwg.config.errors import ConfigError, ConfigErrors, did_you_mean, quoted
from babelwg.config.files import read_text
from babelwg.config.toml.positions import Columns, KeyPath, index_columns, index_lines

T = TypeVar("T")
SYNTAX_ERROR = re.compile(r"(.*) \(at line (\d+), column (\d+)\)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed TOML file with the places of its keys."""

    file: str
    values: Mapping[str, object]
    lines: Mapping[KeyPath, int]
    columns: Mapping[KeyPath, Columns]

    def line_of(self, path: KeyPath) -> int:
        """Return the line of a key, or of the nearest table around it."""
        while path:
            if path in self.lines:
                return self.lines[path]
            path = path[:-1]
        return 1


def read_document(path: Path) -> Document:
    """Return the parsed file, or raise the reason why there is none."""
    return parse_document(read_text(path), str(path))


def parse_document(text: str, file: str) -> Document:
    """Return the parsed text; a syntax error carries its line and column."""
    try:
        values = tomllib.loads(text)
    except RecursionError as error:
        raise ConfigErrors([ConfigError(file, None, "lists or tables are nested too deeply")]) from error
    # tomllib also lets the plain ValueError of an integer with thousands of digits through.
    except ValueError as error:
        raise ConfigErrors([_syntax_error(str(error), file, text)]) from error
    text = text.replace("\r\n", "\n")
    return Document(file, values, index_lines(text), index_columns(text))


def _syntax_error(message: str, file: str, text: str) -> ConfigError:
    match = SYNTAX_ERROR.fullmatch(message)
    if match:
        return ConfigError(file, int(match[2]), match[1], int(match[3]))
    if message.endswith(" (at end of document)"):
        return ConfigError(file, text.rstrip("\n").count("\n") + 1, message)
    return ConfigError(file, None, message)


class Table:
    """One table of a document; each method reads a key, and complains instead of raising."""

    def __init__(
        self, document: Document, path: KeyPath, values: Mapping[str, object], errors: list[ConfigError]
    ) -> None:
        self.document = document
        self.path = path
        self.values = values
        self.errors = errors
        self.known: set[str] = set()

    def text(self, key: str, *, required: bool = False) -> str | None:
        """Return a string, or None when it is absent or wrong."""
        value = self._take(key)
        if value is None:
            if required:
                self.complain(None, f'"{key}" is missing')
            return None
        if not isinstance(value, str):
            self.complain(key, f'"{key}" must be a string, not {describe(value)}')
            return None
        return value

    def parsed(self, key: str, parse: Callable[[str], T], *, required: bool = False) -> T | None:
        """Return a string as `parse` understands it; its ValueError becomes the complaint."""
        text = self.text(key, required=required)
        return None if text is None else self._parse(key, None, text, parse)

    def parsed_list(self, key: str, parse: Callable[[str], T]) -> tuple[T, ...]:
        """Return a list of strings (or one string) as `parse` understands each."""
        value = self._take(key)
        if value is None:
            return ()
        items: list[object] = value if isinstance(value, list) else [value]
        found: list[T] = []
        for index, item in enumerate(items):
            if not isinstance(item, str):
                message = f'"{key}" must be a list of strings, but holds {describe(item)}'
                self._complain_at((*self.path, key, index), message)
                continue
            parsed = self._parse(key, index, item, parse)
            if parsed is not None:
                found.append(parsed)
        return tuple(found)

    def integer(self, key: str, default: int, low: int, high: int) -> int:
        """Return an integer between two bounds."""
        value = self._take(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int):
            self.complain(key, f'"{key}" must be an integer, not {describe(value)}')
            return default
        if not low <= value <= high:
            self.complain(key, f'"{key}" must be {low}-{high}')
            return default
        return value

    def seconds(self, key: str, default: T, low: float, high: float) -> float | T:
        """Return a number of seconds between two bounds."""
        value = self._take(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.complain(key, f'"{key}" must be a number of seconds, not {describe(value)}')
            return default
        if not low <= value <= high:
            self.complain(key, f'"{key}" must be {low:g}-{high:g} seconds')
            return default
        return float(value)

    def boolean(self, key: str, default: bool) -> bool:
        """Return true or false."""
        value = self._take(key)
        if value is None:
            return default
        if not isinstance(value, bool):
            self.complain(key, f'"{key}" must be true or false, not {describe(value)}')
            return default
        return value

    def table(self, key: str) -> "Table":
        """Return a table inside this one; an absent one reads as empty."""
        value = self._take(key)
        values: dict[str, object] = {}
        if isinstance(value, dict):
            values = value
        elif value is not None:
            self.complain(key, f"[{key}] must be a table, not {describe(value)}")
        return Table(self.document, (*self.path, key), values, self.errors)

    def tables(self, key: str) -> list["Table"]:
        """Return the tables of a list of tables, as `[[key]]` writes them."""
        value = self._take(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.complain(key, f"{key} must be a list of tables, written [[{key}]]")
            return []
        found: list[Table] = []
        for index, item in enumerate(value):
            path = (*self.path, key, index)
            if isinstance(item, dict):
                found.append(Table(self.document, path, item, self.errors))
            else:
                self._complain_at(path, f"{key} must be a list of tables, but holds {describe(item)}")
        return found

    def raw(self, key: str) -> object:
        """Return a value of any type, or None."""
        return self._take(key)

    def complain(self, key: str | None, message: str) -> None:
        """Note what is wrong with a key, or with the table itself."""
        self._complain_at(self.path if key is None else (*self.path, key), message)

    def complain_about_item(self, key: str, index: int, message: str) -> None:
        """Note what is wrong with one element of a list."""
        self._complain_at((*self.path, key, index), message)

    def place(self, key: str) -> str:
        """Return `file:line` of a key, for a complaint that points at it from elsewhere."""
        return f"{self.document.file}:{self.document.line_of((*self.path, key))}"

    def finish(self) -> None:
        """Complain about every key that nobody has read."""
        for key in self.values:
            if key not in self.known:
                self.complain(key, f"unknown key {quoted(key)}{did_you_mean(key, self.known)}")

    def _take(self, key: str) -> object:
        self.known.add(key)
        return self.values.get(key)

    def _parse(self, key: str, index: int | None, text: str, parse: Callable[[str], T]) -> T | None:
        try:
            return parse(text)
        except ValueError as error:
            path = (*self.path, key) if index is None else (*self.path, key, index)
            self._complain_at(path, f'"{key}": {error}')
            return None

    def _complain_at(self, path: KeyPath, message: str) -> None:
        self.errors.append(ConfigError(self.document.file, self.document.line_of(path), message))


def describe(value: object) -> str:
    """Return the TOML type of a value in words."""
    if isinstance(value, bool):
        return "true or false"
    names = {str: "a string", int: "an integer", float: "a number", list: "a list", dict: "a table"}
    return names.get(type(value), "a date or time")
