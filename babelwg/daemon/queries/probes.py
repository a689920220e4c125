"""Packets of our own through the mesh: where they pass, and how long they take."""

import asyncio
import logging
from ipaddress import ip_address
from typing import Any

from babelwg.babel.events import address_text
from babelwg.babel.routeview import RouteView
from babelwg.babel.snapshot import Snapshot
from babelwg.babel.wire.tlv import INFINITY
from babelwg.config.addresses import host_prefix, serves
from babelwg.daemon.control import INVALID_PARAMS, Params, RequestError, asked_by_operator, notification
from babelwg.daemon.explain.subject import MAX_TEXT, resolve
from babelwg.daemon.feed import Feed
from babelwg.daemon.queries.context import Context, Method
from babelwg.daemon.trace import Hop, trace
from babelwg.linux.errors import KernelError
from babelwg.linux.probes.echo import Echoes, Reply, echoes
from babelwg.linux.probes.uplink import ProbeFailed
from babelwg.linux.routes import UNICAST, look_up

log = logging.getLogger(__name__)

# Implementation constants
MAX_TRACES = 4  # at once
MAX_PINGS = 8  # at once
RESERVED = 1  # place of each is kept for root: the group must not lock the operator out
MIN_INTERVAL, MAX_INTERVAL = 0.25, 60.0  # seconds between two requests of one client
MAX_COUNT = 1_000_000
PATIENCE = 2.0  # seconds for an answer

BROADCAST = bytes(4 * [255])


