"""Filters written as a line of babeld's language, in one form for each meaning."""

import re
from collections.abc import Iterator
from ipaddress import ip_address

from babelwg.babel.events import router_id_text
from babelwg.config.babeld.filters import MAX_PLEN, Filter

PLAIN = re.compile(r'[^\s#"\\]+')


def filter_text(kind: str, line: Filter) -> str:
    """Return a filter as `in ip 10.0.0.0/8 ge 16 allow`; read again it gives an equal one."""
    return f"{kind} {clauses_text(line)}"


def clauses_text(line: Filter) -> str:
    """Return the selectors of a filter and then its actions, without the word that begins the line."""
    return " ".join((*_selectors(line), *_actions(line)))


def string_text(text: str) -> str:
    """Return a string as a word, in quotation marks where it needs them."""
    if PLAIN.fullmatch(text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _selectors(line: Filter) -> Iterator[str]:
    if line.prefix is not None:
        yield f"ip {line.prefix}"
    yield from _length("", line.min_plen, line.max_plen)
    if _needs_length(line):
        yield "ge 0"
    if line.source_prefix is not None:
        yield f"src-ip {line.source_prefix}"
    yield from _length("src-", line.min_source_plen, line.max_source_plen)
    if line.neighbour is not None:
        yield f"neigh {ip_address(line.neighbour)}"
    if line.router_id is not None:
        yield f"id {router_id_text(line.router_id)}"
    if line.protocol is not None:
        yield f"proto {line.protocol}"
    if line.is_local:
        yield "local"
    if line.interface is not None:
        yield f"if {string_text(line.interface)}"


def _length(side: str, low: int, high: int) -> Iterator[str]:
    if low == high:
        yield f"{side}eq {low}"
        return
    if low > 0:
        yield f"{side}ge {low}"
    if high < MAX_PLEN:
        yield f"{side}le {high}"


def _needs_length(line: Filter) -> bool:
    """Return whether nothing else that is written tells that a line is about IPv6 alone."""
    addresses = (line.prefix, line.source_prefix, line.set_source_prefix, line.preferred_source)
    lengths = (line.min_plen, line.max_plen, line.min_source_plen, line.max_source_plen)
    return line.family == 6 and addresses == (None,) * 4 and lengths == (0, MAX_PLEN, 0, MAX_PLEN)


def _actions(line: Filter) -> Iterator[str]:
    if line.set_source_prefix is not None:
        yield f"src-prefix {line.set_source_prefix}"
    if line.table is not None:
        yield f"table {line.table}"
    if line.preferred_source is not None:
        yield f"pref-src {ip_address(line.preferred_source)}"
    if line.denies:
        yield "deny"
    else:
        yield f"metric {line.metric}" if line.metric else "allow"
