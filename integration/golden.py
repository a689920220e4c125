"""What a command printed, without what differs from run to run: ages, counters, keys, and the width of columns."""

import re

_PATTERNS = (
    (r"\b(reachable +)[0-9a-f]{4}\b", r"\1REACH"),
    (r"fe80:[0-9a-f:]+", "LINK-LOCAL"),
    (r"\b([0-9a-f]{2}:){7}[0-9a-f]{2}\b", "ROUTER-ID"),
    (r"[A-Za-z0-9+/]{42,43}=", "KEY"),
    (r"[A-Za-z0-9+/]{5,}…", "KEY"),
    (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?", "TIME"),
    (r"\b\d\d:\d\d:\d\d(\.\d+)?\b", "TIME"),
    (r"/[\w./-]*/(a|state)/([\w.-]+)", r"DIR/\2"),
    (r"(?<![\w.:/-])<?\d+(\.\d+)?(ms|min|s|m|h|d)\b", "DURATION"),
    (r"(?<![\w.:-])\d+(\.\d+)?(B|KiB|MiB)\b", "SIZE"),
    (r"(?<![\w.:/-])\d+(\.\d+)?%", "SHARE"),
    (r"(?<![\w.:/-])\d+(\.\d+)?(?![\w:/.]*[:/\w])", "N"),
    (r"(?<= )-(?= |$)", "N"),
    (r" \+ N delay\b", ""),
    (r" +", " "),
    (r" *\n", "\n"),
)


def normalise(text: str) -> str:
    """Return a text in which everything that may differ between two runs has one form."""
    for pattern, replacement in _PATTERNS:
        text = re.sub(pattern, replacement, text)
    return text