class Probes:
    """Sends packets and tells what comes back; bounded in number and rate, whoever asks."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._traces = 0
        self._pings: set[asyncio.Task[None]] = set()

    def methods(self) -> dict[str, Method]:
        """Return these answers by their names on the control socket."""
        return {"trace": self._trace, "ping": self._ping}

    async def _trace(self, params: Params) -> Any:
        text, address = self._target(params)
        if self._traces >= _places(MAX_TRACES):
            raise RequestError(
                INVALID_PARAMS, f"{self._traces} traces are under way; try again in some seconds"
            )
        source = self._source(address)
        self._traces += 1
        try:
            with echoes(address, source) as sender:
                trail = await trace(sender)
        except ProbeFailed as failed:
            raise RequestError(INVALID_PARAMS, f"cannot send to {ip_address(address)}: {failed}") from failed
        finally:
            self._traces -= 1
        snapshot = self._context.snapshot()
        onward = self._onward(snapshot, address)
        return {
            "asked": text,
            "address": str(ip_address(address)),
            "name": self._name(snapshot, address),
            "source": str(ip_address(source)) if source else None,
            "end": trail.end,
            "words": trail.words,
            "hops": [self._describe_hop(snapshot, hop, onward, address) for hop in trail.hops],
        }

    async def _ping(self, params: Params) -> Any:
        text, address = self._target(params)
        count = _number(params, "count", 1, MAX_COUNT)
        interval = _number(params, "interval_s", MIN_INTERVAL, MAX_INTERVAL) or 1.0
        if len(self._pings) >= _places(MAX_PINGS):
            raise RequestError(INVALID_PARAMS, f"{len(self._pings)} pings are under way already")
        source = self._source(address)
        try:
            sender = Echoes(address, source)
        except ProbeFailed as failed:
            raise RequestError(INVALID_PARAMS, f"cannot send to {ip_address(address)}: {failed}") from failed
        name = self._name(self._context.snapshot(), address)
        head = {
            "asked": text,
            "address": str(ip_address(address)),
            "name": name,
            "source": str(ip_address(source)) if source else None,
            "count": None if count is None else int(count),
            "interval_s": interval,
        }

        def stop(feed: Feed) -> None:
            del feed
            task.cancel()

        feed = Feed(head, stop)
        task = asyncio.create_task(self._run(feed, sender, None if count is None else int(count), interval))
        self._pings.add(task)
        task.add_done_callback(lambda task: self._end(task, feed, sender))
        return feed

    async def _run(self, feed: Feed, sender: Echoes, count: int | None, interval: float) -> None:
        """Send a request every `interval` seconds, and put a line for each answer."""
        loop = asyncio.get_running_loop()
        due, number = loop.time(), 0
        async with asyncio.TaskGroup() as group:
            while count is None or number < count:
                number += 1
                group.create_task(self._one(feed, sender, number))
                due = max(due + interval, loop.time())
                if number != count:
                    await asyncio.sleep(due - loop.time())

    def _end(self, task: asyncio.Task[None], feed: Feed, sender: Echoes) -> None:
        # Here and not in the task itself, which never begins when its client is gone at once.
        self._pings.discard(task)
        sender.close()
        feed.close()
        if not task.cancelled() and (mistake := task.exception()) is not None:
            log.error("internal-error", exc_info=mistake)

    async def _one(self, feed: Feed, sender: Echoes, number: int) -> None:
        reply, why = None, f"no answer in {PATIENCE:g} s"
        try:
            future = sender.send()
            async with asyncio.timeout(PATIENCE):
                reply = await future
        except ProbeFailed as failed:
            why = str(failed)
        except TimeoutError:
            sender.forget(future)
        feed.put(notification("event", self._describe_answer(number, reply, why)))

    def _describe_answer(self, number: int, reply: Reply | None, why: str) -> dict[str, Any]:
        answered = reply is not None and reply.kind == "reply"
        words = None if answered else why
        if reply is not None and not answered:
            words = reply.words or "the packet went in circles, or too far"
        return {
            "seq": number,
            "from": str(ip_address(reply.address)) if reply else None,
            "rtt_s": round(reply.rtt, 6) if reply is not None and answered else None,
            "words": words,
        }

    def _target(self, params: Params) -> tuple[str, bytes]:
        text = str(params.get("target") or "")
        if not text or len(text) > MAX_TEXT:
            raise RequestError(INVALID_PARAMS, "a name or an address is needed")
        return text, _of_one_node(text, resolve(text, self._context.names)[0])

    def _source(self, address: bytes) -> bytes | None:
        """Return our own address (packed) that the kernel prefers for packets to an address."""
        try:
            route = look_up(self._context.node.requests, address, None)
        except KernelError as error:
            raise RequestError(INVALID_PARAMS, str(error)) from error
        if route is None or route.kind != UNICAST:
            return None
        return route.source or None

    def _describe_hop(
        self, snapshot: Snapshot, hop: Hop, onward: dict[str, int], target: bytes
    ) -> dict[str, Any]:
        name = self._name(snapshot, hop.address) if hop.address else None
        route = _best(snapshot, hop.address) if hop.address else None
        end = next((reply for reply in hop.replies if reply.kind == "unreachable"), None)
        return {
            "hop": hop.number,
            "address": str(ip_address(hop.address)) if hop.address else None,
            "name": name,
            "rtt_s": [round(reply.rtt, 6) for reply in hop.replies],
            "lost": hop.lost,
            "metric": route.metric if route else None,
            "onward": onward.get(name) if name and hop.address != target else None,
            "words": end.words if end else None,
        }

    def _onward(self, snapshot: Snapshot, address: bytes) -> dict[str, int]:
        """Return the metric that each neighbour announces for the prefix of an address, by its name."""
        best = _best(snapshot, address)
        found = {}
        for route in snapshot.routes if best else ():
            if best is not None and route.prefix == best.prefix and route.refmetric < INFINITY:
                name = self._context.names.neighbour(route.interface, route.neighbour)
                found[name or address_text(route.neighbour, route.interface)] = route.refmetric
        return found

    def _name(self, snapshot: Snapshot, address: bytes) -> str | None:
        """Return the name of the node that an address belongs to: it announces it, or the hosts file says so."""
        names, host = self._context.names, host_prefix(address)
        if (said := names.of_address(address)) is not None:
            return said
        if host in self._context.node.routing.announced:
            return names.node
        owners = {route.router_id for route in snapshot.routes if route.prefix == host}
        return names.origin(owners.pop()) if len(owners) == 1 else None


def _places(most: int) -> int:
    """Return how many of `most` places are there for who asks now."""
    return most if asked_by_operator.get() else most - RESERVED


def _of_one_node(text: str, packed: bytes) -> bytes:
    """Return an address that one node has; the group must not make root ask all of a wire. Raises RequestError."""
    address = ip_address(packed)
    address = getattr(address, "ipv4_mapped", None) or address
    if address.is_multicast or address.is_unspecified or address.packed == BROADCAST:
        raise RequestError(INVALID_PARAMS, f'"{text}" is not the address of one node')
    if address.version == 6 and address.is_link_local:
        raise RequestError(
            INVALID_PARAMS,
            f'"{text}" is link-local and has no way of its own; `show neighbours` has the delay of each link',
        )
    return address.packed


def _best(snapshot: Snapshot, address: bytes) -> RouteView | None:
    """Return the selected route for packets without a particular source."""
    selected = [r for r in snapshot.routes if r.state == "selected" and serves(r.prefix, address, None)]
    return max(selected, key=lambda route: route.prefix.plen, default=None)


def _number(params: Params, key: str, low: float, high: float) -> float | None:
    """Return a number that a request gives, None where it gives none. Raises RequestError."""
    value = params.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise RequestError(INVALID_PARAMS, f"{key} must be a number {low:g}-{high:g}")
    return value
