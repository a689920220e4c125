"""What the processes of a node hold over a storm: resident memory and descriptors, and whether they hold ever more."""

import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import NamedTuple

from babelwg.lab.netns.mesh import Mesh
from integration.chaos.looks import look_every

PAGE = os.sysconf("SC_PAGE_SIZE")
PAUSE = 2.0  # seconds between two looks
WARM_UP, WINDOWS = 1 / 4, 4  # part of the time that does not count, and parts of the rest
MOST_MEMORY = 1 << 20  # octets by which it may rise from the first window to the last
MOST_DESCRIPTORS = 3  # as well


class Sample(NamedTuple):
    """What a process held at a moment: resident octets, and open descriptors."""

    rss: int
    descriptors: int


class Footprint:
    """Looks at the daemon and the data plane of a node now and then, until closed."""

    def __init__(self, mesh: Mesh, node: str) -> None:
        self.samples: dict[str, list[Sample]] = {}  # by process
        self._mesh, self._node = mesh, node
        self.close = look_every(PAUSE, self._look)

    def complaints(self) -> list[str]:
        """Return which of the processes that were there all the time hold ever more."""
        longest = max(map(len, self.samples.values()), default=0)
        if not longest:
            return [f"nothing of {self._node} was seen"]
        # One that was ended on the way is another process than the one after it.
        whole = {name: seen for name, seen in self.samples.items() if len(seen) >= 0.9 * longest}
        return [f"{name}: {text}" for name, seen in whole.items() for text in growth(seen)]

    def lines(self) -> list[str]:
        """Return for each process how much it held in each window, in words."""
        return [f"{name}: {_course(seen)}" for name, seen in self.samples.items() if len(seen) > WINDOWS]

    def _look(self) -> None:
        for pid in self._mesh.nodes[self._node].pids():
            kind = _kind_of(pid)
            try:
                sample = Sample(
                    int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE,
                    len([*Path(f"/proc/{pid}/fd").iterdir()]),
                )
            except OSError:
                continue  # It has ended.
            if kind:
                self.samples.setdefault(f"{kind} of {self._node}, process {pid}", []).append(sample)


def growth(samples: Sequence[Sample]) -> list[str]:
    """Return what rises from each window to the next, and by more than comes and goes."""
    found = []
    limits = {"RSS": MOST_MEMORY, "descriptors": MOST_DESCRIPTORS}
    for (what, limit), values in zip(limits.items(), zip(*samples, strict=True), strict=True):
        medians = _windows(values)
        if all(after > before for before, after in pairwise(medians)) and medians[-1] - medians[0] > limit:
            found.append(f"{what} grows: {' '.join(f'{value:.0f}' for value in medians)}")
    return found


def _windows(values: Sequence[float]) -> list[float]:
    """Return the median of each window after the warm-up."""
    kept = values[round(len(values) * WARM_UP) :]
    size = len(kept) // WINDOWS
    return [median(kept[number * size : (number + 1) * size]) for number in range(WINDOWS)]


def _course(samples: Sequence[Sample]) -> str:
    memory, descriptors = (_windows(values) for values in zip(*samples, strict=True))
    mebibytes = " ".join(f"{value / 2**20:.2f}" for value in memory)
    return f"RSS {mebibytes} MiB, descriptors {' '.join(f'{value:g}' for value in descriptors)}"


def _kind_of(pid: int) -> str:
    """Return what a process is, in a word; nothing for what is none of ours."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return ""
    if b"babelwg.dataplane" in words:
        return "data plane"
    return "daemon" if b"babelwg" in words and b"daemon" in words else ""
