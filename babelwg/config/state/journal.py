"""Tables as journals: the source table, written before a datagram leaves, so that it survives kill -9.

The file is a header (magic, boot id, checksum) and records of one size, each with its own checksum. A new
boot may have lost what the page cache held, so such a journal counts as lost, like a torn or a missing one.
"""

import contextlib
import os
import stat
import struct
import uuid
import zlib
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Generic, NamedTuple, TypeVar

from babelwg.config.files import write_whole

JOURNAL_FILE = "sources.journal"
MAGIC = b"bwg-src2"
OLD_MAGIC = b"bwg-src1"  # of records without source prefixes
BOOT_ID_FILE = Path("/proc/sys/kernel/random/boot_id")
HEADER = struct.Struct("!8s16s")
RECORD = struct.Struct("!BB16sB16s8sBHH")
CHECKSUM = struct.Struct("!I")
HEADER_SIZE = HEADER.size + CHECKSUM.size
RECORD_SIZE = RECORD.size + CHECKSUM.size
MIN_COMPACTION = 4096  # records below which rewriting the file is not worth it
COMPACTION_FACTOR = 4  # records in the file for each live one
MAX_SIZE = 256 << 20  # octets
MAX_LATE = 1 << 16  # records that come while a new file is written, which is given up when there are more

# Family, packed network, plen, packed source network and its plen, router-id, seqno, metric; an ordinary prefix has
# an empty source network, and seqno and metric are None for a source that is gone.
SourceRow = tuple[int, bytes, int, bytes, int, bytes, int | None, int | None]
KEY_FIELDS = 6

Row = TypeVar("Row", bound=tuple[Any, ...])
Wait = Callable[[Callable[[], None]], None]


def _at_once(action: Callable[[], None]) -> None:
    action()


class Loaded(NamedTuple, Generic[Row]):
    """The live rows, whether the memory of them is lost, and why."""

    records: tuple[Row, ...]
    lost: bool
    reason: str


