"""Addresses, prefixes and endpoints as a configuration writes them."""

import re
from collections.abc import Callable, Collection
from ipaddress import IPv6Address, ip_address
from typing import NamedTuple, Self

from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.prefix import is_martian as is_martian
from babelwg.config.errors import quoted

HOST_NAME = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*\.?", re.ASCII)
ZONE = re.compile(r"[A-Za-z0-9._-]{1,15}", re.ASCII)
MAX_HOST_NAME = 253  # octets
MAX_SOCKET_PATH = 100  # octets; the kernel takes 107


class InterfaceAddress(NamedTuple):
    """An address of this node, packed, with the length of the network that it stands in."""

    family: int
    address: bytes
    plen: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the address that a text such as `10.23.0.1/32` names; without `/` it is a host's."""
        return cls(*_parse(text))

    @property
    def network(self) -> Prefix:
        """The network that the address stands in."""
        return Prefix(self.family, mask(self.address, self.plen), self.plen)

    @property
    def host(self) -> Prefix:
        """The address alone, as it is announced."""
        return host_prefix(self.address)

    def __str__(self) -> str:
        return f"{ip_address(self.address)}/{self.plen}"


class Endpoint(NamedTuple):
    """Where a peer is reached by UDP: a host name or an address, and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the endpoint that `host:port`, `1.2.3.4:port` or `[2001:db8::1]:port` names."""
        host, colon, port = text.rpartition(":")
        if not colon:
            raise ValueError(f"endpoint {quoted(text)} has no port; expected host:port or [IPv6]:port")
        if not (port.isascii() and port.isdigit() and len(port) <= 5 and 1 <= int(port) <= 65535):
            raise ValueError(f"port {quoted(port)} of endpoint {quoted(text)} must be 1-65535")
        return cls(_parse_host(host, text), int(port))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Listen(NamedTuple):
    """Where a server waits: an IP address and a TCP port, or the path of a Unix socket."""

    address: str
    port: int
    path: str = ""

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return what `127.0.0.1:6698`, `[::1]:6698`, `localhost:6698` or `unix:/run/x.sock` names."""
        kind, colon, path = text.partition(":")
        if kind == "unix" and colon:
            if not path.startswith("/") or len(path) > MAX_SOCKET_PATH or "\0" in path:
                raise ValueError(f"{quoted(text)}: expected unix: and an absolute path of at most 100 octets")
            return cls("", 0, path)
        host, port = Endpoint.parse(text)
        if host == "localhost":
            host = "127.0.0.1"
        try:
            return cls(str(ip_address(host)), port)
        except ValueError:
            raise ValueError(f"{quoted(text)}: give an address of this machine, not a name") from None

    @property
    def is_local(self) -> bool:
        """Return whether only this machine can connect."""
        return bool(self.path) or ip_address(self.address).is_loopback

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.path else str(Endpoint(self.address, self.port))


def parse_prefix(text: str) -> Prefix:
    """Return the prefix that a text names; a text with host bits is refused with what was meant."""
    family, address, plen = _parse(text)
    prefix = Prefix(family, mask(address, plen), plen)
    if prefix.network != address:
        meant = f"{ip_address(prefix.network)}/{plen}"
        raise ValueError(f"{quoted(text)} has bits set beyond its length; did you mean {meant}?")
    return prefix


def parse_network(text: str) -> Prefix:
    """Return the prefix that a text names, host bits cleared, as babeld reads one."""
    family, address, plen = _parse(text)
    return Prefix(family, mask(address, plen), plen)


def host_prefix(address: bytes) -> Prefix:
    """Return the host prefix of a packed address."""
    return Prefix(4 if len(address) == 4 else 6, address, 8 * len(address))


def mask(address: bytes, plen: int) -> bytes:
    """Return a packed address with all bits after the first `plen` cleared."""
    bits = 8 * len(address)
    value = int.from_bytes(address, "big") >> (bits - plen) << (bits - plen)
    return value.to_bytes(len(address), "big")


def near(network: Prefix) -> Callable[[bytes], bool]:
    """Return a quick test of a prefix's octets: all pass that hold `network` as a single address or lie in it.

    Of thousands few others do, so that only few are left to be looked at closely.
    """
    octets, plen = network.network, network.plen
    if plen == 8 * len(octets):
        return {mask(octets, length) for length in range(plen + 1)}.__contains__
    head = octets[: plen // 8]
    return lambda other: other.startswith(head)


def covers(outer: Prefix, inner: Prefix) -> bool:
    """Return whether every address of `inner` is one of `outer`."""
    if outer.family != inner.family or outer.plen > inner.plen:
        return False
    return mask(inner.network, outer.plen) == outer.network


def serves(prefix: Prefix, destination: bytes, source: bytes | None) -> bool:
    """Return whether a route is for packets from `source` to `destination` (packed); None has no source yet."""
    if not covers(prefix, host_prefix(destination)):
        return False
    sources = prefix.source
    return sources is None or (source is not None and covers(sources, host_prefix(source)))


def serving(known: Collection[Prefix], destination: bytes, source: bytes | None) -> list[Prefix]:
    """Return those of many prefixes that are for packets from `source` to `destination` (packed), quickly."""
    host = host_prefix(destination)
    plain = (Prefix(host.family, mask(destination, plen), plen) for plen in range(host.plen, -1, -1))
    sourced = [prefix for prefix in known if prefix.source_plen and serves(prefix, destination, source)]
    return [prefix for prefix in plain if prefix in known] + sourced


def overlap(one: Prefix, other: Prefix) -> bool:
    """Return whether two prefixes share an address."""
    return covers(one, other) or covers(other, one)


def _parse(text: str) -> tuple[int, bytes, int]:
    address_text, slash, plen = text.partition("/")
    try:
        # A zone names an interface, which a route or an address of the node cannot use.
        address = ip_address("" if "%" in address_text else address_text)
    except ValueError:
        raise ValueError(f"{quoted(text)} is not an IPv4 or IPv6 address") from None
    bits = address.max_prefixlen
    if not slash:
        return address.version, address.packed, bits
    if not (plen.isascii() and plen.isdigit() and len(plen) <= 3 and int(plen) <= bits):
        raise ValueError(f"the length after the / of {quoted(text)} must be 0-{bits}")
    return address.version, address.packed, int(plen)


def _parse_host(host: str, text: str) -> str:
    if host.startswith("[") and host.endswith("]"):
        # A zone goes into the text protocol of a back end, so only an interface name may stand there.
        zone = host[1:-1].partition("%")[2]
        if zone and not ZONE.fullmatch(zone):
            raise ValueError(f"{quoted(zone)} in endpoint {quoted(text)} is not the name of an interface")
        try:
            return str(IPv6Address(host[1:-1]))
        except ValueError:
            raise ValueError(f"endpoint {quoted(text)} has no IPv6 address in its brackets") from None
    if ":" in host:
        raise ValueError(f"endpoint {quoted(text)}: write an IPv6 address as in [2001:db8::1]:51820")
    if len(host) > MAX_HOST_NAME or not HOST_NAME.fullmatch(host):
        raise ValueError(f"{quoted(host)} in endpoint {quoted(text)} is not a host name or an address")
    # A name whose last label is a number can only be meant as an IPv4 address.
    if host.rstrip(".").rpartition(".")[2].isdigit():
        try:
            return str(ip_address(host))
        except ValueError:
            raise ValueError(f"{quoted(host)} in endpoint {quoted(text)} is not an IPv4 address") from None
    return host
