"""One live speaker on a bench: a test plays its neighbours and reads what it sends."""

from collections.abc import Iterable
from random import Random

from babelwg.babel.datagram import Datagram
from babelwg.babel.events import Event
from babelwg.babel.memory import Memory
from babelwg.babel.parameters import GROUP, PORT, InterfaceParameters, Parameters
from babelwg.babel.routeview import RouteView
from babelwg.babel.snapshot import NeighbourView, Snapshot
from babelwg.babel.speaker import Speaker
from babelwg.babel.wire.decode import decode_packet
from babelwg.babel.wire.encode import PacketWriter
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.tlv import Hello, Ihu, SeqnoRequest, Tlv, Update

OUR_ID = bytes.fromhex("0200000000000001")
OUR_ADDRESS = bytes.fromhex("fe800000000000000000000000000001")
ORIGIN = bytes.fromhex("02000000000000aa")
P = Prefix.parse("2001:db8:1::/48")
Q = Prefix.parse("2001:db8:2::/48")
V4 = Prefix.parse("192.0.2.0/24")


def neighbour_address(number: int) -> bytes:
    """Return the link-local address of the neighbour with this number."""
    return bytes.fromhex("fe80000000000000") + (0x1000 + number).to_bytes(8, "big")


class Bench:
    """A speaker with interfaces, and neighbours that exist only as packets."""

    def __init__(
        self, parameters: Parameters | None = None, memory: Memory | None = None, seed: int = 1
    ) -> None:
        memory = memory or Memory(seqno=100, lost=False)
        self.speaker = Speaker(OUR_ID, parameters or Parameters(), Random(seed), memory)
        self.now = 1000.0
        self.seqnos: dict[tuple[str, int], int] = {}
        self.seen: list[Event] = []

    def interface(self, name: str = "tun", parameters: InterfaceParameters | None = None) -> None:
        """Add an interface and discard what it says first."""
        self.speaker.add_interface(name, parameters or InterfaceParameters(), OUR_ADDRESS, self.now)
        self.sent()

    def receive(self, tlvs: Iterable[Tlv], number: int = 1, name: str = "tun", to: bytes = GROUP) -> None:
        """Deliver a packet from a neighbour."""
        source = neighbour_address(number)
        writer = PacketWriter(60000, source)
        for tlv in tlvs:
            assert writer.add(tlv)
        self.receive_octets(writer.packet(), number, name, to)

    def receive_octets(self, data: bytes, number: int = 1, name: str = "tun", to: bytes = GROUP) -> None:
        """Deliver octets from a neighbour."""
        source = neighbour_address(number)
        datagram = Datagram(data, (source, PORT), (to, PORT), name, self.now)
        self.speaker.receive_datagram(datagram, self.now)

    def hello(
        self, number: int = 1, name: str = "tun", interval: float = 4.0, unicast: bool = False
    ) -> Hello:
        """Return the next Hello of a neighbour."""
        self.seqnos[name, number] = (self.seqnos.get((name, number), 0x41) + 1) % 0x10000
        return Hello(self.seqnos[name, number], interval, unicast)

    def ihu(self, rxcost: int = 96, interval: float = 12.0) -> Ihu:
        """Return an IHU for our speaker."""
        return Ihu(OUR_ADDRESS, rxcost, interval)

    def meet(self, number: int = 1, name: str = "tun", hellos: int = 1) -> None:
        """Make a neighbour reachable and discard what is sent meanwhile."""
        for _ in range(hellos):
            self.receive([self.hello(number, name), self.ihu()], number, name)
        self.sent()
        self.events()

    def keep(self, numbers: Iterable[int] = (1,), name: str = "tun", seconds: float = 4.0) -> list[Tlv]:
        """Let time pass with a Hello from each neighbour every interval; return what was sent to them."""
        found: list[Tlv] = []
        end = self.now + seconds
        while self.now < end:
            for number in numbers:
                self.receive([self.hello(number, name), self.ihu()], number, name)
            found += self.wait(min(4.0, end - self.now))
        return found

    def wait(self, seconds: float) -> list[Tlv]:
        """Let time pass and return the TLVs that were sent meanwhile."""
        return [tlv for _, datagram in self.wait_datagrams(seconds) for tlv in tlvs_of(datagram)]

    def wait_datagrams(self, seconds: float) -> list[tuple[float, Datagram]]:
        """Let time pass and return the datagrams that were sent meanwhile, with the moment of each."""
        end = self.now + seconds
        found = [(self.now, datagram) for datagram in self.speaker.datagrams_to_send(self.now)]
        while (deadline := self.speaker.next_deadline()) is not None and deadline <= end:
            self.now = max(self.now, deadline)
            self.speaker.handle_deadline(self.now)
            found += [(self.now, datagram) for datagram in self.speaker.datagrams_to_send(self.now)]
        self.now = end
        return found

    def live(self, seconds: float) -> list[tuple[float, Datagram]]:
        """Let time pass with Hellos and IHUs from all neighbours; return the datagrams sent meanwhile."""
        found = []
        end = self.now + seconds
        while self.now < end:
            for view in self.snapshot().neighbours:
                number = int.from_bytes(view.address[8:], "big") - 0x1000
                self.receive(
                    [self.hello(number, view.interface), self.ihu(view.txcost)], number, view.interface
                )
            found += self.wait_datagrams(min(4.0, end - self.now))
        return found

    def datagrams(self) -> list[Datagram]:
        """Return the datagrams that leave now."""
        return self.speaker.datagrams_to_send(self.now)

    def sent(self) -> list[Tlv]:
        """Return the TLVs that leave now."""
        return [tlv for datagram in self.datagrams() for tlv in tlvs_of(datagram)]

    def events(self) -> list[str]:
        """Return the names of what happened since the last call."""
        return [str(event).split()[0] for event in self.speaker.events()]

    def snapshot(self) -> Snapshot:
        """Return the tables of the speaker."""
        return self.speaker.snapshot(self.now)

    def neighbour(self, number: int = 1, name: str = "tun") -> NeighbourView | None:
        """Return a neighbour's entry."""
        address = neighbour_address(number)
        found = [v for v in self.snapshot().neighbours if (v.interface, v.address) == (name, address)]
        return found[0] if found else None

    def route(self, number: int = 1, prefix: Prefix = P, name: str = "tun") -> RouteView | None:
        """Return a route's entry."""
        key = (prefix, name, neighbour_address(number))
        found = [v for v in self.snapshot().routes if (v.prefix, v.interface, v.neighbour) == key]
        return found[0] if found else None

    def selected(self, prefix: Prefix = P) -> bytes | None:
        """Return the address of the neighbour through which a prefix is reached."""
        found = [v.neighbour for v in self.snapshot().routes if v.prefix == prefix and v.state == "selected"]
        return found[0] if found else None

    def distance(self, prefix: Prefix = P, router_id: bytes = ORIGIN) -> tuple[int, int] | None:
        """Return the feasibility distance of a source."""
        found = [v for v in self.snapshot().sources if (v.prefix, v.router_id) == (prefix, router_id)]
        return (found[0].seqno, found[0].metric) if found else None


