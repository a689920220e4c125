"""Requests of the UAPI and control sockets, taken from a stream of octets."""

import errno
import random

import pytest

from babelwg.dataplane.requests import (
    Create,
    Get,
    Handshakes,
    ListTunnels,
    NoSuchRequestError,
    Remove,
    Set,
    Shutdown,
    Stats,
    Watch,
    take_command,
    take_uapi,
)
from babelwg.wireguard.uapi import DeviceConfig, UapiError


def command(text, mtu=1420):
    received = bytearray(text.encode())
    answer = take_command(received, mtu)
    assert answer is None or received == b""
    return answer


def errno_of(text):
    with pytest.raises(UapiError) as caught:
        command(text)
    return caught.value.errno


def test_commands_are_read():
    assert command("create=bw-bravo\nmtu=1380\n\n") == Create("bw-bravo", 1380)
    assert command("create=wg0\n\n") == Create("wg0", 1420)
    assert command("remove=wg0\n\n") == Remove("wg0")
    assert command("list=1\n\n") == ListTunnels()
    assert command("stats=1\n\n") == Stats()
    assert command("handshakes=1\n\n") == Handshakes()
    assert command("watch=1\n\n") == Watch()
    assert command("shutdown=1\n\n") == Shutdown()


@pytest.mark.parametrize(
    "text",
    [
        "create=\n\n",
        "create=sixteen-octets-!\n\n",
        "create=a/b\n\n",
        "create=..\n\n",
        "create=wg0\nmtu=575\n\n",
        "create=wg0\nmtu=65536\n\n",
        "create=wg0\nmtu=٣٣٣٣\n\n",
        "create=wg0\nmtu=1400\nmtu=1400\n\n",
        "create=wg0\ncolour=red\n\n",
        "remove=wg0\nmtu=1400\n\n",
        "list=2\n\n",
        "dance=1\n\n",
    ],
)
def test_wrong_command_is_einval(text):
    assert errno_of(text) == errno.EINVAL


def test_line_without_equals_is_eproto():
    assert errno_of("create\n\n") == errno.EPROTO
    assert errno_of("\n\n") == errno.EPROTO


def test_command_that_is_not_whole_waits():
    received = bytearray(b"create=wg0\nmtu=14")
    assert take_command(received, 1420) is None
    received += b"00\n\nlist=1\n\n"
    assert take_command(received, 1420) == Create("wg0", 1400)
    assert take_command(received, 1420) == ListTunnels()
    assert take_command(received, 1420) is None


def test_uapi_requests_are_taken_one_by_one():
    received = bytearray(b"get=1\n\nset=1\nlisten_port=5\n\nset=1\n\nget=1\n")
    assert take_uapi(received) == Get()
    assert take_uapi(received) == Set(DeviceConfig(listen_port=5), None)
    assert take_uapi(received) == Set(DeviceConfig(), None)
    assert take_uapi(received) is None
    received += b"\n"
    assert take_uapi(received) == Get()
    assert received == b""


@pytest.mark.conformance("W-uapi-7")
def test_anything_after_get_but_an_empty_line_is_einval():
    with pytest.raises(UapiError) as caught:
        take_uapi(bytearray(b"get=1\nx"))
    assert caught.value.errno == errno.EINVAL


@pytest.mark.parametrize("data", [b"x", b"gex", b"set=2\n\n", b"get=1 \n", b"\n", b"\0\0\0\0\0\0\0"])
def test_unknown_request_ends_the_connection(data):
    with pytest.raises(NoSuchRequestError):
        take_uapi(bytearray(data))


def test_request_that_arrives_octet_by_octet_is_taken_at_its_end():
    received = bytearray()
    text = b"set=1\nlisten_port=5\n\n"
    answers = []
    for octet in text:
        received.append(octet)
        answers.append(take_uapi(received))
    assert answers == [None] * (len(text) - 1) + [Set(DeviceConfig(listen_port=5), None)]


PIECES = [
    b"get=1\n",
    b"set=1\n",
    b"\n",
    b"\n\n",
    b"listen_port=1\n",
    b"create=wg0\n",
    b"mtu=1400\n",
    b"=",
    b"\xff\xfe",
]


@pytest.mark.parametrize("seed", range(20))
def test_any_octets_give_a_request_or_a_refusal(seed):
    rng = random.Random(seed)
    for _ in range(200):
        data = b"".join(
            rng.choice([*PIECES, rng.randbytes(rng.randrange(10))]) for _ in range(rng.randrange(1, 12))
        )
        for take in (take_uapi, lambda received: take_command(received, 1420)):
            received = bytearray(data)
            for _ in range(len(data) + 1):
                before = len(received)
                try:
                    request = take(received)
                except UapiError as error:
                    assert error.errno in (errno.EINVAL, errno.EPROTO)
                    if len(received) == before:
                        break
                    continue
                except NoSuchRequestError:
                    break
                if request is None:
                    break
                assert len(received) < before
            else:
                raise AssertionError("requests never end")
