"""The lab's wire: delay, loss and rate as asked, and frames whole."""

import re

import pytest

from babelwg.lab.netns.wire import Impairment, Wire


@pytest.fixture(autouse=True)
def programs(needs):
    needs("unshare", "nsenter", "ip", "ping", "iperf3")


@pytest.fixture
def joined(nodes):
    wires = []

    def join(impairment):
        a, b = nodes.add("a"), nodes.add("b")
        wires.append(Wire(a, b, "x", "x", ["10.9.0.1/24"], ["10.9.0.2/24"], impairment=impairment, seed=1))
        return a, b, wires[-1]

    yield join
    for wire in wires:
        wire.close()


def rtts(text):
    return [float(ms) for ms in re.findall(r"time=([0-9.]+) ms", text)]


def test_wire_delays_each_direction_by_its_own_value(joined):
    a, _, _ = joined(Impairment(delay=0.02, delay_back=0.01))
    a.run("ping", "-c1", "-W2", "10.9.0.2")  # address resolution takes a round trip of its own
    measured = rtts(a.run("ping", "-c5", "-i0.05", "-W2", "10.9.0.2"))
    assert len(measured) == 5
    # A busy machine adds to it, but not to every packet.
    while min(measured) >= 36.0 and len(measured) < 500:
        measured += rtts(a.run("ping", "-c5", "-i0.05", "-W2", "10.9.0.2"))
    assert 30.0 <= min(measured) < 36.0


def test_wire_takes_new_values_while_it_runs(joined):
    a, _, wire = joined(Impairment())
    a.run("ping", "-c1", "-W2", "10.9.0.2")
    wire.set(loss=1.0)
    assert rtts(a.run("ping", "-c2", "-i0.1", "-W1", "10.9.0.2", check=False)) == []
    wire.set(loss=0.0, delay=0.005)
    assert min(rtts(a.run("ping", "-c2", "-i0.1", "-W2", "10.9.0.2"))) >= 5.0


def test_wire_loses_the_share_it_was_told(joined):
    a, _, _ = joined(Impairment(loss=0.2))
    text = a.run("ping", "-c200", "-i0.01", "-W1", "10.9.0.2", check=False)
    lost = float(re.search(r"([0-9.]+)% packet loss", text)[1])
    assert 20.0 < lost < 55.0  # 36 % is expected: both directions lose


def test_wire_carries_large_frames_and_keeps_the_rate(joined):
    a, b, _ = joined(Impairment(rate=20e6))
    server = b.popen("iperf3", "-s", "-1", "-B", "10.9.0.2", "--forceflush", stdout=-1, text=True)
    with server:
        while "listening" not in server.stdout.readline():
            pass
        text = a.run("iperf3", "-c", "10.9.0.2", "-t", "2", "-f", "m")
        assert "receiver" in server.stdout.read()
    rate = float(re.search(r"([0-9.]+) Mbits/sec\s+receiver", text)[1])
    assert 0.0 < rate < 21.0
