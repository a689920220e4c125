"""What the daemon remembers, over restarts, lost files and failing disks."""

import asyncio
import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from babelwg.babel.memory import Chosen, Heard, RouteRecord, SourceRecord
from babelwg.babel.snapshot import SourceView
from babelwg.babel.wire.prefix import Prefix
from babelwg.babel.wire.seqno import seqno_lt
from babelwg.daemon.store import Store

NET = Prefix.parse("2001:db8::/32")
OTHER = Prefix.parse("10.1.0.0/16")
ROUTER = b"\2" * 8


def reopened(directory: Path, old: Store) -> Store:
    """Return what the next life finds, without a farewell of the last one."""
    old.close()
    return Store(directory, "key")


def test_a_first_start_has_lost_everything_and_draws_a_router_id(tmp_path: Path) -> None:
    store = Store(tmp_path, "key")
    assert store.memory().lost
    assert len(store.router_id) == 8
    again = reopened(tmp_path, store)
    assert again.router_id == store.router_id
    assert not again.memory().lost
    again.close()


def test_sources_survive_in_their_last_state(tmp_path: Path) -> None:
    store = Store(tmp_path, "key")
    store.remember([SourceRecord(NET, ROUTER, 5, 96), SourceRecord(OTHER, ROUTER, 1, 0)])
    store.remember([SourceRecord(NET, ROUTER, 6, 200), SourceRecord(OTHER, ROUTER, None, None)])
    again = reopened(tmp_path, store)
    assert again.memory().sources == (SourceRecord(NET, ROUTER, 6, 200),)
    again.close()


@pytest.mark.conformance("SS3.1-1")
def test_sources_with_a_source_prefix_survive_beside_those_without(tmp_path: Path) -> None:
    records = [
        SourceRecord(NET, ROUTER, 5, 96),
        SourceRecord(NET.with_source(Prefix.parse("2001:db8:7::/48")), ROUTER, 6, 192),
        SourceRecord(OTHER.with_source(Prefix.parse("10.7.0.0/16")), ROUTER, 7, 288),
    ]
    store = Store(tmp_path, "key")
    store.remember(records)
    again = reopened(tmp_path, store)
    assert again.memory().sources == tuple(records)
    asyncio.run(again.tidy(len(records), lambda: [SourceView(*record, 0.0) for record in records]))
    third = reopened(tmp_path, again)
    assert third.memory().sources == tuple(records)
    third.close()


def test_hellos_go_on_where_a_killed_life_left_off(tmp_path: Path) -> None:
    store = Store(tmp_path, "key")
    asyncio.run(store.save({"bw-a": 100, "bw-b": 7}))  # the latest checkpoint
    bob, carol = ("bw-b", ROUTER * 2), ("bw-c", ROUTER * 2)
    store.remember_hellos({"bw-a": 130}, {bob: Heard(9, 4.0, 70.0), carol: Heard(8, 4.0, 66.0)})
    assert not store.answers(bob)
    store.remember_answers(bob, answers=True)
    store.remember_answers(carol, answers=True)
    store.remember_hellos({}, {bob: Heard(9, 4.0, 77.5)})
    store.remember_answers(carol, answers=False)
    store.remember_answers(("bw-d", ROUTER * 2), answers=True)  # of whom nothing was heard
    again = reopened(tmp_path, store)
    assert again.memory().hello_seqnos == {"bw-a": 130, "bw-b": 7}
    assert again.memory().heard == {bob: Heard(9, 4.0, 77.5), carol: Heard(8, 4.0, 66.0)}
    assert again.answers(bob) and not again.answers(carol)
    assert not again.answers(("bw-d", ROUTER * 2))
    again.close()


def test_selected_routes_come_back_once_in_their_last_state(tmp_path: Path) -> None:
    chosen = Chosen("bw-a", ROUTER * 2, ROUTER * 2, ROUTER, 5, 96, 110, 16.0, 1234.5)
    specific = NET.with_source(Prefix.parse("2001:db8:7::/48"))
    routes = [RouteRecord(NET, chosen), RouteRecord(specific, chosen), RouteRecord(OTHER, chosen)]
    store = Store(tmp_path, "key")
    store.remember_routes(routes)
    store.remember_routes([RouteRecord(OTHER, chosen._replace(next_hop=bytes(4))), RouteRecord(NET, None)])
    again = reopened(tmp_path, store)
    kept = (RouteRecord(specific, chosen), RouteRecord(OTHER, chosen._replace(next_hop=bytes(4))))
    assert again.memory().routes == kept
    # What does not come to life again must not do so in the life after, whose sources may be others.
    again.remember_routes(kept[:1])
    third = reopened(tmp_path, again)
    assert third.memory().routes == kept[:1]
    third.close()


