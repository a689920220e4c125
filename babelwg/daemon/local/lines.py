"""The lines of babeld's local protocol: what is said of an interface, a neighbour, an xroute, a route."""

from collections.abc import Callable
from hashlib import blake2s
from socket import AF_INET, AF_INET6, inet_ntop
from typing import NamedTuple

from babelwg.babel.events import router_id_text
from babelwg.babel.parameters import HISTORY_LENGTH
from babelwg.babel.routeview import RouteView
from babelwg.babel.snapshot import InterfaceView, NeighbourView
from babelwg.babel.wire.prefix import Prefix

# Constants of the protocol
VERSION = "BABEL 1.0"
OK, BAD, NO = "ok", "bad", "no"

# Implementation constants
ID_OCTETS = 8  # of the name of an entry

Identify = Callable[[bytes], str]


class RouteText(NamedTuple):
    """What is said of a route, around the word that tells whether it is in use."""

    start: str
    installed: bool
    end: str

    def __str__(self) -> str:
        return f"{self.start} installed {'yes' if self.installed else 'no'} {self.end}"


def make_identify(secret: bytes) -> Identify:
    """Return a function from the key of an entry to its id.

    An id is a hash, so it stays the same without being remembered, and nobody who lacks the secret can make two
    entries share one.
    """
    return lambda key: blake2s(key, key=secret, digest_size=ID_OCTETS).hexdigest()


def greeting(version: str, host: str, router_id: bytes) -> list[str]:
    """Return what a client hears first."""
    return [VERSION, f"version {version}", f"host {host}", f"my-id {router_id_text(router_id)}", OK]


def interface_text(name: str, view: InterfaceView | None) -> str:
    """Return what is said of an interface; None for one on which Babel does not run now."""
    if view is None:
        return f"interface {name} up false"
    ipv4 = f" ipv4 {_address(view.ipv4)}" if view.ipv4 else ""
    return f"interface {name} up true ipv6 {_address(view.link_local)}{ipv4}"


def neighbour_text(view: NeighbourView, identify: Identify) -> str:
    """Return what is said of a neighbour."""
    delay = "" if view.rtt is None else f" rtt {view.rtt * 1000:.3f} rttcost {view.penalty or 0}"
    return (
        f"neighbour {identify(_neighbour_key(view.interface, view.address))} address {_address(view.address)}"
        f" if {view.interface} reach {_history(view.reach)} ureach {_history(view.ureach)}"
        f" rxcost {view.rxcost} txcost {view.txcost}{delay} cost {view.cost}"
    )


def xroute_text(prefix: Prefix, metric: int) -> str:
    """Return what is said of a prefix that this node announces."""
    destination, source = _networks(prefix)
    return f"xroute {destination}-{source} prefix {destination} from {source} metric {metric}"


def route_text(view: RouteView, installed: bool, identify: Identify) -> RouteText:
    """Return what is said of a route."""
    prefix = view.prefix
    destination, source = _networks(prefix)
    # The lengths keep what follows from being read as a part of what comes before.
    key = b"%d %d %d" % (prefix.family, prefix.plen, prefix.source_plen)
    key += prefix.network + prefix.source_network + _neighbour_key(view.interface, view.neighbour)
    return RouteText(
        f"route {identify(key)} prefix {destination} from {source}",
        installed,
        f"id {router_id_text(view.router_id)} metric {view.metric} refmetric {view.refmetric}"
        f" via {_address(view.neighbour)} if {view.interface}",
    )


def _neighbour_key(interface: str, address: bytes) -> bytes:
    return address + interface.encode(errors="surrogateescape")


def _networks(prefix: Prefix) -> tuple[str, str]:
    """Return destination and source prefix of a route; without a source, everything."""
    destination = f"{_address(prefix.network)}/{prefix.plen}"
    if not prefix.source_plen:
        return destination, "0.0.0.0/0" if prefix.family == 4 else "::/0"
    return destination, f"{_address(prefix.source_network)}/{prefix.source_plen}"


def _address(address: bytes) -> str:
    return inet_ntop(AF_INET if len(address) == 4 else AF_INET6, address)


def _history(bits: int) -> str:
    """Return a Hello history as babeld writes it: the newest Hello is the most significant bit."""
    return f"{int(f'{bits:0{HISTORY_LENGTH}b}'[::-1], 2):04x}"
