"""What the command line takes beside 10,000 routes, and whether telling all of them to a tool holds up Hellos."""

import argparse
import json
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, closing
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

from babelwg.lab.netns.node import Node, connect
from integration.bench.common import RoutingDaemon, cost_of, ratio, spread, verdict, wait
from integration.bench.routes import count
from integration.reader import Reader

BABELWG = (sys.executable, "-m", "babelwg")
COLD_START = 0.15  # seconds for a command that asks no daemon
READING = 0.3  # seconds for one that does
HELLO_INTERVAL = 0.2  # seconds; what holds up the loop shows as a late one
LATE = 0.1  # seconds by which the longest pause between Hellos may grow while everything is told
CALM, IDLE = (
    2.0,
    0.1,
)  # seconds of rest before anything is measured, and the share of a CPU that counts as rest
REPLAYS = 5
BIRD = """router id 192.0.2.9;
protocol device {{ }}
protocol static {{ ipv6; {routes} }}
"""


class Taken(NamedTuple):
    """What one command took, in seconds: until it ended, and of CPU in all."""

    seconds: float
    cpu: float


class Lab:
    """A node with many routes that it learned from a neighbour, and BIRD with as many beside it."""

    def __init__(self, routes: int, directory: Path, stack: ExitStack) -> None:
        self.routes, self.directory = routes, directory
        self.sender = stack.enter_context(Node("sender"))
        self.receiver = stack.enter_context(Node("receiver"))
        connect(self.sender, self.receiver, "e0", "e0", ["192.0.2.1/30"], ["192.0.2.2/30"])
        self.sender.ip(
            "link add stub type veth peer name stub-end", "link set stub up", "link set stub-end up"
        )
        self.prefixes = [f"2001:db8:{i >> 8:x}:{i & 255:x}::/64" for i in range(routes)]
        self.sender.ip(*(f"route add {prefix} dev stub proto static" for prefix in self.prefixes))
        self.local = directory / "local.sock"
        config = "interface e0 type wired\n"
        redistribute = "redistribute proto 4 metric 128\nredistribute local deny\n"
        RoutingDaemon("babelwg", self.sender, directory, config + redistribute)
        self.daemon = RoutingDaemon(
            # It announces what it learns also to whom it learned it from, so that its source table has all of it.
            "babelwg",
            self.receiver,
            directory,
            f"{config.strip()} split-horizon false\nlocal-path {self.local}\nredistribute local deny\n",
        )
        self.daemon.wait_until_ready()
        self._conf = directory / "babelwg-receiver" / "conf"
        wait("all routes in the kernel", lambda: count(self.receiver) >= routes, poll=0.2)
        self.bird = directory / "bird.sock"
        self._start_bird()

    def ask(self, method: str) -> Any:
        """Return the data of one question to the daemon."""
        with closing(socket.socket(socket.AF_UNIX)) as connection:
            connection.settimeout(10)
            connection.connect(str(self.daemon.socket))
            connection.sendall(json.dumps({"jsonrpc": "2.0", "id": 1, "method": method}).encode() + b"\n")
            with connection.makefile("rb") as answer:
                return json.loads(answer.readline())["result"]["data"]

    def wait_until_calm(self) -> None:
        """Return when the daemon has all routes and has done all that followed from them."""

        def calm() -> bool:
            used = cost_of(self.daemon.process.pid).cpu
            time.sleep(CALM)
            return (
                cost_of(self.daemon.process.pid).cpu - used < IDLE * CALM
                and count(self.receiver) >= self.routes
            )

        wait("the daemon is idle", calm)

    def say_hello_often(self) -> None:
        """Have the daemon send Hellos at a pace that shows what holds it up."""
        often = f"interface e0 type wired split-horizon false hello-interval {HELLO_INTERVAL} update-interval 16\n"
        self._conf.write_text(often + self._conf.read_text().partition("\n")[2])
        self.ask("reload")
        self.wait_until_calm()

    def lag(self) -> int:
        """Return the sum of what the daemon's loop was late so far, in milliseconds."""
        return int(self.ask("stats")["counters"]["loop.lag_ms_total"])

    def _start_bird(self) -> None:
        node = self.sender
        routes = " ".join(f"route {prefix} unreachable;" for prefix in self.prefixes)
        (self.directory / "bird.conf").write_text(BIRD.format(routes=routes))
        pid = self.directory / "bird.pid"
        config = str(self.directory / "bird.conf")
        node.run("bird", "-c", config, "-s", str(self.bird), "-P", str(pid), check=True)
        wait("BIRD answers", self.bird.exists)


