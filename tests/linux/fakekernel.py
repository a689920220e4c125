"""A kernel for tests that need none: routes and rules as they are told."""

import errno
from collections.abc import Sequence

from babelwg.babel.wire.prefix import Prefix
from babelwg.linux.errors import KernelError
from babelwg.linux.netlink import (
    RTM_DELROUTE,
    RTM_DELRULE,
    RTM_GETROUTE,
    RTM_GETRULE,
    RTM_NEWROUTE,
    RTM_NEWRULE,
    Message,
    Refusal,
    pack_message,
)
from babelwg.linux.routes import Place, Route, pack_route, read_route
from babelwg.linux.rules import Rule, pack_rule, read_rule


class FakeKernel:
    """A kernel that keeps the routes and rules it is given and refuses the destinations it is told to."""

    def __init__(self) -> None:
        self.places: dict[Place, Route] = {}
        self.rules: set[Rule] = set()
        self.refuse: dict[Prefix, int] = {}
        self.refuse_next_hops: dict[bytes, int] = {}
        self.refuse_rules = 0
        self.subtrees = True
        self.policy_rules = True
        self.batches: list[int] = []

    @property
    def table(self) -> dict[Prefix, Route]:
        return {prefix: route for (_, prefix), route in self.places.items()}

    def request(self, requests: Sequence[tuple[int, int, bytes]]) -> list[Refusal]:
        if requests and requests[0][0] in (RTM_NEWROUTE, RTM_DELROUTE):
            self.batches.append(len(requests))
        return [self._one(kind, payload) for kind, _flags, payload in requests]

    def dump_datagrams(self, kind: int, payload: bytes) -> list[bytes]:
        """Return what `dump` finds as the kernel sends it."""
        return [
            b"".join(pack_message(m.type, m.flags, m.sequence, m.payload) for m in self.dump(kind, payload))
        ]

    def dump(self, kind: int, payload: bytes) -> list[Message]:
        family = payload[0]
        if kind == RTM_GETRULE:
            if not self.policy_rules:
                raise KernelError("dump", "rules", errno.EOPNOTSUPP)
            packed = [(RTM_NEWRULE, pack_rule(rule)) for rule in self.rules]
        else:
            assert kind == RTM_GETROUTE
            packed = [(RTM_NEWROUTE, pack_route(route)) for route in self.places.values()]
        return [Message(kind, 0, 0, memoryview(data)) for kind, data in packed if data[0] == family]

    def _one(self, kind: int, payload: bytes) -> Refusal:
        message = Message(kind, 0, 0, bytes(payload))
        if kind in (RTM_NEWRULE, RTM_DELRULE):
            rule, _ = read_rule(message)
            if kind == RTM_NEWRULE and self.refuse_rules:
                return Refusal(self.refuse_rules)
            self.rules = self.rules | {rule} if kind == RTM_NEWRULE else self.rules - {rule}
            return Refusal(0)
        route = read_route(message)
        assert route is not None
        if route.prefix.source_plen and not self.subtrees:
            return Refusal(errno.EINVAL)
        if route.prefix in self.refuse:
            return Refusal(self.refuse[route.prefix])
        if kind == RTM_NEWROUTE and route.next_hop in self.refuse_next_hops:
            return Refusal(self.refuse_next_hops[route.next_hop])
        if kind == RTM_NEWROUTE:
            self.places[route.place] = route
            return Refusal(0)
        assert kind == RTM_DELROUTE
        there = self.places.get(route.place)
        if there is None:
            return Refusal(errno.ESRCH)
        # Of several priorities only the latest is kept here; removing another one leaves it.
        if there.priority == route.priority:
            del self.places[route.place]
        return Refusal(0)
