"""The storm of `make chaos` over a simulated grid, for many seeds: never a loop, and whole soon after it."""

import argparse
import sys
import time
from collections.abc import Sequence

from babelwg.lab.simulator.chaos import STORM, play


def main(argv: Sequence[str]) -> int:
    """Let the storms of many seeds pass; exit 1 when one of them left a loop or something that was not whole."""
    parser = argparse.ArgumentParser(prog="make chaos-sim", description="chaos over a simulated grid")
    parser.add_argument("--seeds", type=int, default=1000)
    parser.add_argument("--first", type=int, default=1, help="the first seed")
    parser.add_argument("--seconds", type=float, default=STORM, help="of each storm, virtual")
    options = parser.parse_args(argv)
    start, strokes, changes, failed = time.monotonic(), 0, 0, 0
    for seed in range(options.first, options.first + options.seeds):
        outcome = play(seed, options.seconds)
        strokes, changes = strokes + outcome.strokes, changes + outcome.changes
        wrong = [*outcome.violations, *outcome.complaints]
        failed += bool(wrong)
        for text in wrong[:5]:
            print(f"FAILED: seed {seed}: {text}", flush=True)
    took = time.monotonic() - start
    print(
        f"{options.seeds} seeds of {options.seconds:g} s, {strokes} strokes, {changes} changes of forwarding tables"
    )
    print(f"{failed} failed; {took:.0f} s of real time")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
