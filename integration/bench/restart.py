"""Packets that a restart costs, over the tunnels of the node itself and through it: planned, and by kill -9.

Beside babeld, whose tunnels of wireguard-go stay while it is away. The kernel's tunnels need a kernel that has
WireGuard; in one that runs as a program (`.ci/kernel/run`) others start so slowly that neighbours might have let go of
them by then, unless all is in slow motion there: `--kinds kernel --slow 2`.
"""

import argparse
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

from babelwg.lab.netns.flow import UdpFlow
from babelwg.lab.netns.mesh import Mesh
from babelwg.lab.netns.node import Node
from babelwg.lab.netns.pinger import Pinger
from babelwg.lab.topology import Topology
from integration.bench.common import spread, verdict
from integration.stock import BabeldNode

KINDS = ("embedded", "wireguard-go", "kernel", "babeld")
USUAL = ("embedded", "wireguard-go", "babeld")  # those that need nothing of the kernel
HOWS = {"planned": signal.SIGTERM, "kill -9": signal.SIGKILL}
FIRST_HELLO = 0.6  # seconds: the target
PROBE = 0.01  # seconds
LONGEST_ABSENCE = 4.5  # seconds between a kill and the next start
HELLO_INTERVAL = 4.0  # seconds, the default
CALM = 3.0  # seconds of traffic before the first restart
AFTER = 11.0  # seconds after each start: neighbours that miss Hellos let go within 2.5 intervals of 4 s
AFTER_ALL = 33.0  # seconds after the last one: what nobody confirms is removed after 30
SETTLE = 0.3  # seconds in which a probe that is under way arrives
LIMIT = 120.0  # seconds
# All traffic between a and b goes through r, which is restarted; there is no other way.
TOPOLOGY = """
[[node]]
name = "a"
addresses = ["fd00:77::1/128", "10.23.0.1/32"]
[[node]]
name = "b"
addresses = ["fd00:77::2/128", "10.23.0.2/32"]
[[node]]
name = "r"
addresses = ["fd00:77::3/128", "10.23.0.3/32"]
[[link]]
a = "a"
b = "r"
[[link]]
a = "r"
b = "b"
"""


class Outcome(NamedTuple):
    """What one restart showed."""

    lost: dict[str, int]  # probes, by flow
    gap: float  # the longest silence of a flow, in seconds
    first_hello: float  # seconds from the start of the program until a neighbour heard it
    withdrawn: int  # routes that any kernel of the three lost or held unreachable


class Watch:
    """A program in a node whose lines are kept, each with the moment when it came."""

    def __init__(self, node: Node, *argv: str) -> None:
        self.lines: list[tuple[float, str]] = []
        self._process = node.popen(*argv, stdout=subprocess.PIPE, text=True)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def stop(self) -> None:
        """End the program."""
        self._process.terminate()
        self._process.wait()
        self._reader.join()

    def _read(self) -> None:
        with self._process.stdout as stream:
            for line in stream:
                self.lines.append((time.monotonic(), line))


