"""MACs against our own and recorded vectors, and the octets of credentials (RFC 8967)."""

import json
from ipaddress import ip_address
from pathlib import Path

import pytest

from babelwg.babel.wire.mac import (
    Credentials,
    MacKey,
    compute_mac,
    is_authentic,
    macs_of,
    overhead,
    read_credentials,
    seal,
)

VECTORS = json.loads((Path(__file__).parents[2] / "conformance" / "vectors.json").read_text())
COMPUTED = VECTORS["babel_mac"]
CAPTURED = VECTORS["babeld_capture"]
A, B = (bytes(15) + b"\1", 6696), (bytes(15) + b"\2", 6696)
SHA = MacKey("k1", "hmac-sha256", bytes(range(32)))
BLAKE = MacKey("k2", "blake2s128", bytes(range(32)))
HELLO = bytes.fromhex("2a0200080406000000010190")


def address(text: str, port: int = 6696) -> tuple[bytes, int]:
    return ip_address(text).packed, port


@pytest.mark.conformance("M4.1-1", "M4.1-2")
@pytest.mark.parametrize(
    "case", COMPUTED["cases"], ids=lambda c: f"{c['alg']}-{len(c['key']) // 2}-{c['dst']}"
)
def test_mac_is_the_computed_one(case: dict[str, str]) -> None:
    key = MacKey("k", case["alg"], bytes.fromhex(case["key"]))
    packet = bytes.fromhex(COMPUTED["packet"])
    mac = compute_mac(key, packet, address(case["src"]), address(case["dst"]))
    assert mac.hex() == case["mac"]


@pytest.mark.conformance("M4.1-1", "M4.1-2")
@pytest.mark.parametrize("algorithm", ["hmac-sha256", "blake2s128"])
def test_packets_recorded_from_babeld_are_authentic(algorithm: str) -> None:
    key = MacKey("k", algorithm, bytes.fromhex(CAPTURED["key"]))  # type: ignore[arg-type]
    assert CAPTURED[algorithm]
    for packet in CAPTURED[algorithm]:
        data = bytes.fromhex(packet["payload"])
        end = 4 + int.from_bytes(data[2:4], "big")
        source, destination = address(packet["src"], packet["sport"]), address(packet["dst"], packet["dport"])
        assert is_authentic(data[:end], data[end:], [key], source, destination)
        assert not is_authentic(data[:end], data[end:], [key], destination, source)
        changed = bytes((data[4] ^ 1,)) + data[5:end]
        assert not is_authentic(data[:4] + changed, data[end:], [key], source, destination)


@pytest.mark.conformance("M4.2-2", "M4.2-6")
def test_sealed_packet_has_its_counter_last_and_a_mac_for_each_key() -> None:
    sealed = seal(HELLO, 5, b"12345678", [SHA, BLAKE], A, B)
    end = 4 + int.from_bytes(sealed[2:4], "big")
    assert sealed[4:end] == HELLO[4:] + bytes.fromhex("110c00000005") + b"12345678"
    assert [len(mac) for mac in macs_of(sealed[end:])] == [32, 16]
    assert len(sealed) == len(HELLO) + overhead([SHA, BLAKE])
    for key in (SHA, BLAKE):
        assert is_authentic(sealed[:end], sealed[end:], [key], A, B)


@pytest.mark.conformance("M-cmp")
@pytest.mark.parametrize("key", [SHA, BLAKE])
def test_macs_are_compared_in_constant_time(key: MacKey, monkeypatch: pytest.MonkeyPatch) -> None:
    compared = []

    def differ(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return False

    sealed = seal(HELLO, 5, b"12345678", [key], A, B)
    end = 4 + int.from_bytes(sealed[2:4], "big")
    monkeypatch.setattr("hmac.compare_digest", differ)
    # It is what that function says, and nothing else, that decides.
    assert not is_authentic(sealed[:end], sealed[end:], [key], A, B)
    (mac,) = macs_of(sealed[end:])
    assert compared == [(mac, mac)]


def test_no_keys_cost_nothing() -> None:
    assert overhead([]) == 0


def test_key_does_not_show_its_value() -> None:
    assert "value" not in repr(SHA)


@pytest.mark.conformance("M4.3-4")
def test_hundreds_of_macs_are_compared_with_one_computation_for_each_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    computed = []

    def counted(key: MacKey, *rest: object) -> bytes:
        computed.append(key)
        return compute_mac(key, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr("babelwg.babel.wire.mac.compute_mac", counted)
    trailer = (b"\x10\x20" + bytes(32)) * 500
    assert not is_authentic(HELLO, trailer, [SHA, BLAKE], A, B)
    assert computed == [SHA, BLAKE]


@pytest.mark.conformance("M4.3-6", "M4.3-13", "M6.2-1", "M6.2-2", "M6.3-1", "M6.3-2")
@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("", Credentials()),
        ("1104 00000007", Credentials(7, b"")),
        ("110c 00000007 0011223344556677", Credentials(7, bytes.fromhex("0011223344556677"))),
        ("1106 00000007 aaaa 1106 00000009 bbbb", Credentials(7, b"\xaa\xaa")),
        ("1103 000000 1105 00000009 cc", Credentials(9, b"\xcc")),
        ("1124" + "00000001" + "ee" * 32, Credentials(1, b"\xee" * 32)),
        ("1125" + "00000001" + "ee" * 33, Credentials()),
        ("1202 0102 1202 0304", Credentials(challenge=b"\3\4")),
        ("1200", Credentials(challenge=b"")),
        ("12c1" + "aa" * 193, Credentials()),
        ("13c1" + "aa" * 193, Credentials()),
        ("1302 0102 1300", Credentials(replies=(b"\1\2", b""))),
        ("00 0101 00 1104 00000001 12ff", Credentials(1, b"")),
        ("11", Credentials()),
    ],
)
def test_credentials_are_read_from_any_body(body: str, expected: Credentials) -> None:
    assert read_credentials(bytes.fromhex(body)) == expected
