"""The file of Hello seqnos: kept over kill -9 in this boot, and never trusted where it is torn."""

import os
from pathlib import Path

import pytest

from babelwg.config.state import HelloFile, SentHello
from babelwg.config.state.hellos import HEADER_SIZE, HELLO_FILE, MAX_SLOTS, SLOT_SIZE

BOOT = bytes(range(16))


def opened(directory: Path, boot: bytes = BOOT) -> tuple[HelloFile, dict[str, SentHello]]:
    file = HelloFile(directory, boot)
    return file, file.load()


def test_seqnos_come_back_without_closing_the_file(tmp_path: Path) -> None:
    first, found = opened(tmp_path)
    assert found == {}
    first.put({"bw-a": 65535, "bw-b": 7}, 1.5)
    first.put({"bw-a": 0}, 2.5)
    second, found = opened(tmp_path)
    assert found == {"bw-a": SentHello(0, 2.5), "bw-b": SentHello(7, 1.5)}
    # Read again they keep their places, and a new interface takes none of them.
    second.put({"bw-c": 3, "bw-b": 8}, 3.5)
    _, found = opened(tmp_path)
    assert found == {"bw-a": SentHello(0, 2.5), "bw-b": SentHello(8, 3.5), "bw-c": SentHello(3, 3.5)}


def test_a_file_of_another_boot_is_begun_anew(tmp_path: Path) -> None:
    first, _ = opened(tmp_path)
    first.put({"bw-a": 5}, 1.0)
    second, found = opened(tmp_path, bytes(16 * [7]))
    assert found == {}
    second.put({"bw-b": 6}, 2.0)
    assert opened(tmp_path, bytes(16 * [7]))[1] == {"bw-b": SentHello(6, 2.0)}


def test_a_boot_that_is_not_known_is_never_the_same(tmp_path: Path) -> None:
    first, _ = opened(tmp_path, bytes(16))
    first.put({"bw-a": 5}, 1.0)
    assert opened(tmp_path, bytes(16))[1] == {}


def test_a_damaged_slot_is_forgotten_alone(tmp_path: Path) -> None:
    first, _ = opened(tmp_path)
    first.put({"bw-a": 5, "bw-b": 6}, 1.0)
    path = tmp_path / HELLO_FILE
    whole = path.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x40
        path.write_bytes(damaged)
        found = HelloFile(tmp_path, BOOT).load()
        slot = (position - HEADER_SIZE) // SLOT_SIZE
        kept = {} if slot < 0 else {"bw-a": 5, "bw-b": 6}
        kept.pop(("bw-a", "bw-b")[slot], None)
        assert {name: sent.seqno for name, sent in found.items()} == kept, f"octet {position}"
        path.unlink()


def test_a_torn_tail_is_forgotten_alone(tmp_path: Path) -> None:
    first, _ = opened(tmp_path)
    first.put({"bw-a": 5, "bw-b": 6}, 1.0)
    os.truncate(tmp_path / HELLO_FILE, HEADER_SIZE + 2 * SLOT_SIZE - 1)
    second, found = opened(tmp_path)
    assert list(found) == ["bw-a"]
    second.put({"bw-b": 9}, 2.0)
    assert opened(tmp_path)[1]["bw-b"].seqno == 9


def test_the_file_is_private_and_bounded(tmp_path: Path) -> None:
    first, _ = opened(tmp_path)
    for number in range(MAX_SLOTS + 5):
        first.put({f"bw-{number}": number}, 1.0)
    path = tmp_path / HELLO_FILE
    assert path.stat().st_size == HEADER_SIZE + MAX_SLOTS * SLOT_SIZE
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("kind", ["fifo", "endless"])
def test_what_is_no_file_is_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / HELLO_FILE
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    first, found = opened(tmp_path)
    assert found == {}
    first.put({"bw-a": 5}, 1.0)
    assert opened(tmp_path)[1] == {"bw-a": SentHello(5, 1.0)}
