"""Seconds from the handshake of a new tunnel until its first route, at default settings.

Two nodes run, and are told of each other by a reload. Ours alone: the others have no tunnels of their own.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from babelwg.lab.netns.mesh import Mesh
from babelwg.lab.topology import Topology
from integration.bench.common import spread, verdict

TARGET = 1.0  # seconds
NAMES = ("a", "b")
TOPOLOGY = "".join(
    f'[[node]]\nname = "{name}"\naddresses = ["fd00:77::{number}/128"]\n'
    for number, name in enumerate(NAMES, 1)
)
LINK = '[[link]]\na = "a"\nb = "b"\n'


def run(directory: Path) -> tuple[float, float]:
    """Return the seconds from the handshake, and from the reload, until both ends had their first route."""
    with Mesh(Topology.parse(TOPOLOGY + LINK, "bench"), directory) as mesh:
        whole = {name: (mesh.home(name) / "babelwg.toml").read_text() for name in NAMES}
        for name, text in whole.items():
            (mesh.home(name) / "babelwg.toml").write_text(text.partition("[[peer]]")[0])
        mesh.start()
        for name, text in whole.items():
            (mesh.home(name) / "babelwg.toml").write_text(text)
        told = time.time()
        for name in NAMES:
            mesh.ask(name, "reload")
        mesh.wait("both ends have a route", lambda: all(_selected(mesh, name) for name in NAMES))
        first = max(_selected(mesh, name)[0] for name in NAMES)
        peers: list[dict[str, Any]] = [mesh.ask(name, "peers")[0] for name in NAMES]
        now = time.time()
        handshake = min(now - peer["latest_handshake_s"] for peer in peers)
    return first - handshake, first - told


def _selected(mesh: Mesh, name: str) -> list[float]:
    """Return when a node selected routes, by the clock of the day."""
    records = mesh.ask(name, "history")["records"]
    return [datetime.fromisoformat(r["time"]).timestamp() for r in records if r["event"] == "route-selected"]


def main(argv: Sequence[str]) -> int:
    """Run it several times and print medians and ranges."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=10)
    parser.add_argument("--check", action="store_true", help="exit 1 when the target is missed")
    options = parser.parse_args(argv)
    found = []
    for repeat in range(options.repeats):
        with tempfile.TemporaryDirectory(prefix="babelwg-bench-") as directory:
            found.append(run(Path(directory)))
        print(f"run {repeat + 1}: {found[-1][0]:.2f} s", file=sys.stderr)
    since_handshake, since_reload = ([times[n] for times in found] for n in (0, 1))
    print(
        f"seconds until a new tunnel carries its first route both ways, {options.repeats} runs: median (range)"
    )
    print(f"  from the handshake {spread(since_handshake)}")
    print(f"  from the reload    {spread(since_reload)}")
    median = statistics.median(since_handshake)
    return verdict([f"{median:.2f} s is more than {TARGET:g} s"] if median > TARGET else [], options.check)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