def commands(lab: Lab) -> dict[str, tuple[tuple[str, ...], float]]:
    """Return what is measured of ours: the words of each command, and what it may take."""
    ask = (*BABELWG, "--socket", str(lab.daemon.socket))
    middle = lab.prefixes[len(lab.prefixes) // 2]
    address = f"{middle.partition('/')[0]}1"
    reading = {
        "status": ("status",),
        "show neighbours": ("show", "neighbours"),
        "show interfaces": ("show", "interfaces"),
        "show xroutes": ("show", "xroutes"),
        "show filters": ("show", "filters"),
        "show stats": ("show", "stats"),
        "show routes PREFIX": ("show", "routes", middle),
        "show routes INTERFACE": ("show", "routes", "e0"),
        "show kernel": ("show", "kernel"),
        "show kernel PREFIX": ("show", "kernel", middle),
        "route get": ("route", "get", address),
        "route explain": ("route", "explain", middle),
        "topology": ("topology",),
        "history": ("history",),
        "history PREFIX": ("history", middle),
        "metrics": ("metrics",),
    }
    for table in (("routes",), ("kernel", "--all"), ("sources",)):
        for form in ((), ("--wide",), ("--json",), ("-o", "tsv")):
            words = ("show", *table, *form)
            reading[" ".join(words)] = words
    there = {name: words for name, words in reading.items() if is_there(words)}
    found = {name: ((*ask, *words), READING) for name, words in there.items()}
    return {"version (cold start)": ((*BABELWG, "version"), COLD_START), **found}


def is_there(words: Sequence[str]) -> bool:
    """Return whether the command line has a command."""
    first = [word for word in words[:2] if word.isalpha()]
    return subprocess.run([*BABELWG, *first, "--help"], capture_output=True, check=False).returncode == 0


def peers(lab: Lab) -> dict[str, tuple[str, ...]]:
    """Return what others are asked for the same."""
    kernel = (*lab.receiver.entry(), "ip", "-6", "route", "show", "proto", "42")
    return {
        "ip route show": kernel,
        "birdc show route": ("birdc", "-r", "-s", str(lab.bird), "show", "route"),
    }


def run(words: Sequence[str], daemon: int) -> Taken:
    """Return what a command takes, with what the daemon of this process number does for it."""
    start, cpu, served = time.monotonic(), own_cpu(), cost_of(daemon).cpu
    done = subprocess.run(words, capture_output=True, check=False)
    # Status 3 says that no answer came in time: the time it took tells that.
    if done.returncode not in (0, 1, 3):
        raise RuntimeError(f"{' '.join(words)}: status {done.returncode}: {done.stderr.decode()}")
    return Taken(time.monotonic() - start, own_cpu() - cpu + cost_of(daemon).cpu - served)


def own_cpu() -> float:
    """Return the seconds of CPU that programs we have run took."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measure(lab: Lab, repeats: int) -> list[str]:
    """Run all commands interleaved, print what they took, and return which targets were missed."""
    ours, others = commands(lab), peers(lab)
    taken: dict[str, list[Taken]] = {name: [] for name in (*ours, *others)}
    for repeat in range(repeats + 1):
        for name, words in ({name: words for name, (words, _) in ours.items()} | others).items():
            figures = run(words, lab.daemon.process.pid)
            if repeat:  # the first round warms the caches
                taken[name].append(figures)
    print(f"{lab.routes} routes, {repeats} interleaved runs, seconds: median (range), ratios by pair")
    missed = []
    for name, values in taken.items():
        seconds, cpu = [v.seconds for v in values], [v.cpu for v in values]
        print(
            f"  {name:22} {spread(seconds)}   CPU {spread(cpu)}{beside(seconds, taken) if name in ours else ''}"
        )
        if name in ours and statistics.median(seconds) > (target := ours[name][1]):
            missed.append(
                f"{name}: {statistics.median(seconds):.3f} s is more than {target:g} s"
                f" ({statistics.median(cpu):.3f} s of CPU)"
            )
    return missed


def beside(seconds: list[float], taken: dict[str, list[Taken]]) -> str:
    """Return how many times longer this took than what is asked of others."""
    return "".join(
        f"   x {name} {ratio(seconds, [v.seconds for v in taken[name]]).strip()}"
        for name in ("ip route show", "birdc show route")
    )


def replay(lab: Lab, name: str, tell: Callable[[], int]) -> list[str]:
    """Have everything told several times while Hellos are watched; return which targets were missed."""
    lab.wait_until_calm()
    words = [*lab.sender.entry(), sys.executable, "-m", "integration.bench.hellos", "e0"]
    watch = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    time.sleep(25 * HELLO_INTERVAL)  # what their spacing is without us
    lag = lab.lag()
    before, start = cost_of(lab.daemon.process.pid), time.monotonic()
    lines = sum(tell() for _ in range(REPLAYS))
    end, after = time.monotonic(), cost_of(lab.daemon.process.pid)
    lag = lab.lag() - lag
    time.sleep(2 * HELLO_INTERVAL)
    watch.terminate()
    moments = [float(line) for line in (watch.communicate()[0]).split()]
    gaps = [b - a for a, b in pairwise(moments) if b > start and a < end]
    calm = [b - a for a, b in pairwise(moments) if b <= start]
    print(
        f"  {name:22} {lines} lines in {end - start:.2f} s, {after.cpu - before.cpu:.2f} s of CPU; lag"
        f" {lag} ms in all; Hellos every {statistics.median(gaps):.3f} s, at most {max(gaps):.3f}"
        f" (before: {statistics.median(calm):.3f}, {max(calm):.3f})"
    )
    # A machine that is busy with other things delays Hellos by itself.
    late = max(gaps) - max(calm)
    return [f"{name}: a Hello came {late:.3f} s later than before, target {LATE:g} s"] if late > LATE else []


def read_local(lab: Lab) -> int:
    """Let babeld's local protocol tell everything; return the number of lines."""
    with closing(Reader.at(lab.local, patience=60.0)) as reader:
        reader.monitor()
        assert len(reader.picture.of("route")) == lab.routes
        return reader.picture.lines


def read_monitor(lab: Lab) -> int:
    """Let `monitor` tell every route; return the number of lines."""
    words = [*BABELWG, "--socket", str(lab.daemon.socket), "--json", "monitor", "--routes"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        lines = 0
        for line in process.stdout:
            lines += '"route"' in line
            if lines >= lab.routes:
                break
        process.terminate()
    return lines


def main(argv: Sequence[str]) -> int:
    """Measure the commands, then the replays."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--routes", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--check", action="store_true", help="exit 1 when a target is missed")
    options = parser.parse_args(argv)
    with tempfile.TemporaryDirectory(prefix="babelwg-bench-") as directory, ExitStack() as stack:
        lab = Lab(options.routes, Path(directory), stack)
        lab.wait_until_calm()
        missed = measure(lab, options.repeats)
        print(f"everything told {REPLAYS} times")
        lab.say_hello_often()
        missed += replay(lab, "local monitor", lambda: read_local(lab))
        if is_there(("monitor",)):
            missed += replay(lab, "monitor", lambda: read_monitor(lab))
    return verdict(missed, options.check)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
