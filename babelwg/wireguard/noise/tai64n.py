"""TAI64N, the timestamp that makes a replayed initiation worthless."""

# Specification constants
TAI_OFFSET = 2**62 + 10  # the label of the Unix epoch
WHITENING = 1 << 24  # nanoseconds, about 16.7 ms: what a timestamp may tell of our clock


def timestamp_of(unix_time: float) -> bytes:
    """Return the label of a Unix time in seconds, rounded down to the whitening step."""
    seconds = int(unix_time)
    nanoseconds = int((unix_time - seconds) * 1e9) & ~(WHITENING - 1)
    return (TAI_OFFSET + seconds).to_bytes(8, "big") + nanoseconds.to_bytes(4, "big")


def successor(timestamp: bytes) -> bytes:
    """Return the next label one step after a timestamp."""
    seconds = int.from_bytes(timestamp[:8], "big")
    nanoseconds = int.from_bytes(timestamp[8:], "big") + WHITENING
    if nanoseconds >= 10**9:
        seconds, nanoseconds = seconds + 1, 0
    return seconds.to_bytes(8, "big") + nanoseconds.to_bytes(4, "big")
