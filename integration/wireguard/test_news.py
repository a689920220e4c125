"""Who watches the control socket is told whose handshakes stay unanswered, and which tunnel is used after a rest."""

import signal
import socket

from babelwg.lab.netns.node import mute, unmute

TIMERS = "rekey_timeout=0.3,keepalive_timeout=0.3"


class Watcher:
    """A client that reads what it is told."""

    def __init__(self, end):
        self._client = socket.socket(socket.AF_UNIX)
        self._client.connect(str(end.path("control.sock")))
        self._client.sendall(b"watch=1\n\n")
        self._client.setblocking(False)
        self._text = ""
        self.ended = False

    def told(self, key):
        """Return what it was told under a key so far."""
        try:
            data = self._client.recv(4096)
        except BlockingIOError:
            data = None
        self.ended = self.ended or data == b""
        self._text += (data or b"").decode()
        pairs = (line.split("=") for line in self._text.splitlines() if line)
        return [value for name, value in pairs if name == key]

    def close(self):
        self._client.close()


def watch(end, until):
    """Return a watcher that is served."""
    watcher = Watcher(end)
    until(lambda: watcher.told("errno") == ["0"])
    assert watcher.told("tells") == ["unanswered used"]
    return watcher


def call(end, address):
    """Have an end send something; whether it is answered does not matter."""
    end.node.run("ping", "-c1", "-W1", address, check=False)


def test_an_unanswered_handshake_is_told_also_after_an_upgrade(bench, inner, until):
    a, b = bench.pair("embedded", "embedded", timers=TIMERS)
    call(a, inner[4][1])
    watcher = watch(a, until)
    mute(b.node, "under")
    call(a, inner[4][1])
    until(lambda: watcher.told("unanswered") == ["wg0"])
    a.process.send_signal(signal.SIGUSR2)
    until(lambda: watcher.told("unanswered") != ["wg0"] or watcher.ended)
    assert watcher.told("unanswered") == ["wg0"]
    watcher.close()
    unmute(b.node, "under")
    again = watch(a, until)
    assert "1 received" in a.node.run("ping", "-c1", "-W30", inner[4][1])
    mute(b.node, "under")
    call(a, inner[4][1])
    until(lambda: again.told("unanswered") == ["wg0"])
    again.close()


def test_a_peer_that_answers_is_no_news(bench, inner, until):
    a, _ = bench.pair("embedded", "embedded", timers=TIMERS + ",rekey_after_time=0.5")
    watcher = watch(a, until)
    assert "30 received" in a.node.run("ping", "-c30", "-i0.1", "-W30", inner[4][1])
    assert watcher.told("unanswered") == []
    watcher.close()


def test_first_use_after_a_rest_is_told_at_both_ends_and_what_follows_is_not(bench, inner, until):
    a, b = bench.pair("embedded", "embedded")
    ends = [watch(a, until), watch(b, until)]
    for watcher in ends:
        assert watcher.told("used") == []
    assert "10 received" in a.node.run("ping", "-c10", "-i0.2", "-W30", inner[6][1])
    for watcher in ends:
        until(lambda watcher=watcher: watcher.told("used") == ["wg0"])
    assert "10 received" in a.node.run("ping", "-c10", "-i0.2", "-W30", inner[4][1])
    for watcher in ends:
        assert watcher.told("used") == ["wg0"]
        watcher.close()


def test_packets_from_link_local_addresses_are_no_use(bench, inner, until):
    a, b = bench.pair("embedded", "embedded")
    for end, own in ((a, "fe80::a"), (b, "fe80::b")):
        end.node.run("ip", "address", "add", f"{own}/64", "dev", "wg0")
    watcher = watch(b, until)
    assert "1 received" in a.node.run("ping", "-c1", "-W30", "fe80::b%wg0")
    assert watcher.told("used") == []
    assert "1 received" in a.node.run("ping", "-c1", "-W30", inner[4][1])
    until(lambda: watcher.told("used") == ["wg0"])
    watcher.close()
