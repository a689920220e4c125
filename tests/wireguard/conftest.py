"""Two WireGuard ends in virtual time, joined by a wire that a test may watch, cut or rewrite."""

import json
import random
from pathlib import Path

import pytest

from babelwg.wireguard.device import Device
from babelwg.wireguard.interface import Interface
from babelwg.wireguard.noise.crypto import PacketBuffer
from babelwg.wireguard.uapi import PeerConfig

ANY = ("0.0.0.0/0", "::/0")
WALL_CLOCK = 1_700_000_000.0  # Unix seconds at time zero


class SeededSecrets:
    """Predictable octets, so that a run can be repeated."""

    def __init__(self, seed):
        self._rng = random.Random(seed)

    def octets(self, count):
        return self._rng.randbytes(count)


class End:
    """A device with one interface and its address on the wire."""

    def __init__(self, name, private, host, seed):
        self.name = name
        self.source = (host, 51820)
        self.device = Device(SeededSecrets(seed), clock_offset=WALL_CLOCK)
        self.interface = Interface(name)
        self.interface.set_private_key(private)
        self.device.attach(self.interface, 0.0)
        self.packets = []
        self.sent = []

    @property
    def public(self):
        return self.interface.keys.public

    @property
    def peer(self):
        return next(iter(self.interface.peers.values()))

    def configure(self, now=0.0, **peer):
        self.interface.configure_peer(PeerConfig(**peer), now, int)

    def send(self, packet, now):
        buffer = PacketBuffer(max(len(packet), 1500))
        buffer.load_packet(packet)
        self.device.send_packets(self.interface, [buffer], now)

    def collect(self, now):
        """Return the datagrams that leave now, as octets; `sent` keeps all."""
        datagrams = [bytes(data) for _, data, _ in self.device.datagrams_to_send(now)]
        self.sent += datagrams
        return datagrams

    def receive(self, data, source, now, local=None):
        self.device.receive_datagram(data, source, now, local)
        self.packets += [bytes(packet) for _, packet in self.device.packets_to_deliver()]

    def refused(self):
        return dict(self.device.refusals + self.interface.refusals)


class Pair:
    """a initiates towards b; b learns a's address."""

    def __init__(self):
        self.now = 0.0
        self.a = End("a", b"\x11" * 32, "192.0.2.1", 1)
        self.b = End("b", b"\x22" * 32, "192.0.2.2", 2)
        self.a.configure(public_key=self.b.public, endpoint="192.0.2.2:51820", allowed_ips=ANY)
        self.b.configure(public_key=self.a.public, allowed_ips=ANY)
        self.passes = lambda sender, data: True

    def other(self, end):
        return self.b if end is self.a else self.a

    def exchange(self):
        """Carry datagrams until both ends are silent."""
        for _ in range(1000):
            moved = False
            for end in (self.a, self.b):
                for data in end.collect(self.now):
                    moved = True
                    if self.passes(end, data):
                        self.other(end).receive(data, end.source, self.now)
            if not moved:
                return
        raise AssertionError("the two ends never fall silent")

    def advance(self, seconds):
        """Let time pass, with every timer at its moment."""
        until = self.now + seconds
        while True:
            deadlines = [d for e in (self.a, self.b) if (d := e.device.next_deadline()) is not None]
            at = min([until, *deadlines])
            self.now = max(self.now, at)
            for end in (self.a, self.b):
                end.device.handle_deadline(self.now)
            self.exchange()
            if at >= until:
                return

    def send(self, end, packet):
        end.send(packet, self.now)
        self.exchange()

    def connect(self):
        """Complete a handshake from a to b, confirmed by one packet."""
        self.send(self.a, ipv4(b"hello"))
        assert self.b.packets == [ipv4(b"hello")]
        self.forget()
        return self

    def forget(self):
        for end in (self.a, self.b):
            end.packets.clear()
            end.sent.clear()
            end.device.events()


def ipv4(payload=b"", source="10.0.0.1", destination="10.0.0.2"):
    """Return an IPv4 packet; its checksum is of no concern to WireGuard."""
    length = (20 + len(payload)).to_bytes(2, "big")
    addresses = b"".join(bytes(int(n) for n in a.split(".")) for a in (source, destination))
    return b"\x45\x00" + length + bytes(4) + b"\x40\x11" + bytes(2) + addresses + payload


def ipv6(
    payload=b"", source=b"\xfe\x80" + bytes(13) + b"\x01", destination=b"\xfe\x80" + bytes(13) + b"\x02"
):
    """Return an IPv6 packet."""
    return b"\x60" + bytes(3) + len(payload).to_bytes(2, "big") + b"\x11\x40" + source + destination + payload


@pytest.fixture
def pair():
    return Pair()


@pytest.fixture
def make_pair():
    return Pair


@pytest.fixture
def packets():
    """Give a test the two packet makers, as `packets.ipv4` and `packets.ipv6`."""

    class Makers:
        pass

    makers = Makers()
    makers.ipv4, makers.ipv6 = ipv4, ipv6
    return makers


@pytest.fixture
def secrets():
    return SeededSecrets(7)


@pytest.fixture
def make_end():
    return End


@pytest.fixture(scope="session")
def vectors():
    path = Path(__file__).parent.parent / "conformance" / "vectors.json"
    return json.loads(path.read_text())["wireguard_handshake"]
