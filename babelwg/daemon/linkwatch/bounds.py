"""How soon a link is suspected, and how soon it is given up."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Bounds:
    """How soon a link is suspected and given up; seconds, unless said otherwise."""

    silence: float = 0.04  # without reception until a link in use is suspected, at least
    longest_silence: float = 0.08  # and at most, however slowly packets come
    patience: float = 0.12  # of a suspicion, at least: with `silence` a link is dead after 0.2 s
    longest_patience: float = 3.0
    lone_patience: float = 0.6  # where nothing leads elsewhere; the other end may know more ways
    probes: int = 8  # unanswered ones until a link is dead, more where packets are lost
    most_probes: int = 24
    false_alarm: float = 1e-9  # the chance that all probes of a suspicion are lost on a living link

    @classmethod
    def dead_after(cls, seconds: float) -> Self:
        """Return bounds by which a link in use whose round trip is short is dead after so many seconds."""
        least, patience = cls(), 3 * seconds / 5
        return cls(
            silence=seconds / 5,
            longest_silence=2 * seconds / 5,
            patience=patience,
            longest_patience=max(least.longest_patience, patience),
            lone_patience=max(least.lone_patience, patience),
        )
