"""The identity of a node over restarts, lost files and copied disks."""

from pathlib import Path

import pytest

from babelwg.babel.wire.seqno import seqno_lt
from babelwg.config.state import State
from babelwg.config.state.identity import STATE_FILE, is_reserved


@pytest.mark.conformance("B3-1")
def test_first_start_draws_a_router_id_and_says_so(tmp_path: Path) -> None:
    state, lost, reasons = State.load(tmp_path)
    assert lost
    assert len(reasons) == 1
    assert reasons[0].endswith("state.json: no such file; the router-id is new")
    assert len(state.router_id) == 8
    assert state.router_id != State.load(tmp_path).state.router_id


def test_state_comes_back_as_it_was_saved(tmp_path: Path) -> None:
    state = State.new("key")
    state.reserve(7)
    state.hello_seqnos["bw-bravo"] = 65535
    state.ports["bw-bravo"] = 51821
    state.interfaces["key of bravo"] = "bw-bravo"
    state.save(tmp_path / "new")
    loaded, lost, reasons = State.load(tmp_path / "new", "key")
    assert (loaded, lost, reasons) == (state, False, ())


def test_state_file_is_private_and_leaves_no_other_file(tmp_path: Path) -> None:
    State.new().save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [STATE_FILE]
    assert (tmp_path / STATE_FILE).stat().st_mode & 0o777 == 0o600


def test_state_of_another_node_gives_a_new_router_id(tmp_path: Path) -> None:
    state = State.new("one")
    state.save(tmp_path)
    loaded, lost, reasons = State.load(tmp_path, "other")
    assert lost
    assert loaded.router_id != state.router_id
    assert "is of another node" in reasons[0]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "[" * 100_000,
        '{"schema": "babelwg-state/2"}',
        '{"schema": "babelwg-state/1", "router_id": "00"}',
        '{"schema": "babelwg-state/1", "router_id": "0000000000000000"}',
        '{"schema": "babelwg-state/1", "router_id": "0102030405060708", "seqno_limit": -1}',
        '{"schema": "babelwg-state/1", "router_id": "0102030405060708", "seqno_limit": true}',
        '{"schema": "babelwg-state/1", "router_id": "0102030405060708", "seqno_limit": 1, "hello_seqnos": 3}',
    ],
)
def test_file_that_is_torn_or_foreign_gives_a_new_router_id(tmp_path: Path, text: str) -> None:
    (tmp_path / STATE_FILE).write_text(text)
    state, lost, reasons = State.load(tmp_path)
    assert lost
    assert len(reasons) == 1
    assert state.router_id.hex() != "0102030405060708"


def test_seqnos_are_reserved_in_blocks_of_sixteen() -> None:
    state = State.new()
    assert state.reserve(0)
    assert state.seqno_limit == 16
    assert [state.reserve(seqno) for seqno in range(8)] == [False] * 8
    assert state.reserve(8)  # ahead of need: half of them are used
    assert state.seqno_limit == 24
    assert state.reserve(40)
    assert state.seqno_limit == 56


def test_seqno_after_a_crash_is_one_that_was_never_sent(tmp_path: Path) -> None:
    state = State.new()
    for seqno in range(65530, 65536 + 5):
        if state.reserve(seqno % 65536):
            state.save(tmp_path)
    restored = State.load(tmp_path).state.seqno_limit
    # 65536 + 4 was the last one sent, and sequence numbers go round.
    assert 1 <= (restored - 4) % 65536 <= 16


@pytest.mark.parametrize("distance", [0, 1, 16, 0x7FFF, 0x8000, 0x8001, 0xFFFF])
def test_what_is_reserved_is_what_the_speaker_may_use(distance: int) -> None:
    for seqno in (0, 5, 0x8000, 0xFFFF):
        limit = (seqno + distance) % 0x10000
        assert is_reserved(seqno, limit) == seqno_lt(seqno, limit)
