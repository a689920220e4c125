"""Numbers for people: ages, octets, round-trip times, shares and metrics; `-` for what is absent.

Strings that came from the network pass through `plain` on their way to a terminal; tables and wrapped lines do it.
"""

from collections.abc import Mapping
from typing import Any

ABSENT = "-"
INFINITY = 65535


def age(seconds: float | None) -> str:
    """Return a duration as 12s, 3m, 2h or 5d."""
    if seconds is None:
        return ABSENT
    if seconds < 60:
        return f"{int(seconds)}s"
    if seconds < 3600:
        return f"{int(seconds // 60)}m"
    return f"{int(seconds // 3600)}h" if seconds < 86400 else f"{int(seconds // 86400)}d"


def interval(seconds: float | None) -> str:
    """Return a configured interval in seconds, with its fraction."""
    return ABSENT if seconds is None else f"{seconds:g}s"


def octets(count: int | None) -> str:
    """Return a number of octets as 812B, 1.5KiB or 20MiB."""
    if count is None:
        return ABSENT
    value = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if value < 1024:
            digits = 1 if value < 10 and unit != "B" else 0
            return f"{value:.{digits}f}{unit}"
        value /= 1024
    return f"{value:.1f}TiB"


def round_trip(seconds: float | None) -> str:
    """Return a round-trip time as 3.2ms, 45ms or 1.2s."""
    if seconds is None:
        return ABSENT
    if seconds >= 1:
        return f"{seconds:.1f}s"
    return f"{seconds * 1000:.{1 if seconds < 0.01 else 0}f}ms"


def share(value: float | None) -> str:
    """Return a share between 0 and 1 in per cent."""
    return ABSENT if value is None else f"{value * 100:.0f}%"


def metric(value: int | None) -> str:
    """Return a metric or a cost, `inf` for infinity."""
    if value is None:
        return ABSENT
    return "inf" if value >= INFINITY else str(value)


def measured(row: Mapping[str, Any], key: str) -> Any:
    """Return what was measured of a link, None of one that is down: its last values tell nothing of now."""
    return None if row.get("cost") == INFINITY else row.get(key)


def word(value: object) -> str:
    """Return any other value: yes and no for booleans."""
    if isinstance(value, str):
        return value or ABSENT
    if value is None:
        return ABSENT
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def plain(text: str) -> str:
    """Return a text that cannot move the cursor, change colours or break the line: such characters are written out."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
