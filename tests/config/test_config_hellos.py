"""The file of Hellos: kept over kill -9 in this boot, and never trusted where it is torn."""

import os
from pathlib import Path

import pytest

from babelwg.config.state import HelloFile, LoadedHellos
from babelwg.config.state.hellos import HEADER_SIZE, HELLO_FILE, MAX_NEIGHBOURS, MAX_SLOTS, SLOT_SIZE

BOOT = bytes(range(16))
BOB = bytes.fromhex("fe800000000000000000000000000b0b")
NOTHING = LoadedHellos({}, {})


def opened(directory: Path, boot: bytes = BOOT) -> tuple[HelloFile, LoadedHellos]:
    file = HelloFile(directory, boot)
    found = file.read()
    file.begin(found.sent)
    return file, found


def test_hellos_come_back_without_closing_the_file(tmp_path: Path) -> None:
    first, found = opened(tmp_path)
    assert found == NOTHING
    first.put({"bw-a": 65535, "bw-b": 7}, {("bw-b", BOB): (9, 4.0, 100.5, False)})
    first.put({"bw-a": 0}, {("bw-b", BOB): (10, 4.0, 104.5, True)})
    second, found = opened(tmp_path)
    assert found == LoadedHellos({"bw-a": 0, "bw-b": 7}, {("bw-b", BOB): (10, 4.0, 104.5, True)})
    second.put({"bw-c": 3, "bw-b": 8}, {})
    # Who was not heard since is not known to the life after.
    assert opened(tmp_path)[1] == LoadedHellos({"bw-a": 0, "bw-b": 8, "bw-c": 3}, {})


def test_a_file_of_another_boot_is_begun_anew(tmp_path: Path) -> None:
    first, _ = opened(tmp_path)
    first.put({"bw-a": 5}, {("bw-b", BOB): (9, 4.0, 100.5, False)})
    second, found = opened(tmp_path, bytes(16 * [7]))
    assert found == NOTHING
    second.put({"bw-b": 6}, {})
    assert opened(tmp_path, bytes(16 * [7]))[1] == LoadedHellos({"bw-b": 6}, {})


def test_a_boot_that_is_not_known_is_never_the_same(tmp_path: Path) -> None:
    first, _ = opened(tmp_path, bytes(16))
    first.put({"bw-a": 5}, {})
    assert opened(tmp_path, bytes(16))[1] == NOTHING


def test_a_damaged_slot_is_forgotten_alone(tmp_path: Path) -> None:
    first, _ = opened(tmp_path)
    first.put({"bw-a": 5, "bw-b": 6}, {})
    path = tmp_path / HELLO_FILE
    whole = path.read_bytes()
    for position in range(len(whole)):
        damaged = bytearray(whole)
        damaged[position] ^= 0x40
        path.write_bytes(damaged)
        slot = (position - HEADER_SIZE) // SLOT_SIZE
        kept = {} if slot < 0 else {"bw-a": 5, "bw-b": 6}
        kept.pop(("bw-a", "bw-b")[slot], None)
        assert opened(tmp_path)[1].sent == kept, f"octet {position}"


def test_a_torn_tail_is_forgotten_alone(tmp_path: Path) -> None:
    first, _ = opened(tmp_path)
    first.put({"bw-a": 5, "bw-b": 6}, {})
    os.truncate(tmp_path / HELLO_FILE, HEADER_SIZE + 2 * SLOT_SIZE - 1)
    second, found = opened(tmp_path)
    assert found.sent == {"bw-a": 5}
    second.put({"bw-b": 9}, {})
    assert opened(tmp_path)[1].sent == {"bw-a": 5, "bw-b": 9}


def test_a_kill_while_the_file_is_begun_anew_loses_nothing_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, _ = opened(tmp_path)
    first.put({}, {("bw-a", BOB): (9, 4.0, 100.5, False)})
    first.put({"bw-a": 5, "bw-b": 6}, {})
    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", lambda *_: None)  # killed just before it
        second, _ = opened(tmp_path)
    second.put({"bw-b": 7}, {})
    assert opened(tmp_path)[1].sent == {"bw-a": 5, "bw-b": 7}


def test_the_file_is_private_and_bounded_and_strangers_leave_room_for_us(tmp_path: Path) -> None:
    first, _ = opened(tmp_path)
    strangers = {
        ("lan", number.to_bytes(16, "big")): (1, 4.0, 9.0, True) for number in range(1, MAX_SLOTS + 5)
    }
    first.put({}, strangers)
    path = tmp_path / HELLO_FILE
    assert path.stat().st_size == HEADER_SIZE + MAX_NEIGHBOURS * SLOT_SIZE
    first.put({f"bw-{number}": number for number in range(MAX_SLOTS)}, {})
    assert path.stat().st_size == HEADER_SIZE + MAX_SLOTS * SLOT_SIZE
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(opened(tmp_path)[1].sent) == MAX_SLOTS


def test_who_was_heard_longest_ago_gives_way_to_a_new_neighbour(tmp_path: Path) -> None:
    first, _ = opened(tmp_path)
    keys = [("lan", number.to_bytes(16, "big")) for number in range(1, MAX_NEIGHBOURS + 1)]
    first.put({"lan": 1}, dict.fromkeys(keys, (1, 4.0, 9.0, True)))
    first.put({}, {keys[0]: (2, 4.0, 13.0, True)})
    first.put({}, {("bw-b", BOB): (9, 4.0, 100.5, False)})
    first.mark(keys[1], answers=False)  # has no slot any more
    found = opened(tmp_path)[1]
    assert found.sent == {"lan": 1}
    assert found.heard[keys[0]][0] == 2
    assert found.heard["bw-b", BOB] == (9, 4.0, 100.5, False)
    assert keys[1] not in found.heard
    assert len(found.heard) == MAX_NEIGHBOURS


@pytest.mark.parametrize("kind", ["fifo", "endless"])
def test_what_is_no_file_is_replaced(tmp_path: Path, kind: str) -> None:
    path = tmp_path / HELLO_FILE
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    first, found = opened(tmp_path)
    assert found == NOTHING
    first.put({"bw-a": 5}, {})
    assert opened(tmp_path)[1].sent == {"bw-a": 5}
