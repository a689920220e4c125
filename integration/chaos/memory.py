"""A day of churn in virtual time: no container of a speaker grows, and neither does the process.

Five real speakers stay for all of the time. Guests come and go with new names, addresses, router-ids and prefixes, so
interfaces do; prefixes, some with a source, are announced and withdrawn; links fall silent and lose packets; nodes move
to other addresses; guests restart with and without what they knew. At equal distances the entries of every container
that one of the five reaches are counted, and all objects of the process. What rises from each sixth of the time to the
next is a leak.
"""

import argparse
import gc
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from babelwg.lab.growth import WARM_UP, growing
from babelwg.lab.simulator.guests import GuestMesh

SAMPLES = 288  # counts, one every five minutes of a day
PAGE = os.sysconf("SC_PAGE_SIZE")


def main(argv: Sequence[str]) -> int:
    """Let the hours pass and say what grew; exit 1 when anything did."""
    parser = argparse.ArgumentParser(prog="make memory-sim", description="a day of churn in virtual time")
    parser.add_argument("--hours", type=float, default=24.0)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(argv)
    start = time.monotonic()
    mesh = GuestMesh(options.seed)
    samples: list[Counter[str]] = []
    rss: list[int] = []
    for number in range(1, SAMPLES + 1):
        mesh.run(options.hours * 3600 / SAMPLES)
        gc.collect()
        samples.append(mesh.sample())
        samples[-1]["objects of the process"] = len(gc.get_objects())
        samples[-1]["routes"] = mesh.routes()
        rss.append(_rss())
        if not number % 36:
            last = samples[-1]
            print(
                f"{mesh.net.now / 3600:5.1f} h {time.monotonic() - start:6.0f} s: {mesh.routes()} routes, "
                f"{sum(n for label, n in last.items() if label.startswith('State'))} entries, "
                f"{last['objects of the process']} objects, RSS {rss[-1] / 2**20:.1f} MiB",
                flush=True,
            )
    warm = rss[round(len(rss) * WARM_UP)]
    events = ", ".join(f"{number} {kind}" for kind, number in sorted(mesh.events.items()))
    print(f"{sum(mesh.events.values())} events ({events}), {mesh.net.datagrams} datagrams")
    print(f"RSS {warm / 2**20:.1f} MiB after the warm-up, {rss[-1] / 2**20:.1f} MiB at the end")
    found = growing(samples)
    for growth in found:
        print(f"FAILED: {growth}")
    print(f"{len(samples[-1])} containers and kinds of objects counted, {len(found)} grow")
    return 1 if found else 0


def _rss() -> int:
    """Return the resident octets of this process."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * PAGE


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
