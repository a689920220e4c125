"""The identity of a node: router-id, reserved seqnos, Hello seqnos, ports; one file that is written whole."""

import json
import secrets
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

from babelwg.config.errors import ConfigErrors
from babelwg.config.files import read_text, write_whole

STATE_FILE = "state.json"
STATE_SCHEMA = "babelwg-state/1"
ROUTER_ID_OCTETS = 8
SEQNO_BLOCK = 16  # seqnos that one write to the disk reserves
SEQNO_MODULUS = 1 << 16


class LoadedState(NamedTuple):
    """A state, whether it is a new one because nothing could be restored, and why."""

    state: "State"
    lost: bool
    reasons: tuple[str, ...]


@dataclass(slots=True)
class State:
    """What must outlive the daemon; `seqno_limit` is the first seqno that may not have been used yet."""

    router_id: bytes
    seqno_limit: int = 0
    hello_seqnos: dict[str, int] = field(default_factory=dict)
    ports: dict[str, int] = field(default_factory=dict)
    interfaces: dict[str, str] = field(default_factory=dict)
    owner: str = ""

    @classmethod
    def new(cls, owner: str = "") -> Self:
        """Return a state with a router-id that nobody has used."""
        return cls(generate_router_id(), owner=owner)

    @classmethod
    def load(cls, directory: Path, owner: str = "") -> LoadedState:
        """Return the state of `owner` (its public key) in a directory, or a new one and the reason."""
        path = directory / STATE_FILE
        try:
            text = read_text(path)
        except ConfigErrors as error:
            return LoadedState(cls.new(owner), True, (f"{error}; the router-id is new",))
        try:
            state = _parse(text)
        except (ValueError, RecursionError) as error:
            return LoadedState(cls.new(owner), True, (f"{path}: {error}; the router-id is new",))
        # A copied disk must not give two nodes one router-id, or their seqnos would fight. The tunnels that were
        # made here are kept in mind all the same: after a change of the key they are still ours to remove.
        if state.owner != owner:
            other = cls(generate_router_id(), ports=state.ports, interfaces=state.interfaces, owner=owner)
            return LoadedState(other, True, (f"{path}: is of another node; the router-id is new",))
        return LoadedState(state, False, ())

    def reserve(self, seqno: int) -> bool:
        """Make room for a seqno and more; return whether the limit moved, as it does when half of them are used."""
        if is_reserved(seqno, self.seqno_limit) and is_reserved(seqno + SEQNO_BLOCK // 2, self.seqno_limit):
            return False
        self.seqno_limit = (seqno + SEQNO_BLOCK) % SEQNO_MODULUS
        return True

    def copy(self) -> "State":
        """Return a state that stays as this one is now."""
        return replace(
            self,
            hello_seqnos=dict(self.hello_seqnos),
            ports=dict(self.ports),
            interfaces=dict(self.interfaces),
        )

    def save(self, directory: Path) -> None:
        """Write the state so that a crash leaves the old or the new one. Raises OSError."""
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        document = {
            "schema": STATE_SCHEMA,
            "owner": self.owner,
            "router_id": self.router_id.hex(),
            "seqno_limit": self.seqno_limit,
            "hello_seqnos": self.hello_seqnos,
            "ports": self.ports,
            "interfaces": self.interfaces,
        }
        write_whole(directory / STATE_FILE, json.dumps(document, indent=1).encode() + b"\n")


def is_reserved(seqno: int, limit: int) -> bool:
    """Return whether a seqno comes before a limit; numbers go round, so half of them do."""
    return 0 < (limit - seqno) % SEQNO_MODULUS < SEQNO_MODULUS // 2


def generate_router_id() -> bytes:
    """Return 8 random octets that are neither all zero nor all one (RFC 8966 §4.1.3)."""
    while True:
        router_id = secrets.token_bytes(ROUTER_ID_OCTETS)
        if is_router_id(router_id):
            return router_id


def is_router_id(octets: bytes) -> bool:
    """Return whether octets may serve as a router-id (RFC 8966 §4.1.3)."""
    return len(octets) == ROUTER_ID_OCTETS and octets not in (bytes(8), b"\xff" * 8)


def _parse(text: str) -> State:
    document = json.loads(text)
    if not isinstance(document, dict) or document.get("schema") != STATE_SCHEMA:
        raise ValueError(f"does not say that it is {STATE_SCHEMA}")
    router_id = bytes.fromhex(_string(document, "router_id"))
    if not is_router_id(router_id):
        raise ValueError("the router-id is not 8 octets, or all zero or all one")
    return State(
        router_id,
        _number(document.get("seqno_limit"), "seqno_limit", SEQNO_MODULUS - 1),
        _numbers(document, "hello_seqnos", SEQNO_MODULUS - 1),
        _numbers(document, "ports", 65535),
        {key: _string(_table(document, "interfaces"), key) for key in _table(document, "interfaces")},
        _string(document, "owner"),
    )


def _string(document: dict[str, Any], key: str) -> str:
    value = document.get(key)
    if not isinstance(value, str):
        raise ValueError(f"{key} is not a string")
    return value


def _number(value: object, key: str, high: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= high:
        raise ValueError(f"{key} is not 0-{high}")
    return value


def _table(document: dict[str, Any], key: str) -> dict[str, Any]:
    value = document.get(key)
    if not isinstance(value, dict):
        raise ValueError(f"{key} is not an object")
    return value


def _numbers(document: dict[str, Any], key: str, high: int) -> dict[str, int]:
    return {name: _number(value, key, high) for name, value in _table(document, key).items()}