class Bench:
    """Three nodes in a line under probes, whose middle one is restarted again and again."""

    def __init__(self, kind: str, mesh: Mesh, slow: float, stack: ExitStack) -> None:
        self.kind, self.mesh, self.probe = kind, mesh, PROBE * slow
        self.babeld = (
            {name: BabeldNode(mesh, name, _intervals(slow)) for name in "abr"} if kind == "babeld" else {}
        )
        self.addresses = {
            name: [str(a).partition("/")[0] for a in mesh.topology.node(name).addresses] for name in "abr"
        }
        if self.babeld:
            for babeld in self.babeld.values():
                babeld.start()
        else:
            mesh.start()
        mesh.wait("all routes are there", self._settled, LIMIT)
        self.routes = [
            self._kept(stack, Watch(node, "ip", "monitor", "route")) for node in mesh.nodes.values()
        ]
        module = (sys.executable, "-m", "integration.bench.hellos")
        self.hellos = self._kept(stack, Watch(mesh.nodes["a"], *module, mesh.tunnel("a", "r")))
        self.flows = {name: self._kept(stack, flow) for name, flow in self._flows().items()}
        mesh.wait("all flows get through", lambda: all(f.last_heard for f in self.flows.values()))
        time.sleep(CALM * slow)

    def restart(self, how: signal.Signals, absence: float, after: float) -> Outcome:
        """End the middle daemon, start it again and return what that cost."""
        begin = time.monotonic()
        before = self._lost()
        marks = [len(watch.lines) for watch in self.routes]
        self._stop(how)
        time.sleep(absence)
        start = time.monotonic()
        self._start()
        self.mesh.wait("its Hello is heard again", lambda: self._heard(start), LIMIT)
        time.sleep(after)
        self.mesh.wait("all routes are there again", self._settled, LIMIT)
        back = time.monotonic()
        self.mesh.wait(
            "all flows go on", lambda: all(f.last_heard > back + 0.1 for f in self.flows.values()), LIMIT
        )
        lost = {name: count - before[name] for name, count in self._lost().items()}
        gap = max(flow.longest_gap(begin) for flow in self.flows.values())
        news = [line for watch, mark in zip(self.routes, marks, strict=True) for line in watch.lines[mark:]]
        withdrawn = sum(_is_withdrawal(line) for _, line in news)
        return Outcome(lost, gap, self._heard(start) - start, withdrawn)

    def _lost(self) -> dict[str, int]:
        """Return how many probes each flow lost so far, once nothing is under way that may overtake another."""
        lost, again = {}, {name: flow.lost for name, flow in self.flows.items()}
        while again != lost:
            time.sleep(SETTLE)
            lost, again = again, {name: flow.lost for name, flow in self.flows.items()}
        return lost

    def _heard(self, since: float) -> float:
        """Return when the first Hello came after a moment; 0.0 for not yet."""
        return next((when for when, _ in [*self.hellos.lines] if when > since), 0.0)

    def _stop(self, how: signal.Signals) -> None:
        if not self.babeld:
            self.mesh.stop_daemon("r", how)
        elif (process := self.babeld["r"].process) is not None:
            process.send_signal(how)
            process.wait()

    def _start(self) -> None:
        if not self.babeld:
            self.mesh.start_daemon("r")
            return
        self.babeld["r"].socket.unlink(missing_ok=True)
        (self.babeld["r"].home / "babeld.pid").unlink(missing_ok=True)
        self.babeld["r"].start()

    def _flows(self) -> dict[str, Pinger | UdpFlow]:
        a, b, r = (self.mesh.nodes[name] for name in "abr")
        v6 = {name: addresses[0] for name, addresses in self.addresses.items()}
        return {
            "UDP a to r": UdpFlow(a, r, v6["r"], self.probe),
            "UDP r to a": UdpFlow(r, a, v6["a"], self.probe),
            "ping a to r": Pinger(a, self.addresses["r"][1], self.probe),
            "UDP a to b": UdpFlow(a, b, v6["b"], self.probe, port=10),
            "UDP b to a": UdpFlow(b, a, v6["a"], self.probe, port=10),
            "ping b to a": Pinger(b, self.addresses["a"][1], self.probe),
        }

    def _settled(self) -> bool:
        return all(
            self.mesh.kernel_device(name, address) is not None
            for name in "abr"
            for other in "abr"
            for address in self.addresses[other]
            if name != other
        )

    @staticmethod
    def _kept(stack: ExitStack, thing: Any) -> Any:
        stack.callback(thing.stop)
        return thing


def _intervals(slow: float) -> str:
    """Return what babeld's interfaces are told, for them to be as slow as ours."""
    return f"hello-interval {HELLO_INTERVAL * slow:g} update-interval {4 * HELLO_INTERVAL * slow:g}"


def _is_withdrawal(line: str) -> bool:
    # Other tables of ours see a start try whether the kernel knows source prefixes.
    ours = "proto babel" in line and ("table" not in line or "table 6696" in line)
    return ours and ("Deleted" in line or "unreachable" in line)


