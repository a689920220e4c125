"""The parts of an explanation as JSON tells them, with names instead of numbers."""

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from babelwg.babel.events import address_text
from babelwg.babel.explain import Candidate, Held, PeerAddress, Refused, Request, Told, Waiting
from babelwg.babel.policy import Announcement, Policy
from babelwg.babel.wire.prefix import Prefix
from babelwg.daemon.explain.filterlines import lines_for

if TYPE_CHECKING:
    from babelwg.daemon.queries.context import Context


def name_of(context: "Context", peer: PeerAddress) -> str:
    """Return the name of the peer on a tunnel, else the neighbour's address with its interface."""
    return context.names.neighbour(*peer) or address_text(peer.address, peer.interface)


def describe_candidate(context: "Context", candidate: Candidate, policy: Policy) -> dict[str, Any]:
    """Return a candidate: the route, its metric in parts, the verdict, and the filters that it met."""
    view, distance = candidate.view, candidate.verdict.distance
    seen = Announcement(view.prefix, view.router_id, view.interface, view.neighbour)
    return {
        **describe_way(context, candidate),
        "smoothed_metric": round(view.smoothed_metric, 1),
        "parts": describe_parts(candidate),
        "usable": candidate.usable,
        "verdict": candidate.verdict.code,
        "words": candidate.verdict.words,
        "distance": {"seqno": distance.seqno, "metric": distance.metric} if distance else None,
        "filters": lines_for(policy, seen, ("in", "install")),
    }


def describe_way(context: "Context", candidate: Candidate) -> dict[str, Any]:
    """Return a candidate as `show routes` tells it, and the name of the neighbour that it leads through."""
    view = candidate.view
    return {
        **context.describe_route(view),
        "via": name_of(context, PeerAddress(view.interface, view.neighbour)),
    }


def describe_parts(candidate: Candidate) -> dict[str, int]:
    """Return the parts whose sum is the metric."""
    parts = candidate.parts
    return {
        "nominal": parts.nominal,
        "loss": parts.loss,
        "delay": parts.delay,
        "configured": parts.configured,
        "filter": parts.filter,
        "refmetric": parts.refmetric,
        "rest": parts.rest,
    }


def describe_waiting(context: "Context", waiting: Waiting | None) -> dict[str, Any] | None:
    """Return the better route that is not taken yet."""
    if waiting is None:
        return None
    return {
        "via": name_of(context, PeerAddress(waiting.better.view.interface, waiting.better.view.neighbour)),
        "metric": waiting.better.view.metric,
        "clearly_better_s": None if waiting.clearly_for is None else round(waiting.clearly_for, 3),
        "again_s": round(max(0.0, waiting.again), 3),
        "words": waiting.words,
    }


def describe_request(context: "Context", request: Request) -> dict[str, Any]:
    """Return a seqno request under way."""
    return {
        "router_id": request.router_id.hex(":"),
        "origin": context.names.origin(request.router_id),
        "seqno": request.seqno,
        "age_s": round(request.age, 3),
        "sent_s": round(request.sent, 3),
        "resends": request.resends,
        "targets": [name_of(context, target) for target in request.targets],
        "requesters": [name_of(context, requester) for requester in request.requesters],
        "for_us": request.for_us,
    }


def describe_held(context: "Context", held: Held | None) -> dict[str, Any] | None:
    """Return a hold, and for whom it waits."""
    if held is None:
        return None
    return {
        "age_s": round(held.age, 3),
        "ends_s": None if held.ends is None else round(max(0.0, held.ends), 3),
        "waiting": [name_of(context, neighbour) for neighbour in held.waiting],
    }


def describe_refused(context: "Context", refused: Refused) -> dict[str, Any]:
    """Return an announcement that was not believed."""
    return {
        "via": name_of(context, refused.neighbour),
        "interface": refused.neighbour.interface,
        "neighbour": str(ip_address(refused.neighbour.address)),
        "reason": refused.reason,
        "words": refused.words,
        "router_id": refused.router_id.hex(":") if refused.router_id else None,
        "seqno": refused.seqno,
        "refmetric": refused.refmetric,
        "age_s": round(refused.age, 3),
    }


def describe_told(
    context: "Context", told: Told, policy: Policy, prefix: Prefix, router_id: bytes
) -> dict[str, Any]:
    """Return what the neighbours on an interface hear, and the out line that it met."""
    seen = Announcement(prefix, router_id, told.interface)
    return {
        "interface": told.interface,
        "peer": context.names.peer_on(told.interface),
        "metric": told.metric,
        "added": told.added,
        "words": told.words or None,
        "filters": lines_for(policy, seen, ("out",)),
    }
