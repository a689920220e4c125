"""From the speaker's events to records that people understand: what changed, what was before, and why."""

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from babelwg.babel.events import (
    Event,
    LinkCostChanged,
    LinkFailed,
    LinkRestored,
    NeighbourAcquired,
    NeighbourLost,
    Origin,
    PacketDropped,
    RouteFlushed,
    RouteRetracted,
    RouteSelected,
    RoutesRefused,
    SeqnoIncreased,
    SeqnoRequested,
    TlvDropped,
)
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY
from babelwg.daemon.recorder.words import CAUSES, LOSSES, link_cause, metric_text
from babelwg.daemon.texts import ip_text, prefix_text, router_id_text

# Implementation constants
LEAST_COST_CHANGE = (
    16  # smaller ones are noise of the measured delay, and would push the rest out of the memory
)
COMPLAINT_PAUSE = 60.0  # seconds between two records of the same refusal, which strangers can cause at will
MAX_LINKS = 4096
MAX_WAYS = 200_000
UNKNOWN = "a neighbour"

Record = dict[str, Any]


class Way(NamedTuple):
    """How packets for a prefix went when it was last told."""

    interface: str
    neighbour: bytes
    metric: int


class Link(NamedTuple):
    """The costs of a link: those of now, and the cost before the latest change."""

    cost: int
    rxcost: int
    txcost: int
    before: int
    told: int  # the cost in the latest record of it


class NameSource(Protocol):
    """What is known of names."""

    def peer_on(self, interface: str) -> str | None: ...
    def neighbour(self, interface: str, address: bytes) -> str | None: ...
    def origin(self, router_id: bytes) -> str | None: ...


