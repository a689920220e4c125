"""How many packets interfaces have carried, asked for often and cheaply (linux/if_link.h, RTM_GETSTATS)."""

import struct
from collections.abc import Collection
from typing import NamedTuple

from babelwg.linux.netlink import Message, Refusal, RequestSocket

RTM_GETSTATS = 94
IFLA_STATS_LINK_64 = 1
REQUEST = struct.Struct("=B3xII")  # family, interface, filter
FILTER = 1 << (IFLA_STATS_LINK_64 - 1)
# The reply's own header, the attribute's, and the first two of the counters.
REPLY = struct.Struct("=4xI4x4xQQ")
# Implementation constant: of so many interfaces it is cheaper to ask for all at once
FEW = 8


class Packets(NamedTuple):
    """What an interface has carried since it was made."""

    received: int
    sent: int


def read_packets(requests: RequestSocket, wanted: Collection[int]) -> dict[int, Packets]:
    """Return what interfaces (indices) have carried; those that are gone are missing. Raises KernelError."""
    if len(wanted) > FEW:
        found = [_read(message) for message in requests.dump(RTM_GETSTATS, REQUEST.pack(0, 0, FILTER))]
        return {index: packets for index, packets in found if index in wanted}
    answers = (requests.ask(RTM_GETSTATS, REQUEST.pack(0, index, FILTER)) for index in wanted)
    return dict(_read(answer) for answer in answers if not isinstance(answer, Refusal))


def _read(message: Message) -> tuple[int, Packets]:
    index, received, sent = REPLY.unpack_from(message.payload)
    return index, Packets(received, sent)
