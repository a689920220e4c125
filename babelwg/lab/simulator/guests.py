"""A small mesh that stays while guests, prefixes, links and addresses come and go, for as many hours as one likes."""

from collections import Counter
from collections.abc import Callable
from itertools import count
from random import Random

from babelwg.babel.parameters import InterfaceParameters
from babelwg.babel.wire.prefix import Prefix
from babelwg.lab.growth import census
from babelwg.lab.scenario import numbered_prefix
from babelwg.lab.simulator.network import SimNetwork
from babelwg.lab.simulator.node import LINK_LOCAL_PREFIX
from babelwg.lab.topology import Link, NodeSpec, Topology

RING = 5  # nodes that stay, each linked with the next
GUESTS = 3  # at a time
PAUSE = 6.0  # seconds between two events on average
STAY = (20.0, 400.0)  # seconds for which a prefix is announced
OUTAGE = (1.0, 30.0)  # seconds for which a link is silent
MOST_PREFIXES = 12  # of all who stay together, besides one of each
FOUND = 0.3  # seconds until both ends know that a link is dead, or alive
LOSSES = (0.0, 0.0, 0.05, 0.2)


class GuestMesh:
    """Five nodes in a ring that never restart, and guests that come with new names, addresses and router-ids."""

    def __init__(self, seed: int, interface: InterfaceParameters | None = None, pause: float = PAUSE) -> None:
        self.residents = [f"r{number}" for number in range(RING)]
        specs = tuple(NodeSpec(name, announce=(numbered_prefix(n),)) for n, name in enumerate(self.residents))
        links = tuple(
            Link(name, self.residents[(n + 1) % RING], delay_ms=2.0) for n, name in enumerate(self.residents)
        )
        self.net = SimNetwork(Topology(specs, links), seed, interface)
        self._between = pause
        self.events: Counter[str] = Counter()
        self._rng, self._numbers = Random(f"guests {seed}"), count(1000)
        self._links = [(link.a, link.b) for link in links]
        self._guests: list[str] = []
        self._announced = 0
        self.net.after(self._pause(), self._happen)

    def run(self, seconds: float) -> None:
        """Let time pass; what the simulator itself writes down is thrown away."""
        self.net.run(seconds)
        self.net.trace.clear()
        for prefix in [prefix for prefix, names in self.net.origins.items() if not names]:
            del self.net.origins[prefix]

    def sample(self) -> Counter[str]:
        """Return how many entries the containers of those who stay have, all together."""
        total: Counter[str] = Counter()
        for name in self.residents:
            total += census(self.net.nodes[name].speaker)
        return total

    def routes(self) -> int:
        """Return how many prefixes are routed by those who stay."""
        return sum(len(self.net.nodes[name].fib) for name in self.residents)

    def _happen(self) -> None:
        kinds: dict[str, tuple[int, Callable[[], None]]] = {
            "guest": (30, self._replace_guest),
            "prefix": (30, self._announce),
            "outage": (20, self._silence),
            "loss": (10, self._lose),
            "address": (10, self._move),
            "restart": (10, self._restart),
        }
        kind = self._rng.choices(list(kinds), weights=[weight for weight, _ in kinds.values()])[0]
        self.events[kind] += 1
        kinds[kind][1]()
        self.net.after(self._pause(), self._happen)

    def _pause(self) -> float:
        return self._rng.expovariate(1 / self._between)

    def _replace_guest(self) -> None:
        """Let a new node come, with two links, and the oldest guest go."""
        if len(self._guests) >= GUESTS:
            self.net.leave(self._guests.pop(0))
        number = next(self._numbers)
        name = f"g{number}"
        links = [Link(name, peer, delay_ms=3.0) for peer in self._rng.sample(self.residents, 2)]
        self.net.join(NodeSpec(name, announce=(numbered_prefix(number),)), links)
        self._guests.append(name)

    def _announce(self) -> None:
        """Let one who stays announce a new prefix for a while."""
        if self._announced >= MOST_PREFIXES:
            return
        name, number = self._rng.choice(self.residents), next(self._numbers)
        prefix = numbered_prefix(number)
        if self._rng.random() < 0.3:
            prefix = Prefix.parse("fd01::/32").with_source(prefix)
        self._announced += 1
        self.net.announce(name, prefix)
        self.net.after(self._rng.uniform(*STAY), lambda: self._withdraw(name, prefix))

    def _withdraw(self, name: str, prefix: Prefix) -> None:
        self._announced -= 1
        self.net.withdraw(name, prefix)
        self.net.origins[prefix].discard(name)

    def _silence(self) -> None:
        """Let a link fall silent for a while; half of the time its ends find it dead soon."""
        a, b = self._rng.choice(self._links)
        self.net.silence(a, b, frozenset(self._rng.choice([(a,), (b,), (a, b)])))
        if self._rng.random() < 0.5:
            self.net.after(FOUND, lambda: self._find_out(a, b))
        self.net.after(self._rng.uniform(*OUTAGE), lambda: self._restore(a, b))

    def _restore(self, a: str, b: str) -> None:
        self.net.restore(a, b)
        self.net.after(FOUND, lambda: self._find_out(a, b))

    def _find_out(self, a: str, b: str) -> None:
        for name, peer in ((a, b), (b, a)):
            (self.net.restore_link if self.net.link(a, b).up else self.net.fail_link)(name, peer)

    def _lose(self) -> None:
        a, b = self._rng.choice(self._links)
        self.net.impair(a, b, loss=self._rng.choice(LOSSES))

    def _move(self) -> None:
        """Let anybody have another address on its links, so that its neighbours meet a stranger."""
        name = self._rng.choice([*self.residents, *self._guests])
        self.net.move(name, LINK_LOCAL_PREFIX + next(self._numbers).to_bytes(8, "big"))

    def _restart(self) -> None:
        """Let a guest start anew, half of the time as a router of another name."""
        if not self._guests:
            return
        name = self._rng.choice(self._guests)
        if self._rng.random() < 0.5:
            self.net.nodes[name].router_id = b"\x04" + next(self._numbers).to_bytes(7, "big")
        self.net.restart(name, lost=self._rng.random() < 0.5)