def test_selected_routes_are_forgotten_with_the_identity(tmp_path: Path) -> None:
    chosen = Chosen("bw-a", ROUTER * 2, ROUTER * 2, ROUTER, 5, 96, 110, 16.0, 1234.5)
    store = Store(tmp_path, "key")
    store.remember_routes([RouteRecord(NET, chosen)])
    store.close()
    (tmp_path / "state.json").unlink()
    again = Store(tmp_path, "key")
    assert again.memory().routes == ()
    again.close()


def test_the_journal_of_routes_is_kept_short(tmp_path: Path) -> None:
    chosen = Chosen("bw-a", ROUTER * 2, ROUTER * 2, ROUTER, 5, 96, 110, 16.0, 1234.5)
    store = Store(tmp_path, "key")
    path = tmp_path / "routes.journal"
    for seqno in range(5000):
        store.remember_routes([RouteRecord(NET, chosen._replace(seqno=seqno))])
    before = path.stat().st_size
    last = RouteRecord(NET, chosen._replace(seqno=4999))
    asyncio.run(store.tidy_routes(1, lambda: [last]))
    assert path.stat().st_size < before / 1000
    again = reopened(tmp_path, store)
    assert again.memory().routes == (last,)
    again.close()


def test_no_seqno_is_ever_used_twice(tmp_path: Path) -> None:
    store = Store(tmp_path, "key")
    used = store.memory().seqno
    for seqno in range(used + 1, used + 40):
        store.reserve(seqno)
    again = reopened(tmp_path, store)
    assert again.memory().seqno >= used + 40
    assert again.memory().seqno <= used + 40 + 16
    third = reopened(tmp_path, again)
    assert third.memory().seqno > again.memory().seqno
    third.close()


def test_another_key_is_another_node(tmp_path: Path) -> None:
    store = Store(tmp_path, "key")
    store.close()
    other = Store(tmp_path, "another key")
    assert other.router_id != store.router_id
    other.close()


def test_ports_are_shared_or_next_and_stay(tmp_path: Path) -> None:
    store = Store(tmp_path, "key")
    names = ["bw-a", "bw-b", "bw-c"]
    assert store.ports(names, set(names), 51820) == dict.fromkeys(names, 51820)
    alone = store.ports(names, set(), 40820)
    assert alone["bw-a"] == 40820
    assert 40820 < alone["bw-b"] < alone["bw-c"]
    again = reopened(tmp_path, store)
    assert again.ports([*names, "bw-d"], set(), 40820) | alone == again.ports([*names, "bw-d"], set(), 40820)
    again.close()


def test_adding_and_removing_a_peer_moves_no_port(tmp_path: Path) -> None:
    store = Store(tmp_path, "key")
    first = store.ports(["bw-b", "bw-c"], set(), 41820)
    assert first["bw-b"] == 41820
    more = store.ports(["bw-a", "bw-b", "bw-c"], set(), 41820)
    assert {name: more[name] for name in first} == first
    store = reopened(tmp_path, store)
    less = store.ports(["bw-a", "bw-c"], set(), 41820)
    assert less == {"bw-a": more["bw-a"], "bw-c": more["bw-c"]}
    assert store.ports(["bw-a", "bw-c", "bw-d"], set(), 41820) == less | {"bw-d": 41820}
    store.close()


def test_another_listen_port_moves_the_tunnel_that_has_it(tmp_path: Path) -> None:
    store = Store(tmp_path, "key")
    store.ports(["bw-b"], set(), 41820)
    before = store.ports(["bw-a", "bw-b"], set(), 41820)
    store = reopened(tmp_path, store)
    assert store.ports(["bw-a", "bw-b"], set(), 43820) == {"bw-a": before["bw-a"], "bw-b": 43820}
    store.close()


