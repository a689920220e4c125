"""A data plane that executes itself anew under traffic: no packet is lost, and no session."""

import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

LOST = re.compile(r"(\d+) packets transmitted, (\d+) received")
UPGRADES = 3


def upgrade(end, until, times):
    """Have the data plane follow itself, and return when it has done so so many times."""
    end.process.send_signal(signal.SIGUSR2)
    until(lambda: end.log.read_text().count("tunnels go on") == times)


def descriptors(end):
    return sorted(path.readlink().name for path in Path(f"/proc/{end.process.pid}/fd").iterdir())


@pytest.mark.parametrize("kind", ["embedded", "wireguard-go"])
def test_no_packet_is_lost_while_the_data_plane_is_upgraded(bench, inner, until, kind):
    a, b = bench.pair("embedded", kind)
    a.node.run("ping", "-c1", "-W3", inner[4][1])
    session, used = a.show("latest-handshakes"), len(descriptors(a))
    pings = [
        a.node.popen("ping", "-i", "0.01", address, stdout=subprocess.PIPE, text=True)
        for address in (inner[4][1], inner[6][1])
    ]
    for process in pings:
        for _ in range(20):
            process.stdout.readline()
    for number in range(1, UPGRADES + 1):
        upgrade(a, until, number)
        assert a.show("latest-handshakes") == session
    for process in pings:
        for _ in range(20):
            process.stdout.readline()
        process.send_signal(signal.SIGINT)
        said, _ = process.communicate(timeout=60)
        sent, received = map(int, LOST.search(said).groups())
        # The last one may be under way.
        assert received >= sent - 1
    assert len(descriptors(a)) <= used  # one of a client may have been counted before it was closed
    assert a.process.poll() is None
    assert b.show("latest-handshakes") != "0"


def test_tunnels_that_were_handed_over_can_be_changed_and_removed(bench, inner, until):
    a, b = bench.pair("embedded", "wireguard-go")
    a.node.run("ping", "-c1", "-W3", inner[4][1])
    upgrade(a, until, 1)
    a.set("listen-port", "6001")
    assert "3 received" in a.node.run("ping", "-c3", "-i0.1", "-W3", inner[4][1])
    assert b.show("endpoints").endswith(":6001")
    assert "wg0" in a.control("list=1\n\n")
    assert a.control("create=wg1\n\n") == "errno=0\n\n"
    upgrade(a, until, 2)
    assert a.control("remove=wg0\n\n") == "errno=0\n\n"
    assert "wg0" not in a.node.run("ip", "link")
    assert a.control("list=1\n\n").count("state=open") == 1
    a.process.send_signal(signal.SIGTERM)
    assert a.process.wait(60) == 0
    assert not a.path("control.sock").exists()


def test_requests_that_come_too_often_are_one(bench, inner, until):
    a, _ = bench.pair("embedded", "wireguard-go")
    a.node.run("ping", "-c1", "-W3", inner[4][1])
    for _ in range(50):
        a.process.send_signal(signal.SIGUSR2)
    until(lambda: "tunnels go on" in a.log.read_text())
    assert "3 received" in a.node.run("ping", "-c3", "-i0.1", "-W3", inner[4][1])
    assert a.process.poll() is None


def test_a_process_that_cannot_read_what_was_left_begins_anew(bench, tmp_path):
    a, _ = bench.pair("embedded", "wireguard-go")
    a.control("shutdown=1\n\n")
    a.process.wait(60)
    other = tmp_path / "state"
    other.write_text('{"format": 0, "descriptors": []}')
    # The shell gives it the file as descriptor 9.
    with a.log.open("ab") as log:
        a.process = a.node.popen(
            *("sh", "-c", f'exec "$@" 9<>{other}', "sh", sys.executable, "-m", "babelwg.dataplane"),
            *("--control", "/run/control.sock", "--resume", "9"),
            stderr=log,
        )
    while not a.path("control.sock").exists():
        assert a.process.poll() is None
    assert "format 0 is not 1" in a.log.read_text()
    assert a.control("create=wg0\n\n") == "errno=0\n\n"
