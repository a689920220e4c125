"""What [babel] says in TOML about interfaces, keys and filters, as directives of babeld's language.

One grammar reads both, so a setting means the same wherever it stands; the place of the TOML key goes with it.
"""

import re
from collections.abc import Iterator
from pathlib import Path

from babelwg.config.babeld import Line
from babelwg.config.babeld.filter_text import string_text
from babelwg.config.errors import quoted
from babelwg.config.files import read_secret
from babelwg.config.toml.positions import Columns
from babelwg.config.toml.table import Table, describe

FILTERS = ("in", "out", "redistribute", "install")
GLOBALS = (
    "allow-duplicates",
    "import-table",
    "ipv6-subtrees",
    "kernel-check-interval",
    "link-detect",
    "local-path",
    "local-path-readwrite",
    "local-port",
    "local-port-readwrite",
    "protocol-group",
    "protocol-port",
    "random-id",
    "reflect-kernel-metric",
    "router-id",
    "shutdown-delay-ms",
    "smoothing-half-life",
)
LOCAL = ("local-path", "local-port")  # what `local-readwrite = true` lets write, too
WORD = re.compile(r'[^\s#"\\]+')


def babeld_lines(table: Table, directory: Path) -> list[Line]:
    """Return the directives that the keys of [babel] stand for, in the order in which they have to be read."""
    suffix = "-readwrite" if table.boolean("local-readwrite", False) else ""
    lines = [
        line for name in GLOBALS for line in _global(table, name, name + suffix if name in LOCAL else name)
    ]
    for key in table.tables("key"):
        lines += _key(key, directory)
    for interface in table.tables("interface"):
        lines += _interface(interface)
    for kind in FILTERS:
        texts = table.parsed_list(kind, _one_line)
        lines += [
            _line(table, (kind, index), f"{kind} {text}", len(kind) + 1) for index, text in enumerate(texts)
        ]
    return lines


def is_word(text: str) -> bool:
    """Return whether a text can stand in TOML for one word of babeld's language."""
    return WORD.fullmatch(text) is not None


def _global(table: Table, name: str, directive: str) -> Iterator[Line]:
    value = table.raw(name)
    values = value if isinstance(value, list) and name == "import-table" else [value]
    for index, item in enumerate(values if value is not None else ()):
        if (word := _word(table, name, item)) is not None:
            yield _line(table, (name, index), f"{directive} {word}", len(directive) + 1)


def _key(table: Table, directory: Path) -> list[Line]:
    name = table.parsed("id", _plain, required=True)
    algorithm = table.parsed("type", _plain, required=True)
    value = table.parsed("value", _secret)
    from_file = table.parsed("value-file", lambda text: _secret(read_secret(directory / text).strip()))
    table.finish()
    given = [key for key in ("value", "value-file") if key in table.values]
    if len(given) != 1:
        table.complain(None, 'a key has either "value" or "value-file"')
    if name is None or algorithm is None or (value or from_file) is None:
        return []
    text = f"key id {name} type {algorithm} value {value or from_file}"
    return [_line(table, ("id",), text, len(text) + 1)]


def _interface(table: Table) -> list[Line]:
    name = table.parsed("name", _one_line, required=True)
    if name is None:
        return []
    start = f"interface {string_text(name)}"
    lines = [_line(table, ("name",), start, len("interface "))]
    keys = table.parsed_list("keys", _plain)
    lines += [
        _line(table, ("keys", index), f"{start} key {key}", len(f"{start} key "))
        for index, key in enumerate(keys)
    ]
    for parameter in table.values:
        if parameter not in ("name", "keys"):
            word = _word(table, parameter, table.raw(parameter))
            if word is not None:
                text = f"{start} {parameter} {word}"
                lines.append(_line(table, (parameter,), text, len(text) - len(word)))
    return lines


def _word(table: Table, key: str, value: object) -> str | None:
    """Return a TOML value as a word of babeld's language, None after a complaint."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return f"{value:.3f}"
    if not isinstance(value, str):
        table.complain(key, f'"{key}" must be a string, a number, true or false, not {describe(value)}')
        return None
    try:
        return _plain(value)
    except ValueError as error:
        table.complain(key, f'"{key}": {error}')
        return None


def _plain(text: str) -> str:
    if not is_word(text):
        raise ValueError(
            "this is not a single word" if len(text) > 60 else f"{quoted(text)} is not a single word"
        )
    return text


def _secret(text: str) -> str:
    # A complaint must not repeat it.
    if not is_word(text):
        raise ValueError("this is not a word of hexadecimal digits")
    return text


def _one_line(text: str) -> str:
    if "\n" in text or "\r" in text:
        raise ValueError("this is more than one line")
    return text


def _line(table: Table, path: tuple[str | int, ...], text: str, added: int) -> Line:
    place = (*table.path, *path)
    document = table.document
    # A single string may stand for a list of one, and import-table for a list.
    columns = document.columns.get(place) or document.columns.get(place[:-1]) or Columns(1, 1)
    return Line(text, document.file, document.line_of(place), added, columns.key, columns.value)
