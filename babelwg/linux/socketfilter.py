"""Programs that the kernel runs over what a socket would receive (classic BPF, linux/filter.h)."""

import ctypes
import socket
import struct
from collections.abc import Iterable, Sequence

SO_ATTACH_FILTER = 26
NETWORK_HEADER = 0xFFF00000  # SKF_NET_OFF
INTERFACE_INDEX = 0xFFFFF008  # SKF_AD_OFF + SKF_AD_IFINDEX
LOAD_WORD, LOAD_HALF, LOAD_BYTE, AND, JUMP_IF_EQUAL, RETURN = 0x20, 0x28, 0x30, 0x54, 0x15, 0x06
JUMP_IF_GREATER, JUMP_IF_NOT_LESS, SHIFT_LEFT = 0x25, 0x35, 0x64
# With the second register: X octets further on; what it is set to
LOAD_HALF_X, LOAD_BYTE_X, ADD_X, SET_X, SET_X_TO_HEADER_LENGTH = 0x48, 0x50, 0x0C, 0x07, 0xB1
ALL, NOTHING = (RETURN, 0, 0, 0x40000), (RETURN, 0, 0, 0)
SOURCE, DESTINATION = 8, 24  # octets into the header of IPv6 (RFC 8200, section 3)

MAX_STEPS = 4000  # of those that tell interfaces apart; the kernel takes 4096 in all

# Operation, steps to pass over when true, when false, and a number
Step = tuple[int, int, int, int]


def link_local(place: int) -> list[Step]:
    """Return the start of a program: packets whose SOURCE or DESTINATION is not link-local go no further."""
    jump = (JUMP_IF_EQUAL, 1, 0, 0xFE80)
    return [(LOAD_HALF, 0, 0, NETWORK_HEADER + place), (AND, 0, 0, 0xFFC0), jump, NOTHING]


def by_interfaces(indices: Iterable[int]) -> list[Step]:
    """Return the end of a program: it accepts what came by one of some interfaces, by any where they are very many."""
    wanted = [step for index in sorted(indices) for step in ((JUMP_IF_EQUAL, 0, 1, index), ALL)]
    return [(LOAD_WORD, 0, 0, INTERFACE_INDEX), *(wanted if len(wanted) <= MAX_STEPS else [ALL]), NOTHING]


def attach_filter(sock: socket.socket, program: Sequence[Step]) -> None:
    """Have the kernel drop what a program does not accept, before it takes room or wakes anybody. Raises OSError."""
    octets = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    where = struct.pack("@HP", len(program), ctypes.addressof(octets))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, where)
