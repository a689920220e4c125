"""The text of the configuration protocol, both ways."""

import errno
import random

import pytest

from babelwg.wireguard.uapi import (
    DeviceConfig,
    DeviceState,
    PeerConfig,
    PeerState,
    UapiError,
    format_errno,
    format_get,
    format_set,
    parse_get,
    parse_set,
    read_endpoint,
    write_endpoint,
)

KEY, OTHER = b"\xab" * 32, b"\xcd" * 32
KEY_LINE = f"public_key={KEY.hex()}"


def error_of(*lines):
    config, error = parse_set(lines)
    assert error is not None, config
    return error.errno


def test_request_is_read_whole():
    config, error = parse_set(
        [
            f"private_key={OTHER.hex()}",
            "listen_port=51820",
            "fwmark=25207",
            "replace_peers=true",
            KEY_LINE,
            f"preshared_key={OTHER.hex()}",
            "endpoint=[fe80::1%3]:51821",
            "persistent_keepalive_interval=25",
            "replace_allowed_ips=true",
            "allowed_ip=0.0.0.0/0",
            "allowed_ip=::/0",
            "protocol_version=1",
            f"public_key={OTHER.upper().hex().upper()}",
            "update_only=true",
            "remove=true",
        ]
    )
    assert error is None
    peer = PeerConfig(KEY, False, False, OTHER, "[fe80::1%3]:51821", 25, True, ("0.0.0.0/0", "::/0"))
    assert config == DeviceConfig(
        OTHER, 51820, 25207, True, (peer, PeerConfig(OTHER, remove=True, update_only=True))
    )


def test_request_written_is_the_request_read():
    peer = PeerConfig(KEY, True, True, OTHER, "192.0.2.1:1", 0, True, ("10.0.0.0/8", "-::/0"))
    for config in (DeviceConfig(), DeviceConfig(OTHER, 0, 0, True, (peer, PeerConfig(OTHER)))):
        text = format_set(config)
        assert text.startswith("set=1\n")
        assert text.endswith("\n\n")
        assert parse_set(text[:-2].split("\n")[1:]) == (config, None)


@pytest.mark.conformance("W-uapi-1")
def test_device_keys_are_refused_in_a_peer_section_and_the_other_way_round():
    assert error_of(KEY_LINE, "listen_port=1") == errno.EINVAL
    assert error_of(KEY_LINE, f"private_key={KEY.hex()}") == errno.EINVAL
    assert error_of(KEY_LINE, "replace_peers=true") == errno.EINVAL
    assert error_of("endpoint=192.0.2.1:1") == errno.EINVAL
    assert error_of("allowed_ip=10.0.0.0/8") == errno.EINVAL


@pytest.mark.conformance("W-uapi-2")
@pytest.mark.parametrize(
    "line",
    [
        "nonsense=1",
        "private_key=00",
        f"private_key={KEY.hex()[:-1]}g",
        "listen_port=65536",
        "listen_port=-1",
        "listen_port=",
        "listen_port=0x10",
        "fwmark=4294967296",
        "replace_peers=false",
        "public_key=",
        "listen_port= 5",
        "listen_port=٣",
    ],
)
def test_unknown_key_or_bad_value_is_einval(line):
    assert error_of(line) == errno.EINVAL


@pytest.mark.conformance("W-uapi-2", "W-uapi-4", "W-uapi-5")
@pytest.mark.parametrize(
    "line",
    [
        "endpoint=192.0.2.1",
        "endpoint=192.0.2.1:0",
        "endpoint=192.0.2.1:65536",
        "endpoint=2001:db8::1:5",
        "endpoint=[192.0.2.1]:5",
        "endpoint=[::1:5",
        "endpoint=host.example:5",
        "endpoint=:5",
        "allowed_ip=10.0.0.1",
        "allowed_ip=10.0.0.0/33",
        "allowed_ip=",
        "allowed_ip=--10.0.0.0/8",
        "protocol_version=2",
        "remove=1",
        "update_only=yes",
        "persistent_keepalive_interval=65536",
        "persistent_keepalive_interval=off",
        "preshared_key=1",
        "rx_bytes=5",
    ],
)
def test_bad_peer_line_is_einval(line):
    assert error_of(KEY_LINE, line) == errno.EINVAL


@pytest.mark.conformance("W-uapi-2")
def test_line_without_equals_is_eproto():
    assert error_of("listen_port") == errno.EPROTO
    assert error_of(KEY_LINE, "x") == errno.EPROTO


@pytest.mark.conformance("W-uapi-6")
def test_lines_before_the_bad_one_stay():
    config, error = parse_set(
        ["listen_port=5", KEY_LINE, "persistent_keepalive_interval=9", "bad=1", "fwmark=7"]
    )
    assert error is not None
    assert config == DeviceConfig(listen_port=5, peers=(PeerConfig(KEY, persistent_keepalive_interval=9),))


