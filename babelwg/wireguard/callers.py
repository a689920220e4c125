"""Handshakes that led nowhere: who called with which key, and what became of our own; never more than a few."""

from collections.abc import Iterator
from typing import NamedTuple

from babelwg.wireguard.events import SocketAddress
from babelwg.wireguard.refusals import Reason

# Implementation constants
MAX_CALLERS = 32
# What a refused handshake tells about keys; all other reasons tell about load or noise.
TELLING = frozenset({Reason.WRONG_MAC1, Reason.UNKNOWN_PEER})


class Caller(NamedTuple):
    """Somebody whose handshakes are refused: why, from where, and the public key it claims (b"" for not known)."""

    reason: Reason
    address: str
    port: int
    public_key: bytes


class Calls(NamedTuple):
    """How often somebody called, and when last (seconds)."""

    times: int
    last: float


class Signs(NamedTuple):
    """When a peer's handshakes last did each of these (seconds, minus infinity for never)."""

    sent: float  # an initiation of ours left
    taken: float  # an initiation of the peer was answered
    refused: float  # an answer came to ours and could not be authenticated


class CallerTable:
    """The latest callers that were refused; the one that was silent longest gives way to a new one."""

    def __init__(self) -> None:
        self._calls: dict[Caller, Calls] = {}

    def __iter__(self) -> Iterator[tuple[Caller, Calls]]:
        return iter(self._calls.items())

    def note(self, reason: Reason, source: SocketAddress, now: float, public_key: bytes = b"") -> None:
        """Take note of a refused handshake, where its reason tells about keys."""
        if reason not in TELLING:
            return
        caller = Caller(reason, source[0].partition("%")[0], source[1], public_key)
        before = self._calls.pop(caller, Calls(0, now))
        if len(self._calls) >= MAX_CALLERS:
            del self._calls[next(iter(self._calls))]
        self._calls[caller] = Calls(before.times + 1, now)
