"""How often the way of each prefix changed, in the last hour and in all."""

from typing import Any

from babelwg.daemon.recorder.narrator import Record

# Implementation constants
MAX_PREFIXES = 10_000
MAX_TIMES = 240  # changes of one prefix whose time is kept
HOUR = 3600.0  # seconds


class FlapCounter:
    """A table of the prefixes whose way changed after they were first learned; those that changed long ago go first."""

    def __init__(self) -> None:
        self.total = 0
        self._changes: dict[str, tuple[int, list[float]]] = {}

    def note(self, record: Record, time: float) -> None:
        """Count a record that tells of another next hop, or of none any more."""
        prefix, event = record.get("prefix"), record["event"]
        if not prefix or event not in ("route-selected", "route-retracted", "route-flushed"):
            return
        known = self._changes.pop(prefix, None)
        # What was lost is counted there, and once more when it comes back; what is new has not changed.
        if known is None and "old_interface" not in record:
            return
        if event != "route-selected" and "old_interface" not in record:
            assert known is not None, "guarded above"
            self._changes[prefix] = known
            return
        self.total += 1
        count, times = known or (0, [])
        times.append(time)
        if times[0] < time - HOUR or len(times) > MAX_TIMES:
            times = [t for t in times[-MAX_TIMES:] if t >= time - HOUR]
        self._changes[prefix] = count + 1, times
        while len(self._changes) > MAX_PREFIXES:
            del self._changes[next(iter(self._changes))]

    def of(self, prefix: str, now: float) -> dict[str, Any]:
        """Return the changes of one prefix."""
        count, times = self._changes.get(prefix, (0, []))
        return {
            "prefix": prefix,
            "changes": count,
            "changes_last_hour": sum(t >= now - HOUR for t in times),
            "last_change_s": round(max(0.0, now - times[-1]), 3) if times else None,
        }

    def top(self, limit: int, now: float) -> list[dict[str, Any]]:
        """Return the prefixes that changed most, first those of the last hour."""
        rows = [self.of(prefix, now) for prefix in self._changes]
        rows.sort(key=lambda row: (-row["changes_last_hour"], -row["changes"], row["prefix"]))
        return rows[:limit]
