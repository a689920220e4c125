"""What a raw socket gives: which messages are about a request of ours."""

import struct
from random import Random

import pytest

from babelwg.linux.probes.echo import Message, read_message
from babelwg.linux.probes.ping import ECHO

TOKEN, IDENTIFIER = b"token-xy", 0x1234
DESTINATION = {4: bytes([192, 0, 2, 9]), 6: bytes.fromhex("20010db8") + bytes(11) + b"\x09"}


def echo(kind: int, sequence: int = 7, identifier: int = IDENTIFIER, token: bytes = TOKEN) -> bytes:
    return ECHO.pack(kind, 0, 0, identifier, sequence) + token


def packet(family: int, message: bytes, destination: bytes | None = None) -> bytes:
    """Return an IP packet with an ICMP message."""
    destination = destination or DESTINATION[family]
    if family == 4:
        return bytes([0x46, 0]) + bytes(7) + b"\x01" + bytes(6) + destination + bytes(4) + message
    return b"\x60" + bytes(5) + b"\x3a\x01" + bytes(16) + destination + message


def given(family: int, message: bytes) -> bytes:
    """Return what the socket gives: IPv4 with its header, here with an option."""
    return packet(4, message) if family == 4 else message


def error(family: int, kind: int, code: int, quoted: bytes) -> bytes:
    return struct.pack("!BBHI", kind, code, 0, 0) + quoted


REQUEST, REPLY = {4: 8, 6: 128}, {4: 0, 6: 129}
EXPIRED, UNREACHABLE = {4: 11, 6: 3}, {4: 3, 6: 1}


def read(family: int, message: bytes) -> Message | None:
    return read_message(given(family, message), DESTINATION[family], IDENTIFIER, TOKEN)


@pytest.mark.parametrize("family", [4, 6])
def test_replies_and_errors_about_our_requests_are_read(family: int) -> None:
    quoted = packet(family, echo(REQUEST[family], 9))
    assert read(family, echo(REPLY[family])) == Message("reply", 0, 7)
    assert read(family, error(family, EXPIRED[family], 0, quoted)) == Message("expired", 0, 9)
    assert read(family, error(family, UNREACHABLE[family], 1, quoted)) == Message("unreachable", 1, 9)


def test_only_routers_of_ipv4_may_quote_no_more_than_eight_octets() -> None:
    # Whoever is not on the path could guess these, but not the token.
    quoted = {family: packet(family, echo(REQUEST[family], 9)) for family in (4, 6)}
    short = {family: error(family, EXPIRED[family], 0, quoted[family][: -len(TOKEN)]) for family in (4, 6)}
    assert read(4, short[4]) == Message("expired", 0, 9)
    assert read(6, short[6]) is None
    assert read(6, error(6, EXPIRED[6], 0, quoted[6][:-1])) is None


@pytest.mark.parametrize("family", [4, 6])
def test_what_is_about_somebody_else_is_left_alone(family: int) -> None:
    request = echo(REQUEST[family])
    elsewhere = bytes(len(DESTINATION[family]))
    for message in (
        echo(REPLY[family], identifier=1),
        echo(REPLY[family], token=b"another!"),
        request,
        error(family, EXPIRED[family], 0, packet(family, request, elsewhere)),
        error(family, EXPIRED[family], 0, packet(family, echo(REQUEST[family], identifier=1))),
        error(family, EXPIRED[family], 0, packet(family, echo(REQUEST[family], token=b"another!"))),
        error(family, EXPIRED[family], 0, packet(family, echo(REPLY[family]))),
        error(family, EXPIRED[family], 0, b""),
        b"",
    ):
        assert read(family, message) is None


def test_any_octets_are_a_message_or_none() -> None:
    rng = Random(1)
    good = [given(f, error(f, EXPIRED[f], 0, packet(f, echo(REQUEST[f])))) for f in (4, 6)]
    for _ in range(20_000):
        family = rng.choice((4, 6))
        data = bytearray(rng.choice(good))
        for _ in range(rng.randrange(6)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        read_message(bytes(data[: rng.randrange(len(data) + 1)]), DESTINATION[family], IDENTIFIER, TOKEN)
