"""UDP sockets on the loopback interface: pairs, local addresses and what is sent with them."""

import errno
import socket

import pytest

from babelwg.dataplane.loop import Loop
from babelwg.dataplane.port import SystemSecrets, UdpPort
from babelwg.linux.sockets import (
    ANCILLARY_SPACE,
    IP_PKTINFO,
    IPV6_PKTINFO,
    SO_MARK,
    ancillary_to_send,
    open_udp,
    open_udp_pair,
    received_at,
)
from babelwg.wireguard.events import Endpoint, LocalAddress
from babelwg.wireguard.indices import IndexTable
from babelwg.wireguard.interface import Interface
from babelwg.wireguard.refusals import Reason
from babelwg.wireguard.timers import TimerValues
from babelwg.wireguard.uapi import PeerConfig


def test_pair_has_one_port_for_both_families():
    port, opened = open_udp_pair(0)
    assert port > 0
    assert {udp.getsockname()[1] for udp in opened} == {port}
    assert opened[0].family == socket.AF_INET
    with pytest.raises(OSError, match="in use") as caught:
        open_udp_pair(port)
    assert caught.value.errno == errno.EADDRINUSE
    for udp in opened:
        udp.close()
    again, opened = open_udp_pair(port)
    assert again == port
    for udp in opened:
        udp.close()


@pytest.mark.parametrize("destination", ["127.0.0.1", "127.0.0.77"])
def test_received_datagram_tells_the_address_it_came_to(destination):
    with open_udp(socket.AF_INET, 0) as udp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.sendto(b"x", (destination, udp.getsockname()[1]))
        buffer = bytearray(100)
        _, ancillary, _, _ = udp.recvmsg_into([buffer], ANCILLARY_SPACE)
        assert received_at(ancillary).address == socket.inet_aton(destination)
        assert received_at(ancillary).interface_index == socket.if_nametoindex("lo")


def test_reply_can_be_sent_from_a_chosen_local_address():
    with open_udp(socket.AF_INET, 0) as udp, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        ancillary = ancillary_to_send(socket.AF_INET, (socket.inet_aton("127.0.0.77"), 1), 0, 0x88)
        udp.sendmsg([b"x"], ancillary, 0, other.getsockname())
        assert other.recvfrom(10)[1][0] == "127.0.0.77"


def test_ancillary_data_holds_only_what_is_asked_for():
    assert ancillary_to_send(socket.AF_INET, None) == []
    assert ancillary_to_send(socket.AF_INET6, None, 7, 0x88) == [
        (socket.SOL_SOCKET, SO_MARK, b"\7\0\0\0"),
        (socket.IPPROTO_IPV6, socket.IPV6_TCLASS, b"\x88\0\0\0"),
    ]
    assert ancillary_to_send(socket.AF_INET, (b"\x7f\0\0\1", 3)) == [
        (socket.IPPROTO_IP, IP_PKTINFO, bytes(4) + b"\x7f\0\0\1" + bytes(4))
    ]


def test_interface_is_named_only_for_link_local_addresses():
    for address, index in ((b"\xfe\x80" + bytes(14), 3), (b"\x20\x01" + bytes(14), 0)):
        [(_, kind, data)] = ancillary_to_send(socket.AF_INET6, (address, 3))
        assert (kind, data[16:]) == (IPV6_PKTINFO, index.to_bytes(4, "little"))


def test_ancillary_data_of_another_kind_tells_nothing():
    assert received_at([]) is None
    assert (
        received_at([(socket.IPPROTO_IP, socket.IP_TOS, b"\1"), (socket.IPPROTO_IP, IP_PKTINFO, b"x")])
        is None
    )


# A port with its device


@pytest.fixture
def loop():
    loop = Loop()
    yield loop
    loop.close()


@pytest.fixture
def make_port(loop):
    made = []

    def make(written=None):
        secrets = SystemSecrets()
        port = UdpPort(
            loop,
            0,
            secrets,
            IndexTable(secrets),
            TimerValues(),
            lambda i, p: written.append((i.name, bytes(p))),
        )
        made.append(port)
        return port

    yield make
    for port in made:
        port.close()


def test_two_ports_complete_a_handshake_over_loopback(loop, make_port):
    written = []
    ports = [make_port(written), make_port(written)]
    interfaces = [Interface("a"), Interface("b")]
    for number, (port, interface) in enumerate(zip(ports, interfaces, strict=True)):
        interface.set_private_key(bytes([number + 1]) * 32)
        port.device.attach(interface, loop.clock())
    for interface, other, port in (
        (interfaces[0], interfaces[1], ports[1]),
        (interfaces[1], interfaces[0], None),
    ):
        endpoint = f"127.0.0.1:{port.number}" if port else None
        config = PeerConfig(other.keys.public, endpoint=endpoint, allowed_ips=("0.0.0.0/0",))
        interface.configure_peer(config, loop.clock(), int)
    interfaces[0].peers[interfaces[1].keys.public].handshake.initiate(loop.clock())
    ports[0].pump(loop.clock())
    for _ in range(10):
        loop.turn(0.01)
    assert [next(iter(i.peers.values())).last_handshake > 0 for i in interfaces] == [True, True]
    peer = next(iter(interfaces[1].peers.values()))
    assert peer.endpoint.remote == ("127.0.0.1", ports[0].number)
    assert peer.endpoint.local.address == socket.inet_aton("127.0.0.1")


def test_datagram_from_an_address_that_is_gone_leaves_from_another(make_port):
    port = make_port()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        gone = LocalAddress(socket.inet_aton("203.0.113.99"), 1)
        port.device.outgoing.append((Endpoint(other.getsockname(), gone), b"x", 0))
        port.pump(0.0)
        assert other.recvfrom(10) == (b"x", ("127.0.0.1", port.number))
    assert not port.device.refusals


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        (errno.EAGAIN, Reason.SEND_FULL),
        (errno.ENOBUFS, Reason.SEND_FULL),
        (errno.ENETUNREACH, Reason.SEND_UNREACHABLE),
        (errno.EPERM, Reason.SEND_DENIED),
        (errno.EMSGSIZE, Reason.SEND_FAILED),
    ],
)
def test_refusal_of_the_kernel_is_counted_by_its_kind(make_port, number, reason):
    port = make_port()

    class Refusing:
        family = socket.AF_INET

        def sendmsg(self, *arguments):
            raise OSError(number, "refused")

    port._by_length = {2: Refusing()}
    port.device.outgoing.append((Endpoint(("127.0.0.1", 9)), b"x", 0))
    port.device.outgoing.append((Endpoint(("::1", 9, 0, 0)), b"x", 0))
    port.pump(0.0)
    expected = {Reason.SEND_UNREACHABLE: 1}
    expected[reason] = expected.get(reason, 0) + 1
    assert dict(port.device.refusals) == expected
