"""Sequence numbers modulo 2^16 (RFC 8966, section 3.2.1)."""

MODULUS = 0x10000


def seqno_add(seqno: int, increment: int) -> int:
    """Return a sequence number moved on by `increment`, which may be negative."""
    return (seqno + increment) % MODULUS


def seqno_lt(earlier: int, later: int) -> bool:
    """Return whether `earlier` comes before `later`; numbers 2^15 apart are in no order."""
    return 0 < (later - earlier) % MODULUS < 0x8000


def seqno_difference(later: int, earlier: int) -> int:
    """Return the signed distance from `earlier` to `later`, from -32768 to 32767."""
    return (later - earlier + 0x8000) % MODULUS - 0x8000
