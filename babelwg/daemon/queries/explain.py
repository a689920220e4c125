"""One prefix: why it is routed as it is, with everything that has a part in it."""

import os
from typing import Any

from babelwg.babel.explain import Explanation, PeerAddress
from babelwg.babel.snapshot import Summary
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import INFINITY
from babelwg.daemon.control import INVALID_PARAMS, Params, RequestError
from babelwg.daemon.effective import policy_of
from babelwg.daemon.explain.candidates import (
    describe_candidate,
    describe_held,
    describe_refused,
    describe_request,
    describe_told,
    describe_waiting,
    describe_way,
    name_of,
)
from babelwg.daemon.explain.kernelview import compare, describe_kernel, has_way
from babelwg.daemon.explain.sentence import answer
from babelwg.daemon.explain.subject import longest, read_subject
from babelwg.daemon.explain.takers import Taker, find_takers, sample
from babelwg.daemon.peers import describe_peers
from babelwg.daemon.queries.context import Context, Method
from babelwg.linux.errors import KernelError
from babelwg.linux.guards import is_operators
from babelwg.linux.mirror import IFF_LOOPBACK
from babelwg.linux.routes import Route, match

# Implementation constants
MAX_TAKERS = 50  # that are told one by one


class Explain:
    """Answers why."""

    def __init__(self, context: Context) -> None:
        self._context = context

    def methods(self) -> dict[str, Method]:
        """Return these answers by their names on the control socket."""
        return {"route_explain": self._route_explain}

    async def _route_explain(self, params: Params) -> Any:
        context, text = self._context, str(params.get("prefix") or "")
        node, speaker = context.node, context.node.routing.speaker
        known = {*speaker.prefixes(), *node.routing.announced, *node.routes.learned}
        context.learn_names()
        subject = read_subject(text, context.names)
        prefix = longest(subject, known)
        explanation = speaker.explain(prefix, context.now())
        takers = self._takers(prefix)
        destination = subject.destination
        if subject.prefix is not None:
            destination = sample(prefix, [t.prefix for t in takers]) or prefix.network
        kernel = self._kernel(prefix, destination, subject.source)
        data = self._describe(explanation, kernel, takers)
        data["sessions"] = [] if explanation.winner else await self._sessions(context.summary())
        refusal = node.routes.refused.get(prefix)
        why = None if refusal is None else _refusal_words(refusal.errno, refusal.detail)
        head = {"asked": text, "name": subject.name, "has_route": has_way(kernel) and why is None}
        return head | {"answer": answer(explanation, data, why)} | data

    def _describe(
        self, explanation: Explanation, kernel: Route | None, takers: list[Taker]
    ) -> dict[str, Any]:
        context, policy = self._context, policy_of(self._context.node.config)
        winner, following, prefix = explanation.winner, explanation.following, explanation.prefix
        name = context.node.monitor.mirror.name
        agreement = compare(prefix, winner.view if winner else None, kernel, name)
        router_id = winner.view.router_id if winner else context.node.routing.speaker.router_id
        announced = context.node.routing.announced.get(prefix)
        return {
            "prefix": str(prefix),
            "outcome": explanation.outcome,
            "why": explanation.why,
            "route": describe_way(context, winner) if winner else None,
            "next": describe_way(context, following) if following else None,
            "candidates": [describe_candidate(context, c, policy) for c in explanation.candidates],
            "waiting": describe_waiting(context, explanation.waiting),
            "requests": [describe_request(context, r) for r in explanation.requests],
            "held": describe_held(context, explanation.held),
            "refused": [describe_refused(context, r) for r in explanation.refused],
            "announced": {"metric": announced[0], "origin": announced[1]} if announced else None,
            "told": [describe_told(context, t, policy, prefix, router_id) for t in explanation.told],
            "kernel": describe_kernel(kernel, name, kernel.prefix) if kernel else None,
            "agrees": agreement.agrees,
            "kernel_words": agreement.words,
            "takers": [self._describe_taker(taker) for taker in takers[:MAX_TAKERS]],
            "more_takers": max(0, len(takers) - MAX_TAKERS),
        }

    def _takers(self, prefix: Prefix) -> list[Taker]:
        node = self._context.node
        mirror, installer = node.monitor.mirror, node.routing.installer
        loopback = {index for index, link in mirror.links.items() if link.flags & IFF_LOOPBACK}
        main = [
            route
            for route in mirror.main.values()
            if is_operators(route)
            and route.interface not in loopback
            and (route.prefix in installer.guarded or route.prefix not in node.routes.learned)
        ]
        return find_takers(prefix, node.routes.learned, node.routing.announced, main)

    def _describe_taker(self, taker: Taker) -> dict[str, Any]:
        interface = self._context.node.monitor.mirror.name(taker.interface) if taker.interface else None
        return {
            "prefix": str(taker.prefix),
            "sources": None if taker.sources is None else str(taker.sources),
            "by": taker.by,
            "interface": interface,
            "peer": self._context.names.peer_on(interface) if interface else None,
        }

    def _kernel(self, prefix: Prefix, destination: bytes, source: bytes | None) -> Route | None:
        if source is None and prefix.source is not None:
            node = self._context.node
            own = node.routing.installer.source_for(prefix)
            source = own or sample(prefix.source, ()) or prefix.source_network
        try:
            return match(self._context.node.requests, destination, source)
        except KernelError as error:
            raise RequestError(INVALID_PARAMS, str(error)) from error

    async def _sessions(self, summary: Summary) -> list[dict[str, Any]]:
        """Return the peers and neighbours with which no packets go both ways, and why."""
        node, names = self._context.node, self._context.names
        peers = await describe_peers(node, summary, names)
        down = [
            {"peer": p["name"], "interface": p["interface"], "state": p["state"], "reason": p["reason"]}
            for p in peers
            if p["cost"] in (None, INFINITY)
        ]
        tunnels = {peer["interface"] for peer in peers}
        for view in summary.neighbours:
            if view.interface not in tunnels and view.cost == INFINITY:
                name = name_of(self._context, PeerAddress(view.interface, view.address))
                reason = "heard, and does not say that it hears us"
                down.append({"peer": name, "interface": view.interface, "state": "down", "reason": reason})
        return down


def _refusal_words(errno: int, detail: str) -> str:
    return f"the kernel refused it: {detail or os.strerror(errno).lower()}" if errno else detail
