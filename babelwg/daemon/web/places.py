"""Who holds which of the page's places: no client all of them, and none while it does nothing that others wait for."""

from collections import Counter
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Any, Literal

from babelwg.daemon.web.guard import Refusal

# Implementation constants
MAX_CLIENTS = 64  # connections
MAX_RUNNING = 24  # requests that are being answered, streams apart
MAX_STREAMS = 16  # browsers that follow the events
# Of these one client has, unless it is this machine, where all users and a proxy share the address.
CLIENT_CLIENTS = 16
CLIENT_RUNNING = 8  # a browser asks six things at once
CLIENT_STREAMS = 4
TAKE_GRACE = 3.0  # seconds to take an answer, after which somebody who waits for the place gets it
STREAM_GRACE = 60.0  # seconds to follow the events, likewise
LOCAL = "local"
NETWORK = 64  # bits of the IPv6 network that one host commonly has for itself

Doing = Literal["nothing", "asking", "taking", "following"]

BUSY = Refusal(503, "busy", "too many requests at once")
CLIENT_BUSY = Refusal(503, "busy-of-one", "too many requests at once from this address")
STREAMS = Refusal(503, "streams", "too many browsers follow the events")
CLIENT_STREAMING = Refusal(503, "streams-of-one", "too many browsers of this address follow the events")


def client_of(peername: Any) -> str:
    """Return whom a connection belongs to: an IPv4 address, an IPv6 network, or all of this machine."""
    try:
        address = ip_address(str(peername[0]).partition("%")[0])
    except (TypeError, IndexError, ValueError):
        return LOCAL  # a Unix socket
    if isinstance(address, IPv6Address):
        address = address.ipv4_mapped or address
    if address.is_loopback:
        return LOCAL
    if isinstance(address, IPv6Address):
        return str(IPv6Address(int(address) >> (128 - NETWORK) << (128 - NETWORK)))
    return str(address)


@dataclass(slots=True)
class Place:
    """What a connection does, and since when."""

    client: str
    end: Callable[[], None]
    since: float  # seconds
    doing: Doing = "nothing"


class Places:
    """Gives connections their places, and ends what is idle or slow where somebody waits for one."""

    def __init__(self, count: Callable[[str], None]) -> None:
        """Count what is refused or ended, by its reason, with `count`."""
        self._count = count
        self._places: dict[object, Place] = {}

    def keep(self, standing: Collection[object]) -> None:
        """Forget the connections that do not stand any more."""
        self._places = {known: place for known, place in self._places.items() if known in standing}

    def admit(self, client: str, now: float) -> bool:
        """Return whether a client may have one connection more; where needed, one that does nothing ends for it."""
        own = self._of(client)
        if client != LOCAL and len(own) >= CLIENT_CLIENTS and not self._make_room(own, now):
            self._count("refused.clients-of-one")
            return False
        if len(self._places) >= MAX_CLIENTS and not self._make_room(self._places, now):
            self._count("refused.clients")
            return False
        return True

    def enter(self, connection: object, client: str, end: Callable[[], None], now: float) -> None:
        """Take note of a connection, which `end` ends."""
        self._places[connection] = Place(client, end, now)

    def does(self, connection: object, doing: Doing, now: float) -> None:
        """Take note of what a connection does from now on."""
        if (place := self._places.get(connection)) is not None:
            place.doing, place.since = doing, now

    def client(self, connection: object) -> str:
        """Return whom a connection belongs to."""
        place = self._places.get(connection)
        return place.client if place else LOCAL

    def running_refusal(self, client: str, now: float) -> Refusal | None:
        """Return why one request more of a client is not answered now; where needed, a slow taker ends for it."""
        running = {c: p for c, p in self._places.items() if p.doing in ("asking", "taking")}
        own = {c: p for c, p in running.items() if p.client == client}
        if client != LOCAL and len(own) >= CLIENT_RUNNING and not self._make_room(own, now):
            return CLIENT_BUSY
        if len(running) >= MAX_RUNNING and not self._make_room(running, now):
            return BUSY
        return None

    def stream_refusal(self, client: str, now: float) -> Refusal | None:
        """Return why one stream more of a client is not opened; where needed, one that has lasted ends for it."""
        streams = {c: p for c, p in self._places.items() if p.doing == "following"}
        own = {c: p for c, p in streams.items() if p.client == client}
        is_own_full = client != LOCAL and len(own) >= CLIENT_STREAMS
        if not is_own_full and len(streams) < MAX_STREAMS:
            return None
        # Who has followed long gives way to the same client, and to one that has clearly fewer.
        held = Counter(place.client for place in streams.values())
        among = own if is_own_full else streams
        old = {c: p for c, p in among.items() if now - p.since > STREAM_GRACE}
        fair = {c: p for c, p in old.items() if p.client == client or held[p.client] > len(own) + 1}
        if fair:
            self._end(max(fair, key=lambda c: (held[fair[c].client], now - fair[c].since)), "stream_replaced")
            return None
        return CLIENT_STREAMING if is_own_full else STREAMS

    def end_idle(self, now: float, patience: float) -> None:
        """End the connections that have done nothing for so many seconds."""
        for connection, place in [*self._places.items()]:
            if place.doing == "nothing" and now - place.since > patience:
                self._end(connection, "client_idle")

    def _of(self, client: str) -> dict[object, Place]:
        return {c: p for c, p in self._places.items() if p.client == client}

    def _make_room(self, among: Iterable[object], now: float) -> bool:
        """End a connection that does nothing, else one that takes its answer slowly; return whether there was one."""
        found = [(connection, self._places[connection]) for connection in among]
        idle = [(c, p) for c, p in found if p.doing == "nothing"]
        slow = [(c, p) for c, p in found if p.doing == "taking" and now - p.since > TAKE_GRACE]
        held = Counter(place.client for place in self._places.values())
        for candidates, reason in ((idle, "client_idle"), (slow, "client_too_slow")):
            if candidates:
                # Of the client that holds most, the one that has waited longest.
                chosen = max(candidates, key=lambda item: (held[item[1].client], now - item[1].since))
                self._end(chosen[0], reason)
                return True
        return False

    def _end(self, connection: object, reason: str) -> None:
        self._count(reason)
        self._places.pop(connection).end()
