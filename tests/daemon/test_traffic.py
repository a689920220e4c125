"""Whether packets of users flow, by counters that Babel's own datagrams are part of."""

from pathlib import Path

from babelwg.daemon.traffic import TrafficWatch, read_packets

DEV = """Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       1    0    0    0     0          0         0      100       1    0    0    0     0       0          0
bw-a: 9999 20 0 0 0 0 0 0 8888 22 0 0 0 0 0 0
"""  # noqa: E501 - as the kernel writes it


def test_the_kernels_counters_are_read(tmp_path: Path) -> None:
    (tmp_path / "dev").write_text(DEV)
    assert read_packets(tmp_path / "dev") == {"lo": 2, "bw-a": 42}
    assert "lo" in read_packets()


def test_packets_beyond_our_own_datagrams_are_traffic() -> None:
    watch = TrafficWatch()
    assert watch.look({"bw-a": 100, "eth0": 5}, {"bw-a": 10}) == []
    assert watch.look({"bw-a": 104, "eth0": 9}, {"bw-a": 14}) == []
    assert watch.look({"bw-a": 106, "eth0": 99}, {"bw-a": 15}) == ["bw-a"]
    assert watch.look({"bw-a": 107}, {"bw-a": 16}) == []


def test_a_datagram_that_is_still_unread_makes_no_lasting_traffic() -> None:
    watch = TrafficWatch()
    looks = [watch.look({"bw-a": n + 1}, {"bw-a": n - n % 2}) for n in range(100, 120)]
    assert looks.count(["bw-a"]) <= 1


def test_an_interface_that_is_made_anew_starts_anew() -> None:
    watch = TrafficWatch()
    watch.look({"bw-a": 1000}, {"bw-a": 10})
    watch.look({}, {"bw-a": 10})
    assert watch.look({"bw-a": 1}, {"bw-a": 10}) == []
    assert watch.look({"bw-a": 3}, {"bw-a": 10}) == ["bw-a"]
    # Also where that happened between two looks.
    assert watch.look({"bw-a": 500}, {"bw-a": 10}) == ["bw-a"]
    assert watch.look({"bw-a": 1}, {"bw-a": 10}) == []
    assert watch.look({"bw-a": 1}, {"bw-a": 10}) == []
    assert watch.look({"bw-a": 3}, {"bw-a": 10}) == ["bw-a"]
