"""The two routers whose configuration is in babeld's language: babelwg without tunnels, and babeld itself."""

import json
import socket
import sys
from pathlib import Path
from typing import Any

from babelwg.cli.client import ask
from integration.interop.routers.router import Port, Router

# Implementation constants
HELLO_INTERVAL = 0.5  # seconds
ANSWER = 10.0  # seconds for one exchange over babeld's local socket
RELOAD = 30.0  # seconds
OFFERED = """
redistribute local ip fd00::/8 allow
redistribute local ip 10.0.0.0/8 allow
redistribute local deny
"""


class _BabeldLanguage(Router):
    """What babelwg and babeld share: a file with the same words in it."""

    def write_config(self) -> Path:
        """Write the configuration and return its path, or the path of a file to load unchanged."""
        if self.options.config_file is not None:
            return self.options.config_file
        keys = {key for port in self.ports.values() for key in port.keys}
        lines = list(self.options.lines)
        lines += [f"key id {k.name} type {k.algorithm} value {k.hexadecimal}" for k in sorted(keys)]
        lines += [self._interface_line(port) for port in self.ports.values()]
        if self.options.source is not None:
            lines.append(f"redistribute proto 4 ip ::/0 eq 0 src-prefix {self.options.source}")
        path = self.home / "babel.conf"
        path.write_text("\n".join([*self._own_lines(), *lines]) + OFFERED)
        return path

    def _own_lines(self) -> list[str]:
        return []

    def _interface_line(self, port: Port) -> str:
        line = (
            f"interface {port.interface} type {port.kind} rxcost {port.cost} hello-interval {HELLO_INTERVAL}"
        )
        # babeld keeps the last key of a line; the harness gives several to babelwg only.
        line += "".join(f" key {key.name}" for key in port.keys)
        return f"{line} {port.options}".rstrip()


class BabelwgRouter(_BabeldLanguage):
    """babelwg with a file in babeld's language alone: routes over the links, no tunnels."""

    kind = "babelwg"
    programs = ()

    @property
    def socket(self) -> Path:
        """Where the daemon answers."""
        return self.home / "control.sock"

    def reconfigure(self) -> None:
        """Write the configuration and have the daemon read it."""
        self.write_config()
        ask(self.socket, "reload", timeout=RELOAD)

    def show(self, what: str) -> Any:
        """Return the data of `babelwg show WHAT --json`."""
        words = [sys.executable, "-m", "babelwg", "show", what, "--json", "--socket", str(self.socket)]
        return json.loads(self.node.run(*words))["data"]

    def neighbours(self) -> set[str]:
        """Return the interfaces with a neighbour over which packets go both ways."""
        return {n["interface"] for n in self.show("neighbours") if n["cost"] < 65535}

    def _launch(self) -> None:
        # A socket that a killed daemon left would look like one that answers.
        self.socket.unlink(missing_ok=True)
        words = [sys.executable, "-m", "babelwg", "daemon", "--babeld-conf", str(self.write_config())]
        words += ["--state-dir", str(self.home / "state"), "--socket", str(self.socket)]
        self._run("babelwg", *words)
        self._await_socket(self.socket)


class BabeldRouter(_BabeldLanguage):
    """Stock babeld 1.12.1.

    Its known faults: it aborts on the directive `allow-duplicates`, which no configuration here has; it takes one
    key per interface, and ignores new parameters of an interface that it has, so that a change needs a restart;
    it misreads a TLV with several sub-TLVs.
    """

    kind = "babeld"
    programs = ("babeld",)

    @property
    def socket(self) -> Path:
        """Where babeld's local protocol is spoken."""
        return self.home / "babeld.sock"

    def reconfigure(self) -> None:
        """Start babeld anew, because it changes nothing of a running interface."""
        self.restart()

    def replace_key(self, peer: str, name: str, text: str) -> None:
        """Give a key of the interface to a peer another value, without a restart."""
        (old,) = self.ports[peer].keys
        key = old._replace(text=text)
        assert key.name == name, f"{self.name} has the key {key.name}, not {name}"
        self.ports[peer].keys = (key,)
        # The interface keeps the key by its id, and a key with a known id replaces the value in place.
        self.tell(f"key id {name} type {key.algorithm} value {key.hexadecimal}")

    def dump(self, what: str) -> list[dict[str, str]]:
        """Return the entries of one table (interface, neighbour, xroute, route): its words in pairs, and `id`."""
        words = [line.split() for line in self.tell("dump")]
        return [_entry(line) for line in words if line[:2] == ["add", what]]

    def neighbours(self) -> set[str]:
        """Return the interfaces with a neighbour over which packets go both ways."""
        return {n["if"] for n in self.dump("neighbour") if int(n["cost"]) < 65535}

    def tell(self, request: str) -> list[str]:
        """Return the lines with which babeld answers one request. Raises ValueError for `bad` and `no`."""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(ANSWER)
            connection.connect(str(self.socket))
            with connection.makefile("rw", encoding="ascii", newline="\n") as stream:
                _read_answer(stream)  # the greeting
                stream.write(f"{request}\n")
                stream.flush()
                return _read_answer(stream)

    def _own_lines(self) -> list[str]:
        # Without smoothing, so that a better way shows soon: its default takes half a minute.
        return [f"local-path-readwrite {self.socket}", "smoothing-half-life 0"]

    def _launch(self) -> None:
        self.socket.unlink(missing_ok=True)
        words = ["babeld", "-c", str(self.write_config()), "-S", str(self.home / "babel-state")]
        if self.options.config_file is not None:
            words += ["-G", str(self.socket)]
        # No file for its process id: babeld refuses to start when a killed one left it.
        self._run("babeld", *words, "-I", "")
        self._await_socket(self.socket)


def _entry(words: list[str]) -> dict[str, str]:
    return {"id": words[2], **dict(zip(words[3::2], words[4::2], strict=True))}


def _read_answer(stream: Any) -> list[str]:
    lines: list[str] = []
    for line in stream:
        words = line.split()
        if words == ["ok"]:
            return lines
        if words[:1] in (["bad"], ["no"]):
            raise ValueError(f"babeld answers {line.strip()}")
        lines.append(line.rstrip("\n"))
    raise EOFError(f"babeld closed its local socket after {lines}")
