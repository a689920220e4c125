"""What a check says: a verdict, what was found, the likely cause, and the command that mends it."""

from dataclasses import asdict, dataclass
from typing import Any, Literal

Verdict = Literal["ok", "warn", "fail"]
NODE = "node"  # the subject of what concerns the node as a whole


@dataclass(frozen=True, slots=True)
class Finding:
    """One check of one subject; a fault has a cause, and mostly a remedy."""

    check: str
    subject: str
    verdict: Verdict
    found: str
    cause: str | None = None
    mend: str | None = None

    def describe(self) -> dict[str, Any]:
        """Return the finding as plain data."""
        return asdict(self)


def ok(check: str, subject: str, found: str) -> Finding:
    """Return that all is well."""
    return Finding(check, subject, "ok", found)


def warn(check: str, subject: str, found: str, cause: str, mend: str | None = None) -> Finding:
    """Return something that is no fault now, and may have been one or become one."""
    return Finding(check, subject, "warn", found, cause, mend)


def fail(check: str, subject: str, found: str, cause: str, mend: str | None = None) -> Finding:
    """Return a fault."""
    return Finding(check, subject, "fail", found, cause, mend)


def ago(seconds: float) -> str:
    """Return an age in words."""
    if seconds < 90:
        return f"{seconds:.0f} s ago"
    return f"{seconds / 60:.0f} min ago" if seconds < 5400 else f"{seconds / 3600:.0f} h ago"


def times(count: int) -> str:
    """Return how often in words."""
    return "once" if count == 1 else f"{count} times"
