"""The journal of the source table: kept over kill -9, lost with a boot or a torn tail."""

import os
from pathlib import Path

import pytest

from babelwg.config.state import Loaded, SourceJournal, SourceRow
from babelwg.config.state.journal import HEADER_SIZE, JOURNAL_FILE, MAX_SIZE, RECORD_SIZE

BOOT = bytes(range(16))
ONE: SourceRow = (6, bytes.fromhex("20010db8") + bytes(12), 32, b"", 0, b"routerid", 5, 96)
TWO: SourceRow = (4, bytes([10, 0, 0, 0]), 8, bytes([10, 1, 0, 0]), 16, b"routerid", 65535, 65535)
GONE: SourceRow = (*ONE[:6], None, None)


def journal(directory: Path, boot: bytes = BOOT) -> SourceJournal:
    return SourceJournal(directory, boot)


def load(journal: SourceJournal) -> Loaded[SourceRow]:
    """Return what a journal holds, which goes on from there."""
    loaded = journal.read()
    journal.begin(loaded.records)
    return loaded


def test_first_start_counts_as_lost(tmp_path: Path) -> None:
    loaded = load(journal(tmp_path))
    assert (loaded.records, loaded.lost) == ((), True)
    assert loaded.reason.endswith("sources.journal: there is none")


def test_records_come_back_without_closing_the_file(tmp_path: Path) -> None:
    first = journal(tmp_path)
    load(first)
    first.append([ONE, TWO])
    first.append([(*ONE[:6], 6, 0)])
    assert load(journal(tmp_path)) == (((*ONE[:6], 6, 0), TWO), False, "")
    first.close()


def test_removed_source_does_not_come_back(tmp_path: Path) -> None:
    first = journal(tmp_path)
    load(first)
    first.append([ONE, TWO, GONE])
    assert load(journal(tmp_path)).records == (TWO,)
    first.close()


def test_sources_of_one_destination_are_kept_apart(tmp_path: Path) -> None:
    specific: SourceRow = (*ONE[:3], ONE[1], 48, b"routerid", 9, 300)
    first = journal(tmp_path)
    load(first)
    first.append([ONE, specific, GONE])
    assert load(journal(tmp_path)).records == (specific,)
    first.close()


def test_a_journal_without_source_prefixes_counts_as_lost(tmp_path: Path) -> None:
    load(journal(tmp_path))
    path = tmp_path / JOURNAL_FILE
    path.write_bytes(path.read_bytes().replace(b"bwg-src2", b"bwg-src1"))
    loaded = load(journal(tmp_path))
    assert (loaded.records, loaded.lost) == ((), True)
    assert loaded.reason.endswith("an earlier version wrote it, without source prefixes")


def test_new_boot_counts_as_lost(tmp_path: Path) -> None:
    first = journal(tmp_path)
    load(first)
    first.append([ONE])
    first.close()
    loaded = load(journal(tmp_path, bytes(15) + b"\1"))
    assert (loaded.records, loaded.lost) == ((), True)
    assert "started anew" in loaded.reason


def test_unknown_boot_counts_as_lost(tmp_path: Path) -> None:
    load(journal(tmp_path, bytes(16)))
    assert load(journal(tmp_path, bytes(16))).lost


@pytest.mark.parametrize("cut", [1, RECORD_SIZE - 1, RECORD_SIZE + 3, 2 * RECORD_SIZE + 1])
def test_torn_tail_counts_as_lost(tmp_path: Path, cut: int) -> None:
    first = journal(tmp_path)
    load(first)
    first.append([ONE, TWO])
    first.close()
    path = tmp_path / JOURNAL_FILE
    os.truncate(path, path.stat().st_size - cut)
    loaded = load(journal(tmp_path))
    assert (loaded.records, loaded.lost) == ((), True)
    assert "torn" in loaded.reason


def test_any_changed_octet_counts_as_lost(tmp_path: Path) -> None:
    first = journal(tmp_path)
    load(first)
    first.append([ONE])
    first.close()
    path = tmp_path / JOURNAL_FILE
    whole = path.read_bytes()
    assert len(whole) == HEADER_SIZE + RECORD_SIZE
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x40
        path.write_bytes(damaged)
        assert load(journal(tmp_path)).lost, f"octet {position}"


def test_compaction_keeps_what_lives_and_shrinks_the_file(tmp_path: Path) -> None:
    first = journal(tmp_path)
    load(first)
    for seqno in range(5000):
        first.append([(*ONE[:6], seqno, 96)])
    assert first.needs_compaction(live=1)
    assert not first.needs_compaction(live=5000)
    first.compact([(*ONE[:6], 4999, 96)])
    first.append([TWO])
    first.fsync()
    assert (tmp_path / JOURNAL_FILE).stat().st_size == HEADER_SIZE + 2 * RECORD_SIZE
    assert load(journal(tmp_path)).records == ((*ONE[:6], 4999, 96), TWO)
    first.close()


def test_failed_write_leaves_a_journal_that_nobody_trusts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = journal(tmp_path)
    load(first)
    first.append([ONE])

    def refuse(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refuse)
        with pytest.raises(OSError):
            first.append([TWO])
    assert not first.is_open
    first.append([TWO])
    assert load(journal(tmp_path)).lost


def test_a_journal_that_can_be_neither_written_nor_emptied_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = journal(tmp_path)
    load(first)
    first.append([ONE])

    def refuse(*arguments: object) -> int:
        raise OSError(30, "Read-only file system")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", refuse)
        patch.setattr(os, "truncate", refuse)
        with pytest.raises(OSError, match="Read-only"):
            first.append([TWO])
    assert first.is_stale
    assert journal(tmp_path).read().records == (ONE,)
    first.begin([TWO])
    assert not first.is_stale


def test_journal_is_private(tmp_path: Path) -> None:
    first = journal(tmp_path)
    load(first)
    assert (tmp_path / JOURNAL_FILE).stat().st_mode & 0o777 == 0o600
    first.close()


@pytest.mark.parametrize("kind", ["fifo", "endless", "large"])
def test_what_is_no_journal_is_lost_and_replaced_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / JOURNAL_FILE
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "endless":
        path.symlink_to("/dev/zero")
    else:
        path.touch()
        os.truncate(path, MAX_SIZE + 1)
    first = journal(tmp_path)
    loaded = load(first)
    assert (loaded.records, loaded.lost) == ((), True)
    assert loaded.reason.endswith("is larger than 256 MiB" if kind == "large" else "is not a regular file")
    first.append([ONE])
    first.close()
    assert path.is_file()
    assert not path.is_symlink()
    assert load(journal(tmp_path)).records == (ONE,)
