"""Where the Hellos of each interface are, written before each leaves: they go on where a killed daemon left off.

The file is a header (magic, boot id, checksum) and slots of one size, one for each interface, each rewritten in
place with its own checksum. It tells of this boot only; what an earlier one left is in the identity's file.
"""

import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from babelwg.config.state.journal import read_boot_id, read_regular

HELLO_FILE = "hellos"
MAGIC = b"bwg-hel1"
HEADER = struct.Struct("!8s16s")
SLOT = struct.Struct("!16sHd")  # interface, seqno, and when it was sent in monotonic seconds
CHECKSUM = struct.Struct("!I")
HEADER_SIZE = HEADER.size + CHECKSUM.size
SLOT_SIZE = SLOT.size + CHECKSUM.size
MAX_SLOTS = 4096  # interfaces that are remembered; further ones are so only as of the latest checkpoint


class SentHello(NamedTuple):
    """The last Hello that left on an interface: its seqno, and when, in monotonic seconds."""

    seqno: int
    at: float


class HelloFile:
    """The Hello seqnos of one node; `load` first, then `put` before each datagram with a Hello."""

    def __init__(self, directory: Path, boot_id: bytes | None = None) -> None:
        self.path = directory / HELLO_FILE
        self.boot_id = read_boot_id() if boot_id is None else boot_id
        self._slots: dict[str, int] = {}
        self._free = 0  # the first slot that nobody has
        self._descriptor: int | None = None

    def load(self) -> dict[str, SentHello]:
        """Return what this boot has sent, nothing where that is not known, and begin to write. Raises OSError."""
        found = self._read()
        self.close()
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if not found:
            os.ftruncate(self._descriptor, 0)
            os.pwrite(self._descriptor, _sealed(HEADER.pack(MAGIC, self.boot_id)), 0)
        self._slots = {name: slot for slot, (name, _) in found.items()}
        self._free = max(found, default=-1) + 1
        return dict(found.values())

    def put(self, seqnos: Mapping[str, int], now: float) -> None:
        """Write the seqnos of Hellos that are about to leave, by interface. Raises OSError."""
        for name, seqno in seqnos.items():
            self._write(name, SentHello(seqno, now))

    def close(self) -> None:
        """Close the file; nothing is lost by not doing so."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self, name: str, sent: SentHello) -> None:
        encoded = name.encode()
        if name not in self._slots and (self._free >= MAX_SLOTS or len(encoded) > 16):
            return
        if name not in self._slots:
            self._slots[name], self._free = self._free, self._free + 1
        if self._descriptor is not None:
            slot = self._slots[name]
            os.pwrite(self._descriptor, _sealed(SLOT.pack(encoded, *sent)), HEADER_SIZE + slot * SLOT_SIZE)

    def _read(self) -> dict[int, tuple[str, SentHello]]:
        """Return the intact slots by number."""
        try:
            data = read_regular(self.path)
        except FileNotFoundError:
            return {}
        except ValueError:
            self.path.unlink()  # no regular file, which could not be written in place either
            return {}
        if not any(self.boot_id) or data[:HEADER_SIZE] != _sealed(HEADER.pack(MAGIC, self.boot_id)):
            return {}
        found = {}
        for number in range(min(MAX_SLOTS, (len(data) - HEADER_SIZE) // SLOT_SIZE)):
            at = HEADER_SIZE + number * SLOT_SIZE
            if _is_intact(slot := data[at : at + SLOT_SIZE]):
                name, seqno, when = SLOT.unpack_from(slot)
                found[number] = (name.rstrip(b"\0").decode(errors="replace"), SentHello(seqno, when))
        return found


def _sealed(data: bytes) -> bytes:
    return data + CHECKSUM.pack(zlib.crc32(data))


def _is_intact(slot: bytes) -> bool:
    body = slot[: -CHECKSUM.size]
    return len(slot) == SLOT_SIZE and slot[-CHECKSUM.size :] == CHECKSUM.pack(zlib.crc32(body))
