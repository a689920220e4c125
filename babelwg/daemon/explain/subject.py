"""What a question is about: a prefix, an address, or a node by its name."""

import difflib
from collections.abc import Collection
from ipaddress import ip_address
from typing import NamedTuple

from babelwg.babel.wire.prefix import Prefix
from babelwg.config.addresses import host_prefix, parse_prefix, serves, serving
from babelwg.daemon.control import INVALID_PARAMS, RequestError
from babelwg.daemon.names import Names

# Implementation constants
MAX_TEXT = 256  # characters of a question


class Subject(NamedTuple):
    """A prefix that is meant itself, or a destination (packed) and a source that a prefix is sought for."""

    prefix: Prefix | None
    destination: bytes
    source: bytes | None = None
    name: str | None = None


def read_subject(text: str, names: Names) -> Subject:
    """Return what `P`, `P from S`, `ADDRESS`, `ADDRESS from ADDRESS` or a name means. Raises RequestError."""
    if not text or len(text) > MAX_TEXT:
        raise RequestError(INVALID_PARAMS, "a prefix, an address or a name is needed")
    if "/" in text:
        prefix = _prefix(text)
        return Subject(prefix, prefix.network)
    first, word, second = text.partition(" from ")
    destination = address_or_none(first)
    if destination is None and word:
        raise RequestError(INVALID_PARAMS, f'"{first}" is not an IP address')
    if destination is None:
        return Subject(None, resolve(text, names)[0], None, text)
    source = address_or_none(second) if word else None
    if word and (source is None or len(source) != len(destination)):
        raise RequestError(INVALID_PARAMS, f'"{second}" is not an IP address of the same family')
    return Subject(None, destination, source)


def resolve(text: str, names: Names) -> list[bytes]:
    """Return the packed addresses of a node or an address as it is; never none. Raises RequestError."""
    if (address := address_or_none(text)) is not None:
        return [address]
    if found := names.resolve(text):
        return found
    if text in names.all():
        raise RequestError(
            INVALID_PARAMS, f'no address of "{text}" is known: it announces none, or is not heard'
        )
    near = difflib.get_close_matches(text, names.all(), n=1, cutoff=0.6)
    hint = f'; did you mean "{near[0]}"?' if near else "; names are those of peers and of /etc/babelwg/hosts"
    raise RequestError(INVALID_PARAMS, f'"{text}" is no address, and no node is called so{hint}')


def longest(subject: Subject, known: Collection[Prefix]) -> Prefix:
    """Return the prefix that is meant; of an address the longest known one, else the address alone."""
    if subject.prefix is not None:
        return subject.prefix
    destination, source = subject.destination, subject.source
    fitting = serving(known, destination, source)
    if not fitting and source is None:
        # Packets of some sources have a way.
        fitting = [p for p in known if p.source_plen and serves(p.destination, destination, None)]
    return max(fitting, key=lambda p: (p.plen, p.source_plen), default=host_prefix(destination))


def _prefix(text: str) -> Prefix:
    destination, word, source = text.partition(" from ")
    try:
        prefix = parse_prefix(destination)
        return prefix.with_source(parse_prefix(source)) if word else prefix
    except ValueError as error:
        raise RequestError(INVALID_PARAMS, str(error)) from error


def address_or_none(text: str) -> bytes | None:
    """Return an address (packed), None for anything else."""
    try:
        return None if "%" in text else ip_address(text).packed
    except ValueError:
        return None
