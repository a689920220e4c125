"""Where the Hellos are, ours and our neighbours': a killed daemon's next life goes on where it left off.

The file is a header (magic, boot id, checksum) and slots of one size, each rewritten in place with its own checksum:
one for each interface, for what we sent there, and one for each neighbour. It tells of this boot only; what an earlier
one sent is in the identity's file.
"""

import os
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from babelwg.config.state.journal import read_boot_id, read_regular

HELLO_FILE = "hellos"
MAGIC = b"bwg-hel2"
HEADER = struct.Struct("!8s16s")
SLOT = struct.Struct("!16s16sHdd?")
CHECKSUM = struct.Struct("!I")
HEADER_SIZE = HEADER.size + CHECKSUM.size
SLOT_SIZE = SLOT.size + CHECKSUM.size
MAX_SLOTS = 4096
MAX_NEIGHBOURS = 3072  # slots of neighbours, so that strangers leave room for what we send
OURSELVES = bytes(16)

# Of a neighbour: the seqno that it will send next, its interval, until when it is not silent (monotonic seconds), and
# whether it answers when its link is probed.
HeardRow = tuple[int, float, float, bool]
Key = tuple[str, bytes]  # interface, and the neighbour's address (packed) or OURSELVES


class LoadedHellos(NamedTuple):
    """Seqnos of ours by interface, and what was heard by interface and neighbour."""

    sent: dict[str, int]
    heard: dict[Key, HeardRow]


class HelloFile:
    """The Hellos of one node; `read` and `begin` first, then `put` before each datagram with a Hello."""

    def __init__(self, directory: Path, boot_id: bytes | None = None) -> None:
        self.path = directory / HELLO_FILE
        self.boot_id = read_boot_id() if boot_id is None else boot_id
        self._slots: dict[Key, int] = {}
        self._heard: dict[Key, None] = {}  # the neighbours that have slots, who was heard longest ago first
        self._descriptor: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether what is put reaches the file; after a failed `begin` only another one opens it."""
        return self._descriptor is not None

    def read(self) -> LoadedHellos:
        """Return what this boot has sent and heard as far as that is known."""
        try:
            found = self._read()
        except OSError:
            found = {}
        sent = {key[0]: row[0] for key, row in found.items() if key[1] == OURSELVES}
        return LoadedHellos(sent, {key: row for key, row in found.items() if key[1] != OURSELVES})

    def begin(self, sent: Mapping[str, int]) -> None:
        """Begin to write a file of what was sent, by interface. Raises OSError.

        What was heard is told once: who is heard no more has no slot in the next life.
        """
        self.close()
        self._descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._slots, self._heard = {}, {}
        rows = b"".join(self._claim((n, OURSELVES), (seqno, 0.0, 0.0, False)) for n, seqno in sent.items())
        try:
            # One write, shorter than what is there or as long: a kill before the cut leaves the old slots behind it.
            os.pwrite(self._descriptor, _sealed(HEADER.pack(MAGIC, self.boot_id)) + rows, 0)
            os.ftruncate(self._descriptor, HEADER_SIZE + len(rows))
        except OSError:
            self.close()
            raise

    def put(self, sent: Mapping[str, int], heard: Mapping[Key, HeardRow]) -> None:
        """Write the seqnos of Hellos that are about to leave, by interface, and what was heard. Raises OSError."""
        for name, seqno in sent.items():
            self._write((name, OURSELVES), (seqno, 0.0, 0.0, False))
        for key, row in heard.items():
            self._write(key, row)

    def mark(self, key: Key, answers: bool) -> None:
        """Write whether a neighbour that has a slot answers when its link is probed. Raises OSError."""
        if key in self._slots and self._descriptor is not None:
            at = HEADER_SIZE + self._slots[key] * SLOT_SIZE
            *row, _ = SLOT.unpack_from(os.pread(self._descriptor, SLOT_SIZE, at))
            os.pwrite(self._descriptor, _sealed(SLOT.pack(*row, answers)), at)

    def close(self) -> None:
        """Close the file; nothing is lost by not doing so."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self, key: Key, row: HeardRow) -> None:
        data = self._claim(key, row)
        if data and self._descriptor is not None:
            os.pwrite(self._descriptor, data, HEADER_SIZE + self._slots[key] * SLOT_SIZE)

    def _claim(self, key: Key, row: HeardRow) -> bytes:
        """Return the octets of a slot, which the key has from now on; none where there is no room."""
        name = key[0].encode()
        if len(name) > 16 or (key not in self._slots and not self._find_slot(key)):
            return b""
        if key[1] != OURSELVES:
            self._heard.pop(key, None)
            self._heard[key] = None
        return _sealed(SLOT.pack(name, key[1], *row))

    def _find_slot(self, key: Key) -> bool:
        """Give a key a slot of its own, or that of the neighbour that was heard longest ago; False for none."""
        is_neighbour = key[1] != OURSELVES
        if len(self._slots) < MAX_SLOTS and not (is_neighbour and len(self._heard) >= MAX_NEIGHBOURS):
            self._slots[key] = len(self._slots)
            return True
        if not self._heard:
            return False
        silent = next(iter(self._heard))
        del self._heard[silent]
        self._slots[key] = self._slots.pop(silent)
        return True

    def _read(self) -> dict[Key, HeardRow]:
        try:
            data = read_regular(self.path)
        except FileNotFoundError:
            return {}
        except ValueError:
            self.path.unlink()  # no regular file, which could not be written in place either
            return {}
        if not any(self.boot_id) or data[:HEADER_SIZE] != _sealed(HEADER.pack(MAGIC, self.boot_id)):
            return {}
        found: dict[Key, HeardRow] = {}
        for at in range(HEADER_SIZE, len(data), SLOT_SIZE):
            slot = data[at : at + SLOT_SIZE]
            if _is_intact(slot):
                name, address, *row = SLOT.unpack_from(slot)
                # The first of two counts: what lies behind may be left over from the life before.
                found.setdefault((name.rstrip(b"\0").decode(errors="replace"), address), (*row,))
        return found


def _sealed(data: bytes) -> bytes:
    return data + CHECKSUM.pack(zlib.crc32(data))


def _is_intact(slot: bytes) -> bool:
    body = slot[: -CHECKSUM.size]
    return len(slot) == SLOT_SIZE and slot[-CHECKSUM.size :] == CHECKSUM.pack(zlib.crc32(body))