class Narrator:
    """Tells events in their order; keeps of each link and each prefix what the next record compares with."""

    def __init__(self, names: NameSource) -> None:
        self._names = names
        self._ways: dict[Prefix, Way] = {}
        self._links: dict[tuple[str, bytes], Link] = {}
        self._losses: dict[tuple[str, bytes], str] = {}
        self._dead: dict[str, None] = {}  # interfaces
        self._complaints: dict[tuple[str, str], tuple[float, int]] = {}
        self._tellers: dict[type, Callable[[Any], Record | None]] = {
            RouteSelected: self._selected,
            RouteRetracted: self._retracted,
            RouteFlushed: self._flushed,
            NeighbourAcquired: self._acquired,
            NeighbourLost: self._lost,
            LinkCostChanged: self._repriced,
            LinkFailed: self._failed,
            LinkRestored: self._restored,
            RoutesRefused: self._refused,
            SeqnoIncreased: self._seqno_increased,
            SeqnoRequested: self._seqno_requested,
        }

    def tell(self, event: Event, time: float) -> Record | None:
        """Return the record of an event, None for one that is not worth a record of its own."""
        if isinstance(event, PacketDropped | TlvDropped):
            return self._dropped(event, time)
        return self._tellers[type(event)](event)

    def _selected(self, event: RouteSelected) -> Record:
        old = self._ways.get(event.prefix)
        if old is None and len(self._ways) >= MAX_WAYS:
            del self._ways[next(iter(self._ways))]
        self._ways[event.prefix] = Way(event.interface, event.neighbour, event.metric)
        record = self._about_way(event)
        prefix = record["prefix"]
        who, metric = self._who(event.interface, event.neighbour), metric_text(event.metric)
        if old is None:
            text = f"{prefix} goes via {who}, {metric}"
        else:
            former = old.metric if event.old_metric is None else event.old_metric
            record |= self._old(old, former)
            if (old.interface, old.neighbour) == (event.interface, event.neighbour):
                text = f"{prefix} still goes via {who}, next hop {record['next_hop']}, {metric}"
            else:
                was = self._who(old.interface, old.neighbour)
                text = f"{prefix} now goes via {who}, {metric} (was {was}, {metric_text(former)})"
        return _with_cause(record, text, self._cause(event.cause, event.by))

    def _about_way(self, event: RouteSelected) -> Record:
        return {
            "event": "route-selected",
            "prefix": prefix_text(event.prefix),
            "peer": self._names.peer_on(event.interface),
            "neighbour_name": self._names.neighbour(event.interface, event.neighbour),
            "interface": event.interface,
            "next_hop": ip_text(event.next_hop),
            "metric": event.metric,
            "router_id": router_id_text(event.router_id),
            "origin": self._names.origin(event.router_id),
            "seqno": event.seqno,
            "refmetric": event.refmetric,
        }

    def _retracted(self, event: RouteRetracted) -> Record:
        record, was = self._end(event.prefix, "route-retracted")
        return _with_cause(
            record, f"{record['prefix']} is unreachable{was}", self._cause(event.cause, event.by)
        )

    def _flushed(self, event: RouteFlushed) -> Record:
        record, was = self._end(event.prefix, "route-flushed")
        words = "is learned no more" if was else "is held unreachable no more"
        return _with_cause(record, f"{record['prefix']} {words}{was}", self._cause(event.cause, event.by))

    def _end(self, prefix: Prefix, event: str) -> tuple[Record, str]:
        """Return the beginning of a record of the end of a way, and how the way was in words."""
        record: Record = {"event": event, "prefix": prefix_text(prefix)}
        if (old := self._ways.pop(prefix, None)) is None:
            return record, ""
        was = f" (was via {self._who(old.interface, old.neighbour)}, {metric_text(old.metric)})"
        return record | self._old(old, old.metric), was

    def _old(self, way: Way, metric: int) -> Record:
        return {
            "old_peer": self._names.peer_on(way.interface),
            "old_interface": way.interface,
            "old_metric": metric,
        }

    def _acquired(self, event: NeighbourAcquired) -> Record:
        self._losses.pop((event.interface, event.address), None)
        self._dead.pop(
            event.interface, None
        )  # or the interface was made anew, and nothing is known of its link
        who = self._who(event.interface, event.address)
        record = self._about_neighbour("neighbour-acquired", event.interface, event.address)
        return _with_cause(record, f"{who} is heard", "its first Hello came")

    def _lost(self, event: NeighbourLost) -> Record:
        key = event.interface, event.address
        self._links.pop(key, None)
        _bound(self._losses, MAX_LINKS)
        self._losses[key] = event.reason
        record = self._about_neighbour("neighbour-lost", event.interface, event.address)
        who = self._who(*key)
        return _with_cause(record, f"{who} is lost", LOSSES.get(event.reason, event.reason).format(who="it"))

    def _repriced(self, event: LinkCostChanged) -> Record | None:
        key = event.interface, event.address
        old = self._links.get(key) or Link(INFINITY, INFINITY, INFINITY, INFINITY, INFINITY)
        _bound(self._links, MAX_LINKS)
        change = abs(event.cost - old.told)
        # A link that is found or lost moves by tens of thousands.
        told = event.cost if change >= LEAST_COST_CHANGE else old.told
        self._links[key] = Link(event.cost, event.rxcost, event.txcost, old.cost, told)
        if told == old.told:
            return None
        record = self._about_neighbour("link-cost-changed", *key)
        record |= {"cost": event.cost, "rxcost": event.rxcost, "txcost": event.txcost, "old_cost": old.told}
        who = self._who(*key)
        if event.cost == INFINITY:
            text = f"the link to {who} is down"
        elif old.told == INFINITY:
            text = f"the link to {who} is up, cost {event.cost}"
        else:
            text = f"the link to {who} costs {event.cost} (was {old.told})"
        is_dead = event.interface in self._dead and event.cost == INFINITY
        cause = "it answers no more" if is_dead else link_cause(event, old.rxcost, old.txcost)
        return _with_cause(record, text, cause)

    def _failed(self, event: LinkFailed) -> Record:
        _bound(self._dead, MAX_LINKS)
        self._dead[event.interface] = None
        record, who = self._about_link("link-failed", event.interface)
        return _with_cause(record, f"the link to {who} is dead", event.why)

    def _restored(self, event: LinkRestored) -> Record:
        self._dead.pop(event.interface, None)
        record, who = self._about_link("link-restored", event.interface)
        cause = f"packets go both ways again, after {event.after:.1f} s"
        return _with_cause(record | {"after_s": round(event.after, 3)}, f"the link to {who} lives", cause)

    def _about_link(self, event: str, interface: str) -> tuple[Record, str]:
        peer = self._names.peer_on(interface)
        return {"event": event, "peer": peer, "interface": interface}, peer or interface

    def _seqno_increased(self, event: SeqnoIncreased) -> Record:
        record: Record = {"event": "seqno-increased", "seqno": event.seqno}
        return _with_cause(record, f"our seqno is {event.seqno} now", "a neighbour needs a newer one")

    def _seqno_requested(self, event: SeqnoRequested) -> Record:
        record = self._about_neighbour("seqno-requested", event.interface, event.neighbour)
        record |= {
            "prefix": prefix_text(event.prefix),
            "router_id": router_id_text(event.router_id),
            "origin": self._names.origin(event.router_id),
            "seqno": event.seqno,
        }
        who = self._who(event.interface, event.neighbour)
        text = f"{who} is asked for {record['prefix']} with seqno {event.seqno}"
        return _with_cause(record, text, "without it the way is not feasible")

    def _refused(self, event: RoutesRefused) -> Record:
        record = self._about_neighbour("routes-refused", event.interface, event.neighbour)
        record |= {"limit": event.limit, "of": event.of}
        who = self._who(event.interface, event.neighbour)
        whose = "a neighbour" if event.of == "neighbour" else "all neighbours together"
        text = f"further routes of {who} are ignored"
        return _with_cause(record, text, f"more than the {event.limit} that {whose} may have are announced")

    def _dropped(self, event: PacketDropped | TlvDropped, time: float) -> Record | None:
        """Return the first refusal of its kind in a while; the next one tells how many there were between."""
        key = event.interface, event.reason
        since, count = self._complaints.get(key, (float("-inf"), 0))
        if time - since < COMPLAINT_PAUSE:
            self._complaints[key] = since, count + 1
            return None
        self._complaints[key] = time, 0
        what = "packet" if isinstance(event, PacketDropped) else "tlv"
        record = self._about_neighbour(f"{what}-dropped", event.interface, event.source)
        record |= {"reason": event.reason, "more": count}
        who = self._who(event.interface, event.source)
        more = f" ({count} more since the last notice)" if count else ""
        text = f"a {what if what == 'packet' else 'TLV'} from {who} was refused{more}"
        return _with_cause(record, text, event.message if isinstance(event, TlvDropped) else event.reason)

    def _cause(self, cause: str, by: Origin) -> str:
        """Return in words why a route changed."""
        who = self._who(*by) if by else UNKNOWN
        if cause == "neighbour-lost":
            return LOSSES.get(self._losses.get(by, "") if by else "", "{who} was lost").format(who=who)
        if cause == "link-cost" and by and (link := self._links.get(by)) is not None:
            if link.cost == INFINITY:
                return f"the link to {who} went down"
            if link.before == INFINITY:
                return f"the link to {who} came up"
            word = "rose" if link.cost > link.before else "fell"
            return f"{who}'s link cost {word} from {link.before} to {link.cost}"
        return CAUSES.get(cause, cause).format(who=who)

    def _about_neighbour(self, event: str, interface: str, address: bytes) -> Record:
        return {
            "event": event,
            "peer": self._names.peer_on(interface),
            "neighbour_name": self._names.neighbour(interface, address),
            "interface": interface,
            "address": ip_text(address),
        }

    def _who(self, interface: str, address: bytes) -> str:
        return self._names.neighbour(interface, address) or f"{ip_text(address)}%{interface}"


def _with_cause(record: Record, text: str, cause: str) -> Record:
    record["cause"] = cause
    record["text"] = f"{text}: {cause}"
    return record


def _bound(held: dict[Any, Any], limit: int) -> None:
    if len(held) >= limit:
        del held[next(iter(held))]