class Journal(Generic[Row]):
    """The journal of one table; `read` and `begin` first, then `append` before others hear of a change.

    Of the rows with the same key, their first `KEY_FIELDS`, the last counts; with None after the key it is gone.
    """

    FILE: ClassVar[str]
    MAGIC: ClassVar[bytes]
    RECORD: ClassVar[struct.Struct]
    KEY_FIELDS: ClassVar[int]

    def __init__(self, directory: Path, boot_id: bytes | None = None) -> None:
        self.path = directory / self.FILE
        self.boot_id = read_boot_id() if boot_id is None else boot_id
        self.length = 0  # records in the file
        self.is_stale = False  # what the file tells is out of date, and it could not be emptied
        self._descriptor: int | None = None
        self._draft = self.path.with_name(f".{self.FILE}.new")
        self._late: list[Row] | None = None  # what was appended since the rows of a draft were taken

    @property
    def is_open(self) -> bool:
        """Whether records reach the file; after a failed write only `compact` opens it again."""
        return self._descriptor is not None

    def pack(self, row: Row) -> bytes:
        """Return the octets of a row."""
        raise NotImplementedError

    def unpack(self, fields: tuple[Any, ...]) -> Row:
        """Return the row of a record's fields; raises ValueError."""
        raise NotImplementedError

    def read(self) -> Loaded[Row]:
        """Return what an earlier run of this boot knew."""
        try:
            return Loaded(tuple(self._latest(self._read())), False, "")
        except FileNotFoundError:
            return Loaded((), True, f"{self.path}: there is none")
        except OSError as error:
            return Loaded((), True, f"{self.path}: {error.strerror or error}")
        except ValueError as error:
            return Loaded((), True, f"{self.path}: {error}")

    def begin(self, records: Iterable[Row], wait: Wait = _at_once) -> None:
        """Begin to append to a file of just these records. Raises OSError, after which a restart finds it lost."""
        try:
            self.compact(records, wait)
        except OSError:
            self._empty(self.path)
            raise

    def append(self, records: Iterable[Row]) -> None:
        """Write records at once. Raises OSError, after which a restart finds the journal lost."""
        rows = list(records)
        if self._late is not None:
            self._late = self._late + rows if len(self._late) + len(rows) <= MAX_LATE else None
        if not rows or self._descriptor is None:
            return
        try:
            self._write(self._descriptor, rows)
        except OSError:
            self._give_up()
            raise
        self.length += len(rows)

    def needs_compaction(self, live: int) -> bool:
        """Return whether the file holds many more records than there are live sources."""
        return self.length > max(MIN_COMPACTION, COMPACTION_FACTOR * live)

    def compact(self, records: Iterable[Row], wait: Wait = _at_once) -> None:
        """Replace the file by one that holds just these records, then append to it. Raises OSError.

        `wait` does what the disk is waited for, and may raise OSError where that takes too long.
        """
        rows = self.begin_draft(records)
        try:
            wait(partial(self.write_draft, rows))
            self.take_draft(len(rows))
        finally:
            self.drop_draft()

    def begin_draft(self, records: Iterable[Row]) -> list[Row]:
        """Return the rows of a new file, to which belongs also what is appended until it is taken."""
        self._late = []
        return list(records)

    def write_draft(self, rows: list[Row]) -> None:
        """Write a new file beside the old one, and wait for the disk; may run in a thread. Raises OSError."""
        self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_whole(self._draft, self._header() + b"".join(_sealed(self.pack(row)) for row in rows))

    def take_draft(self, length: int) -> None:
        """Go on with the new file, of `length` rows and what was appended meanwhile. Raises OSError."""
        if (late := self._late) is None:
            return  # there was too much of it
        descriptor = os.open(self._draft, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC)
        try:
            self._write(descriptor, late)
            self._draft.replace(self.path)
        except OSError:
            os.close(descriptor)
            raise
        self.close()
        self._descriptor, self._late = descriptor, None
        self.is_stale = False
        self.length = length + len(late)

    def drop_draft(self) -> None:
        """Forget a new file that was not taken."""
        self._late = None
        with contextlib.suppress(OSError):  # then it stays until the next one is written
            self._draft.unlink(missing_ok=True)

    def fsync(self) -> None:
        """Wait until the disk holds what was written; may run in a thread."""
        descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        """Close the file; nothing is lost by not doing so."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self, descriptor: int, rows: Iterable[Row]) -> None:
        data = b"".join(_sealed(self.pack(row)) for row in rows)
        written = os.write(descriptor, data) if data else 0
        while written < len(data):
            written += os.write(descriptor, data[written:])

    def _read(self) -> list[Row]:
        data = read_regular(self.path)
        header, size = data[:HEADER_SIZE], self.RECORD.size + CHECKSUM.size
        if header.startswith(OLD_MAGIC):
            raise ValueError("an earlier version wrote it, without source prefixes")
        if len(header) < HEADER_SIZE or not _is_intact(header) or not header.startswith(self.MAGIC):
            raise ValueError("its header is torn or foreign")
        if not any(self.boot_id) or header != self._header():
            raise ValueError("the machine was started anew since")
        if (len(data) - HEADER_SIZE) % size:
            raise ValueError("its last record is torn")
        return [self._read_record(data[at : at + size]) for at in range(HEADER_SIZE, len(data), size)]

    def _read_record(self, record: bytes) -> Row:
        if not _is_intact(record):
            raise ValueError("a record of it is torn")
        return self.unpack(self.RECORD.unpack_from(record))

    def _latest(self, records: Iterable[Row]) -> list[Row]:
        live: dict[tuple[object, ...], Row] = {}
        for record in records:
            key = record[: self.KEY_FIELDS]
            if record[self.KEY_FIELDS] is None:
                live.pop(key, None)
            else:
                live[key] = record
        return list(live.values())

    def _header(self) -> bytes:
        return _sealed(HEADER.pack(self.MAGIC, self.boot_id))

    def _give_up(self) -> None:
        assert self._descriptor is not None, "a journal that is closed is not written"
        self._empty(self._descriptor)
        self.close()

    def _empty(self, file: int | Path) -> None:
        # An empty file reads as torn, so nobody trusts a table with a hole; this works on a full disk too.
        try:
            os.truncate(file, 0)
        except FileNotFoundError:
            return
        except OSError:
            self.is_stale = True


class SourceJournal(Journal[SourceRow]):
    """The journal of the source table."""

    FILE = JOURNAL_FILE
    MAGIC = MAGIC
    RECORD = RECORD
    KEY_FIELDS = KEY_FIELDS

    def pack(self, row: SourceRow) -> bytes:
        family, network, plen, source, source_plen, router_id, seqno, metric = row
        present = seqno is not None
        return RECORD.pack(
            family, plen, network, source_plen, source, router_id, present, seqno or 0, metric or 0
        )

    def unpack(self, fields: tuple[Any, ...]) -> SourceRow:
        family, plen, network, source_plen, source, router_id, present, seqno, metric = fields
        known = (seqno, metric) if present else (None, None)
        network, source = cut_networks(family, network, source, source_plen)
        return family, network, plen, source, source_plen, router_id, *known


def cut_networks(family: int, network: bytes, source: bytes, source_plen: int) -> tuple[bytes, bytes]:
    """Return a network and a source network as long as those of a family are; raises ValueError."""
    if family not in (4, 6):
        raise ValueError(f"a record of it has address family {family}")
    size = 4 if family == 4 else 16
    return network[:size], source[:size] if source_plen else b""


def read_boot_id() -> bytes:
    """Return the 16 octets that name this boot, or zeros where the kernel does not tell."""
    try:
        return uuid.UUID(BOOT_ID_FILE.read_text().strip()).bytes
    except (OSError, ValueError):
        return bytes(16)


def read_regular(path: Path) -> bytes:
    """Return what a regular file holds; of anything else a reader might wait for ever, or never see the end."""
    with os.fdopen(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ValueError("is not a regular file")
        data = file.read(MAX_SIZE + 1)
    if len(data) > MAX_SIZE:
        raise ValueError(f"is larger than {MAX_SIZE >> 20} MiB")
    return data


def _sealed(data: bytes) -> bytes:
    return data + CHECKSUM.pack(zlib.crc32(data))


def _is_intact(data: bytes) -> bool:
    return data[-CHECKSUM.size :] == CHECKSUM.pack(zlib.crc32(data[: -CHECKSUM.size]))
