"""Where in a TOML text which key and value stands, because tomllib gives values without positions."""

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
    """A piece of a statement and where it begins, line and column counted from 1."""

    kind: str
    text: str
    line: int
    column: int


class Columns(NamedTuple):
    """Where a key begins, and where what its value says; the quotation mark does not count."""

    key: int
    value: int


class Span(NamedTuple):
    """A statement, which is the header of a table or sets a key, and its first and last line, counted from 1."""

    path: KeyPath
    is_header: bool
    first: int
    last: int


def spans(text: str) -> list[Span]:
    """Return the statements of a text that tomllib has accepted, in their order."""
    found: list[Span] = []
    arrays: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for statement in _statements(text):
        is_header = statement[0].text == "["
        table = _table_path(statement, arrays) if is_header else table
        path = table if is_header else _split(statement, table)[0]
        last = statement[-1].line + statement[-1].text.count("\n")
        found.append(Span(path, is_header, statement[0].line, last))
    return found


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


def index_columns(text: str) -> dict[KeyPath, Columns]:
    """Return the columns of every key that has a value, and of every list element."""
    columns: dict[KeyPath, Columns] = {}
    arrays: dict[KeyPath, int] = {}
    table: KeyPath = ()
    for statement in _statements(text):
        if statement[0].text == "[":
            table = _table_path(statement, arrays)
            continue
        path, value = _split(statement, table)
        if value:
            columns[path] = Columns(statement[0].column, _begin(value[0]))
        columns |= {place: Columns(token.column, _begin(token)) for place, token in _elements(value, path)}
    return columns


def _begin(token: Token) -> int:
    quotes = len(token.text) - len(token.text.lstrip("\"'")) if token.kind == "string" else 0
    return token.column + min(quotes, 3 if quotes != 2 else 1)


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
    line, begin = 1, 0
    for match in TOKEN.finditer(text):
        kind = match.lastgroup
        assert kind is not None, "every alternative of the pattern has a name"
        if kind != "skip":
            yield Token(kind, match.group(), line, match.start() - begin + 1)
        line += match.group().count("\n")
        begin = max(begin, text.rfind("\n", match.start(), match.end()) + 1)


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
    path, value = _split(statement, table)
    keys = [token for token in statement[: len(statement) - len(value)] if token.kind != "mark"]
    for length, token in enumerate(keys, len(table) + 1):
        lines.setdefault(path[:length], token.line)
    lines |= {place: token.line for place, token in _elements(value, path)}


def _split(statement: list[Token], table: KeyPath) -> tuple[KeyPath, list[Token]]:
    """Return the path of an assignment's key, and its value."""
    equals = next((i for i, token in enumerate(statement) if token.text == "="), len(statement))
    path = (*table, *(_key(token) for token in statement[:equals] if token.kind != "mark"))
    return path, statement[equals + 1 :]


def _elements(value: list[Token], path: KeyPath) -> Iterator[tuple[KeyPath, Token]]:
    """Yield the path and the first token of each element of a list."""
    if not value or value[0].text != "[":
        return
    depth, element, awaited = 0, 0, True
    for token in value:
        if token.kind == "mark" and token.text in "]}":
            depth -= 1
        elif depth == 1 and token.text == ",":
            element, awaited = element + 1, True
            continue
        elif depth == 1 and awaited:
            yield (*path, element), token
            awaited = False
        if token.kind == "mark" and token.text in "[{":
            depth += 1


def _key(token: Token) -> str:
    if token.kind != "string":
        return token.text
    # tomllib knows the escapes of a quoted key.
    return str(tomllib.loads(f"key = {token.text}")["key"])
