"""Peers put into a TOML text, changed and taken out, with all else left as it was written: comments, order, blanks."""

import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

import tomlkit

from babelwg.config.toml.positions import KeyPath, Span, spans
from babelwg.config.toml.text import string

Value = str | int | list[str]


def peer_names(text: str) -> list[str | None]:
    """Return the names of the peers in a text, in their order; a file of `peers.d/` may be one without a header."""
    return [name if isinstance(name := table.get("name"), str) else None for table in _tables(text)]


def add_peers(text: str, peers: Iterable[Mapping[str, Value]]) -> str:
    """Return the text of a configuration with more peers at its end."""
    if _is_inline(text):
        document = tomlkit.parse(text)
        for values in peers:
            inline = tomlkit.inline_table()
            inline.update(values)
            document["peer"].append(inline)
        return tomlkit.dumps(document)
    lines = _lines(text)
    for values in peers:
        lines += [""] if any(lines) else []
        lines += ["[[peer]]", *(f"{key} = {value_text(value)}" for key, value in values.items())]
    return _joined(lines, text)


def remove_peer(text: str, name: str) -> str:
    """Return a text without a peer, and without the comment right above its header."""
    index = peer_names(text).index(name)
    if _is_inline(text):
        document = tomlkit.parse(text)
        del document["peer"][index]
        return tomlkit.dumps(document)
    path = _path(text, index)
    if not path:
        return ""
    lines = _lines(text)
    found = spans(_plain(text))
    first = next(span.first for span in found if span.path == path)
    rest = (span.first for span in found if span.first > first and span.is_header and span.path[:2] != path)
    end = next(rest, None)
    start = _comment_above(lines, first)
    stop = len(lines) if end is None else _comment_above(lines, end)
    kept = [*lines[:start], *lines[stop:]]
    while stop == len(lines) and kept and not kept[-1].strip():
        kept.pop()
    return _joined(kept, text)


def set_peer(text: str, name: str, changes: Mapping[str, Value | None]) -> str:
    """Return a text with keys of a peer changed or added; None takes a key away."""
    index = peer_names(text).index(name)
    present = _tables(text)[index]
    document = tomlkit.parse(text)
    table: Any = document["peer"][index] if "peer" in document else document
    new = {key: value for key, value in changes.items() if key not in present and value is not None}
    for key in changes.keys() & present.keys():
        if (value := changes[key]) is None:
            del table[key]
        else:
            table[key] = value
    if _is_inline(text):
        table.update(new)
        return tomlkit.dumps(document)
    return _with_keys(tomlkit.dumps(document), index, new)


def value_text(value: Value) -> str:
    """Return a value as TOML writes it."""
    if isinstance(value, list):
        return f"[{', '.join(map(string, value))}]"
    return str(value) if isinstance(value, int) else string(value)


def _with_keys(text: str, index: int, values: Mapping[str, Value]) -> str:
    """Return a text with keys after the last one of a peer; tomlkit would put them below the comments that follow."""
    if not values:
        return text
    path = _path(text, index)
    own = [span for span in spans(_plain(text)) if span.path[: len(path)] == path]
    lines, last = _lines(text), max((span.last for span in own), default=0)
    indent = _indent(lines, own)
    added = [f"{indent}{key} = {value_text(value)}" for key, value in values.items()]
    return _joined([*lines[:last], *added, *lines[last:]], text)


def _indent(lines: list[str], own: Iterable[Span]) -> str:
    keys = [lines[span.first - 1] for span in own if not span.is_header]
    return keys[-1][: len(keys[-1]) - len(keys[-1].lstrip())] if keys else ""


def _tables(text: str) -> list[dict[str, Any]]:
    values = tomllib.loads(text)
    peers = values.get("peer", [values] if "public-key" in values else [])
    return [peer for peer in peers if isinstance(peer, dict)] if isinstance(peers, list) else []


def _path(text: str, index: int) -> KeyPath:
    return ("peer", index) if "peer" in tomllib.loads(text) else ()


def _is_inline(text: str) -> bool:
    """Return whether the peers stand in one list of inline tables."""
    headers = any(span.is_header and span.path[:1] == ("peer",) for span in spans(_plain(text)))
    return "peer" in tomllib.loads(text) and not headers


def _comment_above(lines: list[str], header: int) -> int:
    """Return how many lines stand before a header (line counted from 1) and the comment right above it."""
    start = header - 1
    while start and lines[start - 1].lstrip().startswith("#"):
        start -= 1
    return start


def _plain(text: str) -> str:
    return text.replace("\r\n", "\n")


def _lines(text: str) -> list[str]:
    return _plain(text).removesuffix("\n").split("\n") if text else []


def _joined(lines: list[str], text: str) -> str:
    end = "\r\n" if "\r\n" in text else "\n"
    return "".join(line + end for line in lines)
