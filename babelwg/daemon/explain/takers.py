"""Which other routes take packets away from a prefix: longer destinations, and equal ones for fewer sources."""

from collections.abc import Collection, Iterable, Mapping
from ipaddress import ip_address
from typing import Literal, NamedTuple

from babelwg.babel.wire.prefix import Prefix
from babelwg.config.addresses import covers, mask, overlap
from babelwg.linux.routes import UNREACHABLE, Route

# Implementation constants
SAMPLE_STEPS = 61  # places in a prefix that are tried for an address that is left to it


class Taker(NamedTuple):
    """A route that takes packets away: from all sources of the prefix, or from those of `sources`."""

    prefix: Prefix
    sources: Prefix | None
    by: Literal["babel", "held", "announced", "main"]
    interface: int  # 0 for none


def find_takers(
    prefix: Prefix, learned: Mapping[Prefix, Route], announced: Iterable[Prefix], main: Iterable[Route]
) -> list[Taker]:
    """Return what takes packets away from a prefix, shortest destinations first.

    `learned` is what we want in the kernel, `main` are the operator's routes that stand against it.
    """
    ours = {*announced}
    found = [Taker(p, sources_taken(p, prefix), "announced", 0) for p in ours if takes(p, prefix)]
    for other, route in learned.items():
        if other not in ours and takes(other, prefix):
            by: Literal["babel", "held"] = "held" if route.kind == UNREACHABLE else "babel"
            found.append(Taker(other, sources_taken(other, prefix), by, route.interface))
    for route in main:
        if route.prefix not in ours and takes(route.prefix, prefix):
            found.append(Taker(route.prefix, sources_taken(route.prefix, prefix), "main", route.interface))
    return sorted(found, key=lambda taker: (taker.prefix.plen, taker.prefix))


def takes(other: Prefix, prefix: Prefix) -> bool:
    """Return whether some packets for `prefix` follow `other` instead: destination first (RFC 9079, section 4)."""
    # The first octets tell most prefixes apart, and there may be ten thousand.
    octets = prefix.plen // 8
    if other.plen < prefix.plen or other.network[:octets] != prefix.network[:octets]:
        return False
    if other == prefix or not covers(prefix, other):
        return False
    if other.source is None:
        return other.plen > prefix.plen
    if prefix.source is None:
        return True
    if other.plen > prefix.plen:
        return overlap(other.source, prefix.source)
    return covers(prefix.source, other.source)


def sources_taken(other: Prefix, prefix: Prefix) -> Prefix | None:
    """Return the sources whose packets `other` takes from `prefix`, None for all that it has."""
    if other.source is None or (prefix.source is not None and covers(other.source, prefix.source)):
        return None
    return other.source


def sample(prefix: Prefix, taken: Collection[Prefix]) -> bytes | None:
    """Return an address (packed) of a prefix that none of the longer destinations holds; None where none was found.

    Of what no packet of others is sent to, such as ::1 in ::/0, none is taken.
    """
    bits = 8 * len(prefix.network) - prefix.plen
    first = int.from_bytes(prefix.network, "big")
    # The first usable address, the first and the last one, then some spread over the whole.
    places = [min(1, (1 << bits) - 1), 0, (1 << bits) - 1]
    places += (
        [((1 << bits) * step) // SAMPLE_STEPS + 1 for step in range(1, SAMPLE_STEPS)] if bits > 6 else []
    )
    places += [*range(1 << bits)] if bits <= 6 else []
    destinations = {p.destination for p in taken if p.plen > prefix.plen}
    lengths = {p.plen for p in destinations}
    for place in places:
        address = (first + place).to_bytes(len(prefix.network), "big")
        if not _is_special(address) and not any(
            Prefix(prefix.family, mask(address, n), n) in destinations for n in lengths
        ):
            return address
    return None


def _is_special(packed: bytes) -> bool:
    address = ip_address(packed)
    # 0.0.0.0/8 means this host (RFC 1122), and not only its first address.
    is_this_host = len(packed) == 4 and not packed[0]
    return address.is_loopback or address.is_unspecified or address.is_multicast or is_this_host