def tlvs_of(datagram: Datagram) -> tuple[Tlv, ...]:
    """Return what a datagram of ours says; a receiver must not have to complain."""
    packet = decode_packet(datagram.data, datagram.source[0])
    assert packet.refusal is None
    assert packet.complaints == ()
    return packet.tlvs


def update(
    prefix: Prefix | None = P,
    metric: int = 0,
    seqno: int = 7,
    number: int = 1,
    router_id: bytes = ORIGIN,
    interval: float = 16.0,
    next_hop: bytes | None = None,
) -> Update:
    """Return an update as a neighbour would announce itself."""
    return Update(prefix, router_id, seqno, metric, interval, next_hop or neighbour_address(number))


def retraction(prefix: Prefix | None = P) -> Update:
    """Return a retraction."""
    return Update(prefix, None, 0, 0xFFFF, 16.0, None)


def updates(tlvs: Iterable[Tlv], prefix: Prefix = P) -> list[Update]:
    """Return the updates for a prefix among TLVs."""
    return [tlv for tlv in tlvs if isinstance(tlv, Update) and tlv.prefix == prefix]


def seqno_requests(tlvs: Iterable[Tlv]) -> list[SeqnoRequest]:
    """Return the seqno requests among TLVs."""
    return [tlv for tlv in tlvs if isinstance(tlv, SeqnoRequest)]
