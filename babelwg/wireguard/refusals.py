"""Why something was dropped: the reasons that are counted, a closed set so that strangers cannot make it grow."""

from collections import Counter
from enum import StrEnum


class Reason(StrEnum):
    """One way a datagram, a packet or a request is refused."""

    MALFORMED = "malformed"  # wrong type, length or reserved octets
    WRONG_MAC1 = "wrong-mac1"  # not meant for a key of ours
    UNDER_LOAD = "under-load"  # answered with a cookie
    RATE_LIMITED = "rate-limited"
    UNKNOWN_INDEX = "unknown-index"
    UNAUTHENTIC = "unauthentic"
    WEAK_POINT = "weak-point"
    UNKNOWN_PEER = "unknown-peer"
    REPLAYED_INITIATION = "replayed-initiation"
    INITIATION_FLOOD = "initiation-flood"
    UNEXPECTED_RESPONSE = "unexpected-response"
    UNEXPECTED_COOKIE = "unexpected-cookie"
    SESSION_EXPIRED = "session-expired"
    REPLAYED_PACKET = "replayed-packet"
    NOT_IP = "not-ip"
    WRONG_LENGTH = "wrong-length"  # the inner length exceeds the packet
    WRONG_SOURCE = "wrong-source"  # the inner source is not one of the peer's allowed IPs
    NO_ALLOWED_IP = "no-allowed-ip"  # ENOKEY: no peer for an inner destination
    NO_ENDPOINT = "no-endpoint"  # EDESTADDRREQ: nowhere to send to
    NO_SESSION = "no-session"  # dropped from a full queue, or after the last attempt
    # What the shell meets:
    SEND_FULL = "send-full"  # EAGAIN, ENOBUFS
    SEND_UNREACHABLE = "send-unreachable"  # ENETUNREACH, EHOSTUNREACH and the like
    SEND_DENIED = "send-denied"  # EPERM, EACCES: a firewall
    SEND_FAILED = "send-failed"  # anything else
    TUN_FULL = "tun-full"
    TUN_FAILED = "tun-failed"


Refusals = Counter[Reason]