def test_tunnels_are_remembered_until_they_are_gone(tmp_path: Path) -> None:
    store = Store(tmp_path, "key")
    asyncio.run(store.add_tunnel("bw-a", "embedded"))
    asyncio.run(store.add_tunnel("bw-b", "kernel"))
    store.drop_tunnel("bw-b")
    again = reopened(tmp_path, store)
    assert again.tunnels() == {"bw-a": "embedded"}
    again.close()


def test_a_disk_that_fails_is_counted_and_the_next_life_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = Store(tmp_path, "key")

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("os.write", full)
        store.remember([SourceRecord(NET, ROUTER, 5, 96)])
    store.remember([SourceRecord(OTHER, ROUTER, 5, 96)])
    assert store.counters == {"store_failed.journal": 1}
    assert "No space left on device" in caplog.text
    again = reopened(tmp_path, store)
    assert again.memory().lost
    with monkeypatch.context() as patch:
        patch.setattr("os.write", full)
        again.remember([SourceRecord(NET, ROUTER, 5, 96)])
    asyncio.run(again.tidy(1, lambda: [SourceView(NET, ROUTER, 5, 96, 0.0)]))
    third = reopened(tmp_path, again)
    assert not third.memory().lost
    assert third.memory().sources == (SourceRecord(NET, ROUTER, 5, 96),)
    third.close()


@contextmanager
def failing_disk(monkeypatch: pytest.MonkeyPatch, number: int) -> Iterator[None]:
    """Refuse all new files; a full disk (ENOSPC) lets old ones be made shorter, a read-only one does not."""

    def refuse(*arguments: object) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as patch:
        patch.setattr("babelwg.config.files.create", refuse)
        patch.setattr("os.write", refuse)
        if number != errno.ENOSPC:
            patch.setattr("os.truncate", refuse)
            patch.setattr("os.pwrite", refuse)
        yield


CHOSEN = Chosen("bw-a", ROUTER * 2, ROUTER * 2, ROUTER, 5, 96, 110, 16.0, 1234.5)


def killed(directory: Path) -> Store:
    """Return a life that has told something and was killed."""
    store = Store(directory, "key", doubt=directory.with_suffix(".doubt"))
    store.remember([SourceRecord(NET, ROUTER, 5, 96)])
    store.remember_routes([RouteRecord(NET, CHOSEN)])
    store.remember_hellos({"bw-a": 30}, {})
    store.close()
    return store


def test_a_full_disk_at_start_costs_the_router_id_and_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    first = killed(tmp_path)
    with failing_disk(monkeypatch, errno.ENOSPC):
        second = Store(tmp_path, "key")
        assert second.router_id != first.router_id
        assert second.identity(b"\7" * 8) == second.router_id
        memory = second.memory()
        assert (memory.lost, memory.sources) == (False, (SourceRecord(NET, ROUTER, 5, 96),))
        assert memory.routes == (RouteRecord(NET, CHOSEN),)
        assert memory.hello_seqnos == {"bw-a": 30}
        assert second.counters == {f"store_failed.{what}": 1 for what in ("state", "journal", "routes")}
        asyncio.run(second.save({"bw-a": 31}))
        assert second.counters["store_failed.state"] == 2
        assert second.failing.keys() == {"state", "journal", "routes"}
        second.close()
    assert "router-id-new" in caplog.text
    assert caplog.text.count("store-failed state") == 1
    # The life after finds the old router-id, whose seqnos nobody used meanwhile, and no sources that are out of date.
    third = Store(tmp_path, "key")
    assert third.router_id == first.router_id
    assert third.memory().seqno == memory.seqno
    assert third.memory().lost
    assert third.identity(b"\7" * 8) == b"\7" * 8
    third.close()


def test_all_is_kept_again_from_when_the_disk_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    killed(tmp_path)
    with failing_disk(monkeypatch, errno.EROFS):
        second = Store(tmp_path, "key")
        assert second.failing.keys() == {"state", "hellos", "journal", "routes"}
    second.reserve(second.memory().seqno + 20)
    asyncio.run(second.save({"bw-a": 40}))
    asyncio.run(second.tidy(1, lambda: [SourceView(OTHER, ROUTER, 6, 96, 0.0)]))
    asyncio.run(second.tidy_routes(1, lambda: [RouteRecord(OTHER, CHOSEN)]))
    assert not second.failing
    second.remember_hellos({"bw-a": 41}, {})
    third = reopened(tmp_path, second)
    assert third.router_id == second.router_id
    assert third.memory().seqno > second.memory().seqno + 20
    assert third.memory().sources == (SourceRecord(OTHER, ROUTER, 6, 96),)
    assert third.memory().routes == (RouteRecord(OTHER, CHOSEN),)
    assert third.memory().hello_seqnos == {"bw-a": 41}
    third.close()


