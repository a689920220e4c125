"""The grammar of a filter line: selectors and actions in any order."""

from collections.abc import Callable
from typing import Any

from babelwg.babel.wire.prefix import Prefix
from babelwg.config.addresses import host_prefix
from babelwg.config.babeld.filters import INFINITY, MAX_PLEN, Filter
from babelwg.config.babeld.lexer import Mistake, Words
from babelwg.config.errors import expected, quoted

Fields = dict[str, Any]
Clause = Callable[[Words, Fields], None]

MAX_PROTOCOL = 255
MAX_TABLE = 65535


def read_filter(words: Words) -> Filter:
    """Return the filter that the rest of a line describes."""
    said: Fields = {}
    start = words.column
    while words.more:
        column = words.column
        word = words.word("a selector or an action")
        if word not in CLAUSES:
            raise Mistake(f"unknown selector or action {quoted(word)}{expected(word, CLAUSES)}", column)
        CLAUSES[word](words, said)
    said["family"] = _family(said, start)
    return Filter(**said)


def _family(said: Fields, column: int) -> int | None:
    """Return the address family that a line is about, None when it is about both."""
    names = ("prefix", "source_prefix", "set_source_prefix")
    prefixes: list[Prefix | None] = [said.get(name) for name in names]
    families = {prefix.family for prefix in prefixes if prefix is not None}
    if (address := said.get("preferred_source")) is not None:
        families.add(host_prefix(address).family)
    if len(families) > 1:
        raise Mistake("one line cannot mix IPv4 and IPv6", column)
    if families:
        return families.pop()
    # Lengths without an address would mean different networks in each family; babeld reads them as IPv6.
    lengths = ("min_plen", "max_plen", "min_source_plen", "max_source_plen")
    return 6 if any(name in said for name in lengths) else None


def _prefix(name: str) -> Clause:
    def read(words: Words, said: Fields) -> None:
        said[name] = words.prefix()

    return read


def _at_least(name: str) -> Clause:
    def read(words: Words, said: Fields) -> None:
        said[name] = max(said.get(name, 0), words.integer(0, MAX_PLEN))

    return read


def _at_most(name: str) -> Clause:
    def read(words: Words, said: Fields) -> None:
        said[name] = min(said.get(name, MAX_PLEN), words.integer(0, MAX_PLEN))

    return read


def _equal(low: str, high: str) -> Clause:
    def read(words: Words, said: Fields) -> None:
        plen = words.integer(0, MAX_PLEN)
        said[low] = max(said.get(low, 0), plen)
        said[high] = min(said.get(high, MAX_PLEN), plen)

    return read


def _protocol(words: Words, said: Fields) -> None:
    said["protocol"] = words.integer(0, MAX_PROTOCOL)
    said["is_local"] = False


def _local(words: Words, said: Fields) -> None:
    said["protocol"] = None
    said["is_local"] = True


def _interface(words: Words, said: Fields) -> None:
    said["interface"] = words.string("the name of an interface")


def _neighbour(words: Words, said: Fields) -> None:
    said["neighbour"] = words.address()


def _router_id(words: Words, said: Fields) -> None:
    said["router_id"] = words.router_id()


def _allow(words: Words, said: Fields) -> None:
    said["metric"] = 0


def _deny(words: Words, said: Fields) -> None:
    said["metric"] = INFINITY


def _metric(words: Words, said: Fields) -> None:
    said["metric"] = words.integer(1, INFINITY)


def _table(words: Words, said: Fields) -> None:
    said["table"] = words.integer(1, MAX_TABLE)


def _preferred_source(words: Words, said: Fields) -> None:
    said["preferred_source"] = words.address()


CLAUSES: dict[str, Clause] = {
    "ip": _prefix("prefix"),
    "eq": _equal("min_plen", "max_plen"),
    "le": _at_most("max_plen"),
    "ge": _at_least("min_plen"),
    "src-ip": _prefix("source_prefix"),
    "src-eq": _equal("min_source_plen", "max_source_plen"),
    "src-le": _at_most("max_source_plen"),
    "src-ge": _at_least("min_source_plen"),
    "neigh": _neighbour,
    "id": _router_id,
    "proto": _protocol,
    "local": _local,
    "if": _interface,
    "allow": _allow,
    "deny": _deny,
    "metric": _metric,
    "src-prefix": _prefix("set_source_prefix"),
    "table": _table,
    "pref-src": _preferred_source,
}
