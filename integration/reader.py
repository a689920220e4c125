"""A strict client of babeld's local protocol: it bears no more than babelweb2 does, and looks at every field."""

import contextlib
import re
import socket
import time
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path

PATIENCE = 60.0  # seconds
HEX_ID, METRIC, ADDRESS, NAME = "[0-9a-f]+", "[0-9]+", r"[0-9a-f.:]+", r"\S+"
NETWORK = r"[0-9a-f.:]+/[0-9]+"
FIELDS = {
    "interface": (
        rf"(?P<id>{NAME}) up (?:false|true(?: ipv6 (?P<ipv6>{ADDRESS}))?(?: ipv4 (?P<ipv4>{ADDRESS}))?)"
    ),
    "neighbour": (
        rf"(?P<id>{HEX_ID}) address (?P<address>{ADDRESS}) if (?P<interface>{NAME})"
        rf" reach [0-9a-f]{{4}} ureach [0-9a-f]{{4}} rxcost {METRIC} txcost {METRIC}"
        rf"(?: rtt [0-9]+\.[0-9]{{3}} rttcost {METRIC})? cost {METRIC}"
    ),
    "xroute": rf"(?P<id>\S+-\S+) prefix (?P<prefix>{NETWORK}) from (?P<source>{NETWORK}) metric (?P<metric>{METRIC})",
    "route": (
        rf"(?P<id>{HEX_ID}) prefix (?P<prefix>{NETWORK}) from (?P<source>{NETWORK}) installed (?P<installed>yes|no)"
        rf" id (?P<origin>[0-9a-f]{{2}}(?::[0-9a-f]{{2}}){{7}}) metric (?P<metric>{METRIC})"
        rf" refmetric (?P<refmetric>{METRIC}) via (?P<address>{ADDRESS}) if (?P<interface>{NAME})"
    ),
}
LINE = {kind: re.compile(f"(add|change|flush) {kind} {fields}") for kind, fields in FIELDS.items()}


class InconsistentError(Exception):
    """The server said what a tool may drop the connection for."""


class Picture:
    """What the lines of a server have told so far."""

    def __init__(self) -> None:
        self.entries: dict[tuple[str, str], str] = {}  # kind and id, and all that was said last
        self.lines = 0

    def take(self, line: str) -> None:
        """Take in a line. Raises InconsistentError."""
        kind = line.split(" ")[1] if line.count(" ") else ""
        match = LINE[kind].fullmatch(line) if kind in LINE else None
        if match is None:
            raise InconsistentError(f"not a line of the protocol: {line!r}")
        fields = match.groupdict()
        _check(fields)
        self.lines += 1
        what, key = match[1], (kind, fields["id"])
        if (what == "add") == (key in self.entries):
            known = "known already" if what == "add" else "not known"
            raise InconsistentError(f"{what} of an entry that is {known}: {line!r}")
        if what == "flush":
            self._check_flush(kind, fields)
            del self.entries[key]
        else:
            self.entries[key] = line.partition(" ")[2]

    def of(self, kind: str) -> list[str]:
        """Return what was said of the entries of one kind."""
        return [text for (known, _), text in self.entries.items() if known == kind]

    def _check_flush(self, kind: str, fields: dict[str, str | None]) -> None:
        """Routes go before their neighbour, and neighbours before their interface."""
        if kind == "neighbour":
            leans = f" via {fields['address']} if {fields['interface']}"
            left = [text for text in self.of("route") if text.endswith(leans)]
        elif kind == "interface":
            left = [text for text in self.of("neighbour") if f" if {fields['id']} reach" in text]
        else:
            return
        if left:
            raise InconsistentError(f"flush of {kind} {fields['id']} before that of {left[0]!r}")


def _check(fields: dict[str, str | None]) -> None:
    try:
        for name in ("ipv6", "ipv4", "address"):
            if value := fields.get(name):
                ip_address(value)
        for name in ("prefix", "source"):
            if value := fields.get(name):
                ip_network(value)
    except ValueError as error:
        raise InconsistentError(str(error)) from error
    for name in ("metric", "refmetric"):
        if (value := fields.get(name)) and int(value) > 65535:
            raise InconsistentError(f"{name} {value}")
    if (
        fields.get("source")
        and ip_network(str(fields["prefix"])).version != ip_network(str(fields["source"])).version
    ):
        raise InconsistentError(f"{fields['prefix']} from {fields['source']} mixes address families")


class Reader:
    """A connection to a server of the protocol, greeted; `follow` takes what comes by itself."""

    def __init__(self, connection: socket.socket, patience: float = PATIENCE) -> None:
        """Greet a server; `patience` is how long, in seconds, an answer may take."""
        self.picture = Picture()
        self._patience = patience
        self._socket = connection
        self._octets = b""
        words = [self._line() for _ in range(5)]
        if words[0] != "BABEL 1.0" or words[4] != "ok":
            raise InconsistentError(f"not a greeting: {words}")
        starts = ("version ", "host ", "my-id ")
        if not all(word.startswith(start) for word, start in zip(words[1:4], starts, strict=True)):
            raise InconsistentError(f"not a greeting: {words}")
        self.router_id = words[3].removeprefix("my-id ")
        if not re.fullmatch("[0-9a-f]{2}(:[0-9a-f]{2}){7}", self.router_id):
            raise InconsistentError(f"not a router-id: {self.router_id!r}")

    @classmethod
    def at(cls, path: Path, patience: float = PATIENCE) -> "Reader":
        """Connect to a Unix socket."""
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(patience)
        try:
            connection.connect(str(path))
            return cls(connection, patience)
        except BaseException:
            connection.close()
            raise

    def monitor(self) -> None:
        """Ask for everything, and each change from now on."""
        self._socket.sendall(b"monitor\n")
        self._until_final()

    def ask(self, request: str) -> str:
        """Send a request and return the last line of its reply; what stands before it goes into the picture."""
        self._socket.sendall(f"{request}\n".encode())
        return self._until_final()

    def dump(self) -> Picture:
        """Return the picture that a dump gives by itself; not while events are expected."""
        before, self.picture = self.picture, Picture()
        try:
            assert self.ask("dump") == "ok"
            return self.picture
        finally:
            self.picture = before

    def follow(self, condition: Callable[[], bool], deadline: float = 120.0) -> None:
        """Take in what comes until a condition holds. Raises TimeoutError."""
        end = time.monotonic() + deadline
        while not condition():
            if time.monotonic() > end:
                raise TimeoutError(f"after {deadline:g} s not yet; {self.picture.lines} lines were read")
            self._take_for(0.05)

    def close(self) -> None:
        self._socket.close()

    def _take_for(self, seconds: float) -> None:
        self._socket.settimeout(seconds)
        with contextlib.suppress(TimeoutError):
            while True:
                self.picture.take(self._line())
        self._socket.settimeout(self._patience)

    def _until_final(self) -> str:
        while (line := self._line()).split(" ")[0] not in ("ok", "bad", "no"):
            self.picture.take(line)
        return line

    def _line(self) -> str:
        while b"\n" not in self._octets:
            octets = self._socket.recv(1 << 16)
            if not octets:
                raise InconsistentError("the server has closed the connection")
            self._octets += octets
        line, _, self._octets = self._octets.partition(b"\n")
        return line.decode()
