"""The cross-platform configuration protocol: text of `get` and `set`, read and written without a socket."""

import errno
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address, IPv6Address

from babelwg.wireguard.allowedips import Network
from babelwg.wireguard.events import SocketAddress
from babelwg.wireguard.noise.crypto import KEY_SIZE

# Specification constants
PROTOCOL_VERSION = 1
# Implementation constants
MAX_REQUEST = 1 << 20  # octets

_KEY = re.compile(r"[0-9a-fA-F]{64}")
_NUMBER = re.compile(r"[0-9]{1,20}")


class UapiError(Exception):
    """A request or an answer that cannot be taken; `errno` is positive."""

    def __init__(self, number: int, reason: str) -> None:
        self.errno = number
        super().__init__(reason)


@dataclass(frozen=True, slots=True)
class PeerConfig:
    """One peer section of a `set` request; None leaves a value as it is."""

    public_key: bytes
    remove: bool = False
    update_only: bool = False
    preshared_key: bytes | None = None  # all zero for none
    endpoint: str | None = None
    persistent_keepalive_interval: int | None = None  # seconds, 0 for none
    replace_allowed_ips: bool = False
    allowed_ips: tuple[str, ...] = ()  # with a leading `-` one that is taken away


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """A `set` request; None leaves a value as it is."""

    private_key: bytes | None = None  # all zero for none
    listen_port: int | None = None  # 0 for any
    fwmark: int | None = None  # 0 for none
    replace_peers: bool = False
    peers: tuple[PeerConfig, ...] = ()


@dataclass(frozen=True, slots=True)
class PeerState:
    """One peer in the answer to `get`."""

    public_key: bytes
    preshared_key: bytes = bytes(KEY_SIZE)
    endpoint: str | None = None
    last_handshake_time_sec: int = 0  # Unix time, 0 for never
    last_handshake_time_nsec: int = 0
    tx_bytes: int = 0
    rx_bytes: int = 0
    persistent_keepalive_interval: int = 0  # seconds
    allowed_ips: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeviceState:
    """The answer to `get`."""

    private_key: bytes | None = None
    listen_port: int = 0
    fwmark: int = 0
    peers: tuple[PeerState, ...] = field(default=())


def parse_set(lines: Iterable[str]) -> tuple[DeviceConfig, UapiError | None]:
    """Return what the lines after `set=1` ask for, up to the first bad line, and what is wrong with that one."""
    config = DeviceConfig()
    peers: list[PeerConfig] = []
    error = None
    try:
        for line in lines:
            key, value = _split(line)
            if key == "public_key":
                peers.append(PeerConfig(_read_key(value)))
            elif peers:
                peers[-1] = _change_peer(peers[-1], key, value)
            else:
                config = _change_device(config, key, value)
    except UapiError as refused:
        error = refused
    return replace(config, peers=tuple(peers)), error


def format_set(config: DeviceConfig) -> str:
    """Return the text of a `set` request with its closing empty line."""
    lines = ["set=1"]
    if config.private_key is not None:
        lines.append(f"private_key={config.private_key.hex()}")
    if config.listen_port is not None:
        lines.append(f"listen_port={config.listen_port}")
    if config.fwmark is not None:
        lines.append(f"fwmark={config.fwmark}")
    if config.replace_peers:
        lines.append("replace_peers=true")
    for peer in config.peers:
        lines += _peer_lines(peer)
    return "\n".join(lines) + "\n\n"


def parse_get(text: str) -> DeviceState:
    """Return what an answer to `get` reports; raises UapiError, also for an errno in it other than 0.

    Keys that we do not know are passed over, as later versions may add some.
    """
    device: dict[str, object] = {}
    peers: list[dict[str, object]] = []
    code: int | None = None
    for line in text.splitlines():
        if not line:
            break
        key, value = _split(line)
        if key == "errno":
            code = abs(_read_signed(value))
        elif key == "public_key":
            peers.append({"public_key": _read_key(value)})
        elif peers:
            _note_peer(peers[-1], key, value)
        elif key == "private_key":
            device[key] = _read_key(value)
        elif key in ("listen_port", "fwmark"):
            device[key] = _read_number(value, 0xFFFFFFFF)
    if code is None:
        raise UapiError(errno.EPROTO, "the answer has no errno")
    if code:
        raise UapiError(code, f"the answer is error {code}")
    return DeviceState(**device, peers=tuple(PeerState(**peer) for peer in peers))  # type: ignore[arg-type]


def format_get(state: DeviceState) -> str:
    """Return the answer to `get`, with errno and the closing empty line."""
    lines = []
    if state.private_key is not None:
        lines.append(f"private_key={state.private_key.hex()}")
    if state.listen_port:
        lines.append(f"listen_port={state.listen_port}")
    if state.fwmark:
        lines.append(f"fwmark={state.fwmark}")
    for peer in state.peers:
        lines += [
            f"public_key={peer.public_key.hex()}",
            f"preshared_key={peer.preshared_key.hex()}",
            f"protocol_version={PROTOCOL_VERSION}",
            *([f"endpoint={peer.endpoint}"] if peer.endpoint is not None else []),
            f"last_handshake_time_sec={peer.last_handshake_time_sec}",
            f"last_handshake_time_nsec={peer.last_handshake_time_nsec}",
            f"tx_bytes={peer.tx_bytes}",
            f"rx_bytes={peer.rx_bytes}",
            f"persistent_keepalive_interval={peer.persistent_keepalive_interval}",
            *(f"allowed_ip={network}" for network in peer.allowed_ips),
        ]
    return "\n".join([*lines, format_errno(0)])


