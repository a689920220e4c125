"""Queues of neighbours: each has the same time and its own room."""

from itertools import count

from babelwg.babel.datagram import Datagram
from babelwg.daemon.inbox import FAIR_ROOM, OVERHEAD, QUEUE_ROOM, ROOM, Inbox
from tests.daemon.routingbench import OWN, PEER

NUMBERS = count()


def datagram(size: int = 100, received: float = 0.0) -> Datagram:
    data = next(NUMBERS).to_bytes(8, "big").rjust(size, b"\0")
    return Datagram(data, (PEER, 6696), (OWN, 6696), "bw-a", received)


def serve(inbox: Inbox, times: int, seconds: dict[str, float]) -> list[str]:
    """Handle so many datagrams, each for as long as those of its neighbour take, and return whose they were."""
    served = []
    for _ in range(times):
        if (taken := inbox.take()) is None:
            break
        served.append(str(taken[0].key))
        inbox.charge(taken[0], seconds.get(served[-1], 0.001))
    return served


def test_who_takes_ten_times_as_long_has_a_tenth_of_the_turns() -> None:
    inbox = Inbox()
    for _ in range(200):
        for key in ("dear", "cheap"):
            assert inbox.put(key, datagram()) is None
    served = serve(inbox, 110, {"dear": 0.010, "cheap": 0.001})
    assert 9 <= served.count("dear") <= 11


def test_what_follows_from_a_datagram_counts_as_its_own_time() -> None:
    inbox = Inbox()
    for _ in range(400):
        for key in ("dear", "cheap"):
            inbox.put(key, datagram())
    served: list[str] = []
    for _ in range(200):
        served += serve(inbox, 1, {})
        inbox.settle(0.009 if served[-1] == "dear" else 0.0)
    assert 17 <= served.count("dear") <= 21


def test_one_datagram_passes_a_long_queue_and_keeps_its_order() -> None:
    inbox = Inbox()
    for _ in range(100):
        inbox.put("flood", datagram())
    serve(inbox, 50, {})
    first, second = datagram(), datagram()
    inbox.put("calm", first)
    inbox.put("calm", second)
    taken = []
    for _ in range(4):
        queue, found = inbox.take()
        inbox.charge(queue, 0.001)
        taken.append((queue.key, found))
    assert [found for key, found in taken if key == "calm"] == [first, second]


def test_who_was_silent_has_saved_nothing_up() -> None:
    inbox = Inbox()
    inbox.put("late", datagram())
    serve(inbox, 1, {})
    for _ in range(100):
        inbox.put("steady", datagram())
    serve(inbox, 50, {})
    for _ in range(100):
        inbox.put("late", datagram())
    served = serve(inbox, 20, {})
    assert 9 <= served.count("late") <= 11


def test_a_full_table_from_each_of_twenty_neighbours_finds_room() -> None:
    inbox = Inbox()
    table = [datagram(1372) for _ in range(400)]  # of 20,000 routes
    assert {inbox.put(key, each) for key in range(20) for each in table} == {None}


def test_a_queue_that_is_full_loses_what_comes_last_and_the_others_lose_nothing() -> None:
    inbox, room = Inbox(), QUEUE_ROOM // (1372 + OVERHEAD)
    losers = [inbox.put("flood", datagram(1372)) for _ in range(room + 5)]
    assert losers == [None] * room + ["flood"] * 5
    assert inbox.put("calm", datagram(1372)) is None
    assert serve(inbox, room + 9, {}).count("flood") == room
    assert not inbox


def test_where_all_together_are_too_many_the_longest_queue_loses() -> None:
    inbox, size = Inbox(), 60_000
    each = QUEUE_ROOM // (size + OVERHEAD)
    keys = range(ROOM // QUEUE_ROOM + 1)
    assert {inbox.put(key, datagram(size)) for key in keys for _ in range(each)} >= {None}
    loser = inbox.put("calm", datagram())
    assert loser in {None, *keys}
    assert "calm" in serve(inbox, len(keys) + 1, {})


def test_the_oldest_that_waits_is_known_and_forgotten_when_handled() -> None:
    inbox = Inbox()
    for key, received in (("a", 5.0), ("b", 3.0), ("a", 4.0)):
        inbox.put(key, datagram(received=received))
    assert inbox.oldest() == 3.0
    serve(inbox, 3, {})
    assert inbox.oldest() is None
    assert inbox.take() is None


def test_who_fills_his_queue_waits_behind_himself_and_a_full_table_is_waited_for() -> None:
    inbox = Inbox()
    for _ in range(1000):  # of 32,768 routes
        inbox.put("table", datagram(1372, received=3.0))
    assert inbox.oldest() == 3.0
    for _ in range(2000):
        inbox.put("flood", datagram(1372, received=2.0))
    inbox.put("calm", datagram(received=4.0))
    assert inbox.oldest() == 3.0
    serve(inbox, 1200, {"flood": 0.01})
    assert inbox.oldest() is None, "all of the table is handled, and less of the flood"
    while inbox.oldest() is None:
        serve(inbox, 1, {})
    assert len(serve(inbox, 2000, {})) == FAIR_ROOM // (1372 + OVERHEAD)
