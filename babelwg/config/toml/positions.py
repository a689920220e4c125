"""Which line of a TOML text holds which key, because tomllib gives values without positions."""

import re
import tomllib
from collections.abc import Iterator
from typing import NamedTuple

KeyPath = tuple[str | int, ...]

TOKEN = re.compile(
    r'(?P<string>"""(?:\\.|[^\\])*?"{3,5}|"(?:\\.|[^"\\\n])*"'
    r"|'''.*?'{3,5}|'[^'\n]*')"
    r"|(?P<newline>\n)"
    r"|(?P<skip>[ \t\r]+|\#[^\n]*)"
    r"|(?P<mark>[\[\]{},=.])"
    r"|(?P<bare>[^\s\[\]{},=.\#\"']+)",
    re.DOTALL,
)


class Token(NamedTuple):
    """A piece of a statement and the line that it begins on, counted from 1."""

    kind: str
    text: str
    line: int


def index_lines(text: str) -> dict[KeyPath, int]:
    """Return the line of every table, key and list element of a text that tomllib has accepted."""
    lines: dict[KeyPath, int] = {}
    arrays: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for statement in _statements(text):
        if statement[0].text == "[":
            table = _table_path(statement, arrays)
            lines.setdefault(table, statement[0].line)
        else:
            _index_assignment(statement, table, lines)
    return lines


def _statements(text: str) -> Iterator[list[Token]]:
    statement: list[Token] = []
    depth = 0
    for token in _tokens(text):
        if token.kind == "newline":
            if depth == 0 and statement:
                yield statement
                statement = []
            continue
        if token.kind == "mark":
            depth += (token.text in "[{") - (token.text in "]}")
        statement.append(token)
    if statement:
        yield statement


def _tokens(text: str) -> Iterator[Token]:
    line = 1
    for match in TOKEN.finditer(text):
        kind = match.lastgroup
        assert kind is not None, "every alternative of the pattern has a name"
        if kind != "skip":
            yield Token(kind, match.group(), line)
        line += match.group().count("\n")


def _table_path(statement: list[Token], arrays: dict[KeyPath, int]) -> KeyPath:
    is_array = len(statement) > 1 and statement[1].text == "["
    keys = [_key(token) for token in statement if token.kind != "mark"]
    path: KeyPath = ()
    for position, key in enumerate(keys):
        path += (key,)
        if is_array and position == len(keys) - 1:
            arrays[path] = arrays.get(path, 0) + 1
        if path in arrays:
            path += (arrays[path] - 1,)
    return path


def _index_assignment(statement: list[Token], table: KeyPath, lines: dict[KeyPath, int]) -> None:
    equals = next((i for i, token in enumerate(statement) if token.text == "="), len(statement))
    path = table
    for token in statement[:equals]:
        if token.kind != "mark":
            path += (_key(token),)
            lines.setdefault(path, token.line)
    value = statement[equals + 1 :]
    if value and value[0].text == "[":
        _index_elements(value, path, lines)


def _index_elements(value: list[Token], path: KeyPath, lines: dict[KeyPath, int]) -> None:
    depth, element, awaited = 0, 0, True
    for token in value:
        if token.kind == "mark" and token.text in "]}":
            depth -= 1
        elif depth == 1 and token.text == ",":
            element, awaited = element + 1, True
            continue
        elif depth == 1 and awaited:
            lines[(*path, element)] = token.line
            awaited = False
        if token.kind == "mark" and token.text in "[{":
            depth += 1


def _key(token: Token) -> str:
    if token.kind != "string":
        return token.text
    # tomllib knows the escapes of a quoted key.
    return str(tomllib.loads(f"key = {token.text}")["key"])
