"""Programs that the kernel runs over what a socket would receive (classic BPF, linux/filter.h)."""

import ctypes
import socket
import struct
from collections.abc import Sequence

SO_ATTACH_FILTER = 26
NETWORK_HEADER = 0xFFF00000  # SKF_NET_OFF
LOAD_WORD, LOAD_HALF, LOAD_BYTE, AND, JUMP_IF_EQUAL, RETURN = 0x20, 0x28, 0x30, 0x54, 0x15, 0x06
ALL, NOTHING = (RETURN, 0, 0, 0x40000), (RETURN, 0, 0, 0)

# Operation, steps to pass over when true, when false, and a number
Step = tuple[int, int, int, int]


def attach_filter(sock: socket.socket, program: Sequence[Step]) -> None:
    """Have the kernel drop what a program does not accept, before it takes room or wakes anybody. Raises OSError."""
    octets = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *step) for step in program))
    where = struct.pack("@HP", len(program), ctypes.addressof(octets))
    sock.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, where)
