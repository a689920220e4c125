"""The storm of `lab/chaos.py` in virtual time: its links fall silent, and daemons that watch them find it out."""

from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from babelwg.lab.chaos import Stroke, chaos, grid
from babelwg.lab.checks import LoopCheck, converged, loop_free
from babelwg.lab.simulator.network import SimNetwork

# Implementation constants: seconds
CALM = 15.0  # before the storm
STORM = 60.0
REST = 5.0  # after it, in which all becomes whole
FOUND_DEAD = (0.15, 0.5)  # from the fall of a link that carries packets until its watch finds it dead
FOUND_ALIVE = (0.05, 2.0)  # until the next Hello that tries a dead link
DATA_PLANE_AWAY = (0.3, 1.5)  # until another data plane has taken the place of a killed one


class Outcome(NamedTuple):
    """What one storm showed."""

    strokes: int
    changes: int  # of forwarding tables
    violations: list[str]  # loops
    complaints: list[str]  # what was not whole in time


@dataclass(slots=True)
class Storm:
    """Strokes against a network of the simulator.

    Flushed routes come back at once and unseen: this concerns kernels only, as does what becomes of packets.
    """

    net: SimNetwork
    rng: Random

    def strike(self, stroke: Stroke) -> None:
        """Do what a stroke says, now."""
        strokes: dict[str, Callable[[Stroke], None]] = {
            "cut": lambda s: self._silence(s, frozenset(s.subject)),
            "cut one way": lambda s: self._silence(s, frozenset(s.subject[:1])),
            "restore": lambda s: self._silence(s, frozenset()),
            "impair": lambda s: self._impair(s, s.changes["delay_ms"] / 1e3, s.changes["loss"]),
            "mend": lambda s: self._impair(s, 1e-3, 0.0),
            "kill daemon": lambda s: self.net.crash(s.subject[0]),
            "stop daemon": lambda s: self.net.crash(s.subject[0]),
            "start daemon": lambda s: self._start(s.subject[0]),
            "kill data plane": lambda s: self._kill_data_plane(s.subject[0]),
            "reload": self._reload,
        }
        if stroke.kind in strokes:
            strokes[stroke.kind](stroke)

    def _silence(self, stroke: Stroke, silent: frozenset[str]) -> None:
        a, b = stroke.subject
        self.net.silence(a, b, silent)
        self._watch(a, b)

    def _impair(self, stroke: Stroke, delay: float, loss: float) -> None:
        self.net.impair(*stroke.subject, delay=delay, loss=loss)

    def _start(self, name: str) -> None:
        # Half of them have lost what they knew.
        self.net.restart(name, lost=self.rng.random() < 0.5)
        for peer in self.net.nodes[name].interfaces:
            self._watch(name, peer)

    def _kill_data_plane(self, name: str) -> None:
        back = self.rng.uniform(*DATA_PLANE_AWAY)
        for peer in self.net.nodes[name].interfaces:
            self.net.set_dead(name, peer, True)
            self._watch(name, peer)
            self.net.after(back, lambda peer=peer: self._revive(name, peer))  # type: ignore[misc]

    def _revive(self, name: str, peer: str) -> None:
        self.net.set_dead(name, peer, False)
        self._watch(name, peer)

    def _reload(self, stroke: Stroke) -> None:
        assert stroke.peer is not None, "a reload changes the cost of a tunnel"
        self.net.reprice(stroke.subject[0], stroke.peer, 96 + int(stroke.changes["cost"]))

    def _watch(self, a: str, b: str) -> None:
        """Let both ends find out in a while what became of their link."""
        for name, peer in ((a, b), (b, a)):
            for limits in (FOUND_DEAD, FOUND_ALIVE):
                wait = self.rng.uniform(*limits)
                self.net.after(wait, lambda name=name, peer=peer: self._find_out(name, peer))  # type: ignore[misc]

    def _find_out(self, name: str, peer: str) -> None:
        if self.net.link(name, peer).up:
            self.net.restore_link(name, peer)
        else:
            self.net.fail_link(name, peer)


def play(seed: int, seconds: float = STORM) -> Outcome:
    """Let the storm of a seed pass over a grid of nine, and return what it showed."""
    topology = grid(3, 3)
    net = SimNetwork(topology, seed)
    check: LoopCheck = loop_free(net)
    storm = Storm(net, Random(f"weather {seed}"))
    strokes = chaos(topology, seed, seconds)
    net.run(CALM)
    for stroke in strokes:
        net.run(CALM + stroke.at - net.now)
        storm.strike(stroke)
    net.run(CALM + seconds + REST - net.now)
    complaints = converged(net, optimal=False)
    check.finish(net)
    return Outcome(len(strokes), check.changes, check.violations, complaints)
