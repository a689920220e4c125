"""What may be asked on the UAPI sockets and on the control socket, read from octets without doing anything."""

import errno
import re
from dataclasses import dataclass

from babelwg.wireguard.uapi import DeviceConfig, UapiError, parse_set

# Specification constants
MTU_MINIMUM = 576  # octets that every IPv4 host takes; interfaces that carry IPv6 need 1280
MTU_LIMIT = 65535  # octets

_NAME = re.compile(r"[A-Za-z0-9_=+.-]{1,15}")


@dataclass(frozen=True, slots=True)
class Get:
    """`get=1`: report everything."""


@dataclass(frozen=True, slots=True)
class Set:
    """`set=1`: change what is given, up to the first bad line."""

    config: DeviceConfig
    error: UapiError | None


@dataclass(frozen=True, slots=True)
class Create:
    """`create=NAME`, `mtu=N`: make a tunnel, or change the MTU of one that is there."""

    name: str
    mtu: int  # octets


@dataclass(frozen=True, slots=True)
class Remove:
    """`remove=NAME`: remove a tunnel and its interface."""

    name: str


@dataclass(frozen=True, slots=True)
class ListTunnels:
    """`list=1`: name all tunnels."""


@dataclass(frozen=True, slots=True)
class Stats:
    """`stats=1`: report what was refused, by reason."""


@dataclass(frozen=True, slots=True)
class Handshakes:
    """`handshakes=1`: report how the handshakes of each tunnel go, and who else calls."""


@dataclass(frozen=True, slots=True)
class Watch:
    """`watch=1`: tell this connection from now on what happens; the answer says what is told, as `tells=KEY KEY`.

    `unanswered=NAME`: its handshakes stay unanswered. `used=NAME`: it carries packets of users after seconds without.
    """


@dataclass(frozen=True, slots=True)
class Shutdown:
    """`shutdown=1`: end the process; interfaces stay."""


Command = Create | Remove | ListTunnels | Stats | Handshakes | Watch | Shutdown

_SIMPLE: dict[str, Command] = {
    "list": ListTunnels(),
    "stats": Stats(),
    "handshakes": Handshakes(),
    "watch": Watch(),
    "shutdown": Shutdown(),
}


class NoSuchRequestError(Exception):
    """The first line is none that the socket knows."""


def take_uapi(received: bytearray) -> Get | Set | None:
    """Take one request out of what was received, None when it is not whole; raises UapiError, NoSuchRequestError."""
    if received.startswith(b"get=1\n"):
        if len(received) == len(b"get=1\n"):
            return None
        if received[6:7] != b"\n":
            raise UapiError(errno.EINVAL, "`get=1` is followed by something")
        del received[:7]
        return Get()
    if not b"set=1\n".startswith(received[:6]) and not b"get=1\n".startswith(received[:6]):
        raise NoSuchRequestError
    if received.startswith(b"set=1\n\n"):
        del received[:7]
        return Set(DeviceConfig(), None)
    lines = _take_lines(received)
    return Set(*parse_set(lines[1:])) if lines is not None else None


def take_command(received: bytearray, default_mtu: int) -> Command | None:
    """Take one command out of what was received, None when it is not whole; raises UapiError."""
    lines = _take_lines(received)
    if lines is None:
        return None
    pairs = [_split(line) for line in lines]
    (verb, value), rest = pairs[0], dict(pairs[1:])
    if len(rest) != len(pairs) - 1:
        raise UapiError(errno.EINVAL, "a key is given twice")
    if verb == "create":
        mtu = _read_mtu(rest.pop("mtu", str(default_mtu)))
        _refuse_others(rest)
        return Create(_read_name(value), mtu)
    _refuse_others(rest)
    if verb == "remove":
        return Remove(_read_name(value))
    if verb not in _SIMPLE or value != "1":
        raise UapiError(errno.EINVAL, f"{verb[:80]!r} is not a command")
    return _SIMPLE[verb]


def _take_lines(received: bytearray) -> list[str] | None:
    end = received.find(b"\n\n")
    if end < 0:
        return None
    text = received[:end].decode(errors="replace")
    del received[: end + 2]
    return text.split("\n")


def _split(line: str) -> tuple[str, str]:
    key, equals, value = line.partition("=")
    if not equals:
        raise UapiError(errno.EPROTO, f"{line[:80]!r} is not key=value")
    return key, value


def _read_name(value: str) -> str:
    if not _NAME.fullmatch(value) or value in (".", ".."):
        raise UapiError(errno.EINVAL, f"{value[:80]!r} is not the name of an interface")
    return value


def _read_mtu(value: str) -> int:
    if not re.fullmatch("[0-9]{1,5}", value) or not MTU_MINIMUM <= int(value) <= MTU_LIMIT:
        raise UapiError(errno.EINVAL, f"{value[:80]!r} is not an MTU from {MTU_MINIMUM} to {MTU_LIMIT}")
    return int(value)


def _refuse_others(rest: dict[str, str]) -> None:
    if rest:
        raise UapiError(errno.EINVAL, f"{next(iter(rest))[:80]!r} is not known here")
