"""Prints when each promised multicast Hello comes in on an interface, in monotonic seconds, until killed."""

import socket
import sys
import time
from collections.abc import Iterator

from babelwg.babel.wire.decode import decode_packet
from babelwg.babel.wire.tlv import Hello

ETHERNET_IPV6, UDP, BABEL = 0x86DD, 17, 6696
HEADERS = 40 + 8  # octets of IPv6 and UDP


def hellos(interface: str) -> Iterator[float]:
    """Yield when each Hello came."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETHERNET_IPV6)) as packets:
        packets.bind((interface, ETHERNET_IPV6))
        while True:
            data, address = packets.recvfrom(1 << 16)
            if address[2] == socket.PACKET_OUTGOING or data[6] != UDP:  # type: ignore[attr-defined]
                continue
            if int.from_bytes(data[42:44], "big") != BABEL:
                continue
            tlvs = decode_packet(data[HEADERS:], data[8:24]).tlvs
            if any(isinstance(tlv, Hello) and tlv.interval and not tlv.unicast for tlv in tlvs):
                yield time.monotonic()


if __name__ == "__main__":
    for moment in hellos(sys.argv[1]):
        print(moment, flush=True)