@pytest.mark.parametrize("during", ["start", "life"])
def test_what_could_be_neither_written_nor_emptied_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, during: str
) -> None:
    directory, doubt = tmp_path / "state", tmp_path / "state.doubt"
    killed(directory)
    second = Store(directory, "key", doubt=doubt) if during == "life" else None
    with failing_disk(monkeypatch, errno.EROFS):
        second = second or Store(directory, "key", doubt=doubt)
        assert second.memory().lost is (during == "start")
        second.remember([SourceRecord(NET, ROUTER, 6, 96)])
        second.close()
    assert doubt.exists()
    third = Store(directory, "key", doubt=doubt)
    assert third.memory().lost
    assert third.memory().routes == ()
    assert not doubt.exists()
    third.close()
    fourth = Store(directory, "key", doubt=doubt)
    assert not fourth.memory().lost
    fourth.close()


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS])
def test_seqnos_that_could_not_be_reserved_are_never_used_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, caplog: pytest.LogCaptureFixture
) -> None:
    directory, doubt = tmp_path / "state", tmp_path / "state.doubt"
    first = Store(directory, "key", doubt=doubt)
    used = first.memory().seqno
    with failing_disk(monkeypatch, number):
        for seqno in range(used + 1, used + 16):
            first.reserve(seqno)
        assert not doubt.exists()  # those are reserved
        for seqno in range(used + 16, used + 41):
            first.reserve(seqno)
            assert doubt.exists()  # before it leaves
        first.close()
    second = Store(directory, "key", doubt=doubt)
    assert second.router_id != first.router_id
    assert seqno_lt(used + 40, second.memory(ROUTER).seqno), "also where the router-id is configured"
    assert "router-id-new" in caplog.text
    assert not second.memory().lost  # the journal tells what is true
    assert not doubt.exists()
    second.close()
    third = Store(directory, "key", doubt=doubt)
    assert third.router_id == second.router_id
    third.close()


def test_what_a_life_left_word_of_counts_until_something_takes_the_place_of_its_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, doubt = tmp_path / "state", tmp_path / "state.doubt"
    first = Store(directory, "key", doubt=doubt)
    with failing_disk(monkeypatch, errno.ENOSPC):
        first.reserve(first.memory().seqno + 30)
        first.close()
        second = Store(directory, "key", doubt=doubt)
        second.close()
        assert "seqnos" in doubt.read_text()
    third = Store(directory, "key", doubt=doubt)
    assert third.router_id not in (first.router_id, second.router_id)
    assert not doubt.exists()
    third.close()


def test_seqnos_are_reserved_again_from_when_the_disk_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory, doubt = tmp_path / "state", tmp_path / "state.doubt"
    first = Store(directory, "key", doubt=doubt)
    used = first.memory().seqno
    with failing_disk(monkeypatch, errno.ENOSPC):
        for seqno in range(used + 1, used + 30):
            first.reserve(seqno)
        asyncio.run(first.save({"bw-a": 7}))  # behind all attempts
        assert doubt.exists()
    asyncio.run(first.save({"bw-a": 7}))
    assert not doubt.exists()
    first.reserve(used + 30)
    second = reopened(directory, first)
    assert second.router_id == first.router_id
    assert second.memory().seqno > used + 30
    second.close()


def test_a_life_begins_above_all_that_was_announced_under_its_router_id(tmp_path: Path) -> None:
    ours = b"\7" * 8  # as the configuration says
    first = Store(tmp_path, "key")
    first.remember([SourceRecord(NET, ours, 300, 0), SourceRecord(OTHER, ours, 299, 0)])
    first.remember([SourceRecord(OTHER, ROUTER, 400, 0)])
    first.close()
    (tmp_path / "state.json").unlink()
    second = Store(tmp_path, "key")
    assert second.memory(ours).seqno == 301
    third = reopened(tmp_path, second)
    assert third.memory(ours).seqno > 301
    third.close()


def test_a_directory_that_cannot_be_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError):
        Store(tmp_path / "file" / "state", "key")
