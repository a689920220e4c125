"""The hosts file: names for router-ids, public keys, addresses and prefixes, a line each."""

import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from babelwg.babel.wire.prefix import Prefix
from babelwg.config.addresses import HOST_NAME, MAX_HOST_NAME, parse_prefix
from babelwg.config.errors import quoted
from babelwg.config.keys import Key

ROUTER_ID = re.compile(r"([0-9a-fA-F]{2}:){7}[0-9a-fA-F]{2}", re.ASCII)
# Implementation constants
MAX_OCTETS = 512 << 10  # of the file, so that reading it never holds up a Hello
MAX_LINES = 8192

Identity = bytes | Key | Prefix  # a router-id, a public key, or an address and prefix


@dataclass(frozen=True, slots=True)
class Host:
    """One line: whom it is about, and the names, the first of which is shown."""

    identity: Identity
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hosts:
    """What a hosts file says, and what of it is not understood."""

    lines: tuple[Host, ...] = ()
    complaints: tuple[str, ...] = ()


Stamp = tuple[int, int, int]


def stamp_of(path: Path) -> Stamp | None:
    """Return what changes when a file does; None where there is none."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def read_hosts(path: Path) -> Hosts:
    """Return what a hosts file says; a mistake costs its line, never more."""
    try:
        found = path.stat()
        # Opening a pipe would wait for somebody to write to it.
        if not stat.S_ISREG(found.st_mode):
            return Hosts(complaints=("it is no ordinary file",))
        with path.open("rb") as file:
            octets = file.read(MAX_OCTETS + 1)
    except OSError as error:
        return Hosts(complaints=(f"it cannot be read: {error.strerror}",))
    whole = len(octets) <= MAX_OCTETS
    # A line that was cut in two is left out.
    text = (octets if whole else octets[: octets.rfind(b"\n", 0, MAX_OCTETS) + 1]).decode(errors="replace")
    hosts = parse_hosts(text)
    if whole:
        return hosts
    return Hosts(hosts.lines, (f"only its first {MAX_OCTETS >> 10} KiB are read", *hosts.complaints))


def parse_hosts(text: str) -> Hosts:
    """Return what the lines `IDENTITY NAME...` say; `#` begins a comment."""
    found, complaints = [], []
    for number, line in _lines(text):
        if number > MAX_LINES:
            complaints.append(f"only its first {MAX_LINES} lines are read")
            break
        word, *names = line.split()
        try:
            found.append(Host(parse_identity(word), _checked(names)))
        except ValueError as error:
            complaints.append(f"line {number}: {error}")
    return Hosts(tuple(found), tuple(complaints))


def parse_identity(text: str) -> Identity:
    """Return the router-id, public key, address or prefix that a word names."""
    # A router-id also reads as an IPv6 address; eight groups of two digits mean the former.
    if ROUTER_ID.fullmatch(text):
        return bytes.fromhex(text.replace(":", ""))
    if len(text) == 44 and text.endswith("="):
        return Key.parse(text)
    try:
        return parse_prefix(text)
    except ValueError as error:
        if "did you mean" in str(error):
            raise
        raise ValueError(
            f"{quoted(text)} is neither a router-id nor a public key, an address or a prefix"
        ) from None


def _lines(text: str) -> Iterator[tuple[int, str]]:
    for number, line in enumerate(text.split("\n"), 1):
        content = line.partition("#")[0].strip()
        if content:
            yield number, content


def _checked(names: list[str]) -> tuple[str, ...]:
    if not names:
        raise ValueError("a name is missing")
    for name in names:
        if len(name) > MAX_HOST_NAME or not HOST_NAME.fullmatch(name):
            raise ValueError(f"{quoted(name)} is not a name")
    return tuple(names)