def format_errno(number: int) -> str:
    """Return the end of an answer for a positive errno, 0 for done."""
    return f"errno={-number}\n\n"


def read_endpoint(text: str, zone_index: Callable[[str], int]) -> SocketAddress:
    """Return the socket address of `1.2.3.4:5` or `[v6%zone]:5`; raises UapiError."""
    host, colon, port = text.rpartition(":")
    number = _read_number(port, 0xFFFF) if colon else 0
    try:
        if not number:
            raise ValueError("no port")
        if not host.startswith("["):
            return str(IPv4Address(host)), number
        if not host.endswith("]"):
            raise ValueError("no closing bracket")
        address, _, zone = host[1:-1].partition("%")
        return str(IPv6Address(address)), number, 0, zone_index(zone) if zone else 0
    except (ValueError, OSError) as error:
        raise UapiError(errno.EINVAL, f"{text!r} is not an endpoint: {error}") from error


def write_endpoint(address: SocketAddress) -> str:
    """Return a socket address as UAPI writes it, with a numeric zone."""
    if len(address) == 2:
        return f"{address[0]}:{address[1]}"
    host, port, _, scope = address
    host = host.partition("%")[0]
    return f"[{host}%{scope}]:{port}" if scope else f"[{host}]:{port}"


def _change_device(config: DeviceConfig, key: str, value: str) -> DeviceConfig:
    if key == "private_key":
        return replace(config, private_key=_read_key(value))
    if key == "listen_port":
        return replace(config, listen_port=_read_number(value, 0xFFFF))
    if key == "fwmark":
        return replace(config, fwmark=_read_number(value, 0xFFFFFFFF))
    if key == "replace_peers":
        return replace(config, replace_peers=_read_true(value))
    raise UapiError(errno.EINVAL, f"{key!r} is not a key of the device")


def _change_peer(peer: PeerConfig, key: str, value: str) -> PeerConfig:
    if key == "remove":
        return replace(peer, remove=_read_true(value))
    if key == "update_only":
        return replace(peer, update_only=_read_true(value))
    if key == "preshared_key":
        return replace(peer, preshared_key=_read_key(value))
    if key == "endpoint":
        # Zones are names of this machine; here only the form counts.
        read_endpoint(value, lambda zone: 1)
        return replace(peer, endpoint=value)
    if key == "persistent_keepalive_interval":
        return replace(peer, persistent_keepalive_interval=_read_number(value, 0xFFFF))
    if key == "replace_allowed_ips":
        return replace(peer, replace_allowed_ips=_read_true(value), allowed_ips=())
    if key == "allowed_ip":
        return replace(peer, allowed_ips=(*peer.allowed_ips, _read_allowed_ip(value)))
    if key == "protocol_version":
        if value != str(PROTOCOL_VERSION):
            raise UapiError(errno.EINVAL, f"protocol version {value!r} is not known")
        return peer
    raise UapiError(errno.EINVAL, f"{key!r} is not a key of a peer")


def _peer_lines(peer: PeerConfig) -> list[str]:
    lines = [f"public_key={peer.public_key.hex()}"]
    lines += ["remove=true"] if peer.remove else []
    lines += ["update_only=true"] if peer.update_only else []
    if peer.preshared_key is not None:
        lines.append(f"preshared_key={peer.preshared_key.hex()}")
    if peer.endpoint is not None:
        lines.append(f"endpoint={peer.endpoint}")
    if peer.persistent_keepalive_interval is not None:
        lines.append(f"persistent_keepalive_interval={peer.persistent_keepalive_interval}")
    lines += ["replace_allowed_ips=true"] if peer.replace_allowed_ips else []
    return lines + [f"allowed_ip={network}" for network in peer.allowed_ips]


def _note_peer(peer: dict[str, object], key: str, value: str) -> None:
    if key == "preshared_key":
        peer[key] = _read_key(value)
    elif key == "endpoint":
        peer[key] = value
    elif key == "allowed_ip":
        known = peer.get("allowed_ips", ())
        assert isinstance(known, tuple)
        peer["allowed_ips"] = (*known, _read_allowed_ip(value))
    elif key in (
        "last_handshake_time_sec",
        "last_handshake_time_nsec",
        "tx_bytes",
        "rx_bytes",
        "persistent_keepalive_interval",
    ):
        peer[key] = _read_number(value, 2**64 - 1)


def _split(line: str) -> tuple[str, str]:
    key, equals, value = line.partition("=")
    if not equals:
        raise UapiError(errno.EPROTO, f"{line[:80]!r} is not key=value")
    return key, value


def _read_key(value: str) -> bytes:
    if not _KEY.fullmatch(value):
        raise UapiError(errno.EINVAL, "a key is 64 hexadecimal digits")
    return bytes.fromhex(value)


def _read_number(value: str, limit: int) -> int:
    if not _NUMBER.fullmatch(value) or int(value) > limit:
        raise UapiError(errno.EINVAL, f"{value[:80]!r} is not a number from 0 to {limit}")
    return int(value)


def _read_signed(value: str) -> int:
    return _read_number(value.removeprefix("-"), 0xFFFFFFFF)


def _read_true(value: str) -> bool:
    if value != "true":
        raise UapiError(errno.EINVAL, f"{value[:80]!r} is not `true`")
    return True


def _read_allowed_ip(value: str) -> str:
    minus = "-" if value.startswith("-") else ""
    try:
        return minus + str(Network.parse(value.removeprefix("-")))
    except ValueError as error:
        raise UapiError(errno.EINVAL, f"{value[:80]!r} is not an allowed IP: {error}") from error