def run(kind: str, repeats: int, slow: float, directory: Path) -> dict[str, list[Outcome]]:
    """Restart the middle of one line of nodes, planned and by kill -9 in turn, `slow` times as slowly as usual."""
    topology = Topology.parse(TOPOLOGY, "bench")
    everyone = frozenset("abr") if kind == "babeld" else frozenset()
    backend = "wireguard-go" if kind == "babeld" else kind
    found: dict[str, list[Outcome]] = {how: [] for how in HOWS}
    settings = {"babel": f"hello-interval = {HELLO_INTERVAL * slow}"}
    with Mesh(topology, directory, backend, settings, everyone) as mesh, ExitStack() as stack:
        bench = Bench(kind, mesh, slow, stack)
        for number in range(repeats):
            for how, number_of in HOWS.items():
                absence = slow * LONGEST_ABSENCE * (number + 1) / repeats if how == "kill -9" else 0.0
                is_last = number == repeats - 1 and how == "kill -9"
                outcome = bench.restart(number_of, absence, (AFTER_ALL if is_last else AFTER) * slow)
                found[how].append(outcome)
                print(f"{kind}, {how}, {absence:.1f} s away: {_told(outcome)}", file=sys.stderr)
        for babeld in bench.babeld.values():
            babeld.stop()
    return found


@contextmanager
def _compiled() -> Iterator[None]:
    """Let programs find their modules compiled, as where they are installed."""
    with tempfile.TemporaryDirectory(prefix="babelwg-bench-") as directory, patch.dict(os.environ):
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        os.environ["PYTHONPYCACHEPREFIX"] = directory
        yield


def _told(outcome: Outcome) -> str:
    lost = {name: count for name, count in outcome.lost.items() if count} or "nothing"
    return (
        f"lost {lost}, longest silence {outcome.gap:.2f} s, first Hello after {outcome.first_hello:.2f} s, "
        f"{outcome.withdrawn} routes withdrawn"
    )


def _print_rows(kind: str, found: Mapping[str, Sequence[Outcome]]) -> None:
    for how, outcomes in found.items():
        totals = [sum(outcome.lost.values()) for outcome in outcomes]
        print(
            f"  {kind:12} {how:8} lost in {sum(t > 0 for t in totals)} of {len(totals)} restarts: {sum(totals)} probes,"
        )
        print(f"  {'':21} longest silence {max(o.gap for o in outcomes):.2f} s")
        print(f"  {'':21} first Hello after {spread([o.first_hello for o in outcomes])} s")


def _missed(kind: str, found: Mapping[str, Sequence[Outcome]]) -> list[str]:
    """Return which targets the restarts of ours miss, one sentence each."""
    missed = []
    for how, outcomes in found.items():
        lost = sum(sum(outcome.lost.values()) for outcome in outcomes)
        hello = statistics.median(outcome.first_hello for outcome in outcomes)
        withdrawn = sum(outcome.withdrawn for outcome in outcomes)
        if lost:
            missed.append(f"{kind}, {how}: {lost} probes were lost")
        if withdrawn:
            missed.append(f"{kind}, {how}: {withdrawn} routes were withdrawn meanwhile")
        if hello > FIRST_HELLO:
            missed.append(
                f"{kind}, {how}: {hello:.2f} s until the first Hello is more than {FIRST_HELLO:g} s"
            )
    return missed


def main(argv: Sequence[str]) -> int:
    """Restart each kind so many times both ways, and print what it cost."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=20)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=USUAL)
    parser.add_argument("--babeld-repeats", type=int, default=2, help="it loses all routes each time")
    parser.add_argument(
        "--slow", type=float, default=1.0, help="probes, Hellos and rests take so many times as long"
    )
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args(argv)
    found: dict[str, dict[str, list[Outcome]]] = {}
    for kind in options.kinds:
        repeats = min(options.repeats, options.babeld_repeats) if kind == "babeld" else options.repeats
        if not repeats:
            continue
        with tempfile.TemporaryDirectory(prefix="babelwg-bench-") as directory, _compiled():
            found[kind] = run(kind, repeats, options.slow, Path(directory))
    print(
        f"restart of the middle of three nodes under six flows of {1 / (PROBE * options.slow):g} probes a second"
    )
    for kind, outcomes in found.items():
        _print_rows(kind, outcomes)
    missed = [text for kind in found if kind != "babeld" for text in _missed(kind, found[kind])]
    return verdict(missed, options.check)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