def test_replacing_allowed_ips_forgets_those_named_before():
    config, _ = parse_set(
        [KEY_LINE, "allowed_ip=10.0.0.0/8", "replace_allowed_ips=true", "allowed_ip=10.1.2.3/16"]
    )
    assert config.peers[0].allowed_ips == ("10.1.0.0/16",)


def test_answer_has_the_recorded_order_and_ends_with_errno():
    peer = PeerState(KEY, OTHER, "192.0.2.1:5", 17, 18, 172, 260, 25, ("10.0.0.0/8", "::/0"))
    lines = format_get(DeviceState(OTHER, 51820, 7, (peer,))).split("\n")
    assert [line.partition("=")[0] for line in lines] == [
        *(
            "private_key",
            "listen_port",
            "fwmark",
            "public_key",
            "preshared_key",
            "protocol_version",
            "endpoint",
        ),
        *("last_handshake_time_sec", "last_handshake_time_nsec", "tx_bytes", "rx_bytes"),
        *("persistent_keepalive_interval", "allowed_ip", "allowed_ip", "errno", "", ""),
    ]
    assert format_get(DeviceState()) == "errno=0\n\n"
    assert f"\npreshared_key={'00' * 32}\n" in format_get(DeviceState(peers=(PeerState(KEY),)))


def test_answer_written_is_the_answer_read():
    peer = PeerState(KEY, OTHER, "[fe80::1%2]:5", 17, 18, 2**63, 260, 25, ("10.0.0.0/8", "::/0"))
    for state in (DeviceState(), DeviceState(OTHER, 51820, 7, (peer, PeerState(OTHER)))):
        assert parse_get(format_get(state)) == state


def test_answer_with_keys_of_a_later_version_is_read():
    text = f"new_key=1\n{KEY_LINE}\nnewer_key=x\nrx_bytes=4\nerrno=0\n\n"
    assert parse_get(text) == DeviceState(peers=(PeerState(KEY, rx_bytes=4),))


def test_answer_with_an_errno_of_either_sign_is_an_error():
    for text in ("errno=-98\n\n", "errno=98\n\n"):
        with pytest.raises(UapiError) as caught:
            parse_get(text)
        assert caught.value.errno == errno.EADDRINUSE
    with pytest.raises(UapiError, match="no errno"):
        parse_get("listen_port=1\n")
    assert format_errno(errno.EINVAL) == "errno=-22\n\n"


def test_endpoints_are_read_and_written():
    zones = {"eth0": 3}
    for text, address in (
        ("192.0.2.1:51820", ("192.0.2.1", 51820)),
        ("[2001:db8::1]:1", ("2001:db8::1", 1, 0, 0)),
        ("[fe80::1%3]:9", ("fe80::1", 9, 0, 3)),
    ):
        assert read_endpoint(text, int) == address
        assert write_endpoint(address) == text
    assert read_endpoint("[fe80::1%eth0]:9", zones.__getitem__) == ("fe80::1", 9, 0, 3)
    assert write_endpoint(("fe80::1%eth0", 9, 0, 3)) == "[fe80::1%3]:9"


def test_endpoint_with_an_unknown_zone_is_refused():
    def no_zone(name):
        raise OSError(errno.ENODEV, "no such interface")

    with pytest.raises(UapiError, match="no such interface"):
        read_endpoint("[fe80::1%nosuch]:9", no_zone)


WORDS = [
    "private_key",
    "listen_port",
    "fwmark",
    "replace_peers",
    "public_key",
    "remove",
    "update_only",
    "preshared_key",
    "endpoint",
    "allowed_ip",
    "persistent_keepalive_interval",
    "replace_allowed_ips",
    "protocol_version",
    "errno",
    "rx_bytes",
    "nonsense",
]


@pytest.mark.parametrize("seed", range(20))
def test_any_text_gives_a_request_or_a_refusal(seed):
    rng = random.Random(seed)
    for _ in range(200):
        lines = []
        for _ in range(rng.randrange(12)):
            value = rng.choice(
                [KEY.hex(), "true", "1", "-1", "0.0.0.0/0", "::/0", "[::1]:5", "1.2.3.4:5", "", "\0", "é" * 9]
                + [rng.randbytes(rng.randrange(20)).decode("latin-1")]
            )
            lines.append(rng.choice([f"{rng.choice(WORDS)}={value}", value]))
        config, error = parse_set(lines)
        assert error is None or error.errno in (errno.EINVAL, errno.EPROTO)
        again, _ = parse_set(format_set(config)[:-2].split("\n")[1:])
        assert again == config
        try:
            state = parse_get("\n".join(lines))
        except UapiError as refused:
            assert refused.errno > 0
        else:
            assert isinstance(state, DeviceState)
