"""The mirror of the kernel while the kernel cannot be read, and under floods of news."""

import pytest

from babelwg.linux.netlink import RTM_DELADDR, RTM_DELLINK
from tests.linux.playedmonitor import OVERRUN, PlayedKernel, PlayedMonitor, address, link

EVERYTHING = {"overrun", "link", "address", "main", "rule"}


@pytest.fixture
def kernel() -> PlayedKernel:
    kernel = PlayedKernel()
    kernel.links = [link(1, "lo"), link(7, "bw-b")]
    kernel.addresses = [address(7, bytes([192, 0, 2, 1]))]
    return kernel


def test_what_was_known_stands_until_the_kernel_can_be_read_again(
    kernel: PlayedKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = PlayedMonitor(kernel, monkeypatch)
    kernel.waiting, kernel.is_deaf = [OVERRUN], True
    monitor.receive()
    assert monitor.mirror.names == {"lo": 1, "bw-b": 7}
    assert monitor.mirror.ipv4(7) == bytes([192, 0, 2, 1])
    assert monitor.told == [{"overrun"}], "our routes can be looked at meanwhile"
    assert (monitor.overruns, monitor.read_failed) == (1, 1)
    # What the kernel tells by itself still counts, and brings nobody to ask it too soon.
    kernel.links = [link(1, "lo"), link(9, "bw-c")]
    kernel.tell(RTM_DELLINK, link(7, "bw-b"))
    monitor.receive()
    assert (monitor.told[1:], monitor.mirror.names, monitor.read_failed) == ([{"link"}], {"lo": 1}, 1)
    kernel.is_deaf = False
    assert 0.05 < monitor.go_on() <= 0.1
    assert monitor.told[2:] == [EVERYTHING]
    assert monitor.mirror.names == {"lo": 1, "bw-c": 9}
    assert monitor.later == []


def test_a_kernel_that_cannot_be_read_for_long_is_asked_less_and_less(
    kernel: PlayedKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = PlayedMonitor(kernel, monkeypatch)
    kernel.waiting, kernel.is_deaf = [OVERRUN], True
    monitor.receive()
    pauses = []
    for _ in range(8):
        pauses.append(monitor.later[0][0])
        free_at = monitor._pace._free_at
        monkeypatch.setattr("time.monotonic", lambda at=free_at: at)
        monitor.later.pop(0)[1]()
    assert pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5.0, 5.0], abs=0.01)
    assert monitor.read_failed == 9


def test_an_interface_that_went_while_news_were_lost_takes_its_routes_along(
    kernel: PlayedKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel.links += [link(8, "bw-c"), link(9, "bw-d")]
    monitor = PlayedMonitor(kernel, monkeypatch)
    kernel.waiting = [OVERRUN]
    kernel.links = [link(1, "lo"), link(7, "bw-b"), link(8, "bw-c", flags=0)]
    monitor.receive()
    assert sorted(monitor.lost_links) == [8, 9]
    assert monitor.lost_addresses == []


def test_an_address_that_goes_is_told_also_where_the_news_of_it_were_lost(
    kernel: PlayedKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second, third = (bytes([192, 0, 2, number]) for number in (1, 2, 3))
    kernel.addresses = [address(7, first), address(7, second), address(7, third)]
    monitor = PlayedMonitor(kernel, monkeypatch)
    kernel.tell(RTM_DELADDR, address(7, first))
    monitor.receive()
    assert monitor.lost_addresses == [first]
    kernel.addresses = [address(7, third)]
    kernel.waiting = [OVERRUN]
    monitor.receive()
    assert monitor.lost_addresses == [first, second]


def test_nothing_is_tried_again_after_the_end(kernel: PlayedKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    monitor = PlayedMonitor(kernel, monkeypatch)
    kernel.waiting, kernel.is_deaf = [OVERRUN], True
    monitor.receive()
    monitor.close()
    monitor.go_on()
    assert monitor.read_failed == 1


def test_the_tables_that_are_watched_are_read_again_where_that_failed(
    kernel: PlayedKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = PlayedMonitor(kernel, monkeypatch)
    kernel.is_deaf = True
    monitor.watch([50])
    assert (set(monitor.mirror.tables), monitor.told) == ({50, 254}, [])
    kernel.is_deaf = False
    monitor.go_on()
    assert monitor.told == [{"main"}]


def test_a_flood_without_end_has_the_kernel_read_ever_less_and_leaves_the_loop_to_others(
    kernel: PlayedKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitor = PlayedMonitor(kernel, monkeypatch)
    kernel.reads, kernel.flood = 0, OVERRUN
    monitor.receive()
    assert kernel.reads == 1
    for _ in range(100):  # the descriptor stays readable
        monitor.receive()
    assert kernel.reads == 1
    assert len(monitor.later) == 1
    pauses = []
    for _ in range(7):
        pauses.append(monitor.later[0][0])
        free_at = monitor._pace._free_at
        monkeypatch.setattr("time.monotonic", lambda at=free_at: at)
        monitor.later.pop(0)[1]()
        monitor.receive()
    assert pauses[1:] == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 5.0], abs=0.01)
    assert kernel.reads == 8
    assert monitor.told == [EVERYTHING] * 8
    # It ends, and after a while without any the next overrun is mended at once.
    kernel.flood = None
    monkeypatch.setattr("time.monotonic", lambda at=free_at + 60.0: at)
    monitor.later.pop(0)[1]()
    kernel.waiting = [OVERRUN]
    monkeypatch.setattr("time.monotonic", lambda at=free_at + 120.0: at)
    monitor.receive()
    assert kernel.reads == 10
