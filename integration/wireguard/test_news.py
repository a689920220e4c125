"""Who watches the control socket is told whose handshakes stay unanswered."""

import signal
import socket

from babelwg.lab.netns.node import mute, unmute

TIMERS = "rekey_timeout=0.3,keepalive_timeout=0.3"
NEWS = "unanswered=wg0\n\n"


class Watcher:
    """A client that reads what it is told."""

    def __init__(self, end):
        self._client = socket.socket(socket.AF_UNIX)
        self._client.connect(str(end.path("control.sock")))
        self._client.sendall(b"watch=1\n\n")
        self._client.setblocking(False)
        self.told = ""
        self.ended = False

    def hears(self, text):
        """Return whether it was told just that so far."""
        try:
            data = self._client.recv(4096)
        except BlockingIOError:
            return self.told == text
        self.ended = self.ended or not data
        self.told += data.decode()
        return self.told == text

    def close(self):
        self._client.close()


def call(end, address):
    """Have an end send something; whether it is answered does not matter."""
    end.node.run("ping", "-c1", "-W1", address, check=False)


def test_an_unanswered_handshake_is_told_also_after_an_upgrade(bench, inner, until):
    a, b = bench.pair("embedded", "embedded", timers=TIMERS)
    call(a, inner[4][1])
    watcher = Watcher(a)
    until(lambda: watcher.hears("errno=0\n\n"))
    mute(b.node, "under")
    call(a, inner[4][1])
    until(lambda: watcher.hears("errno=0\n\n" + NEWS))
    a.process.send_signal(signal.SIGUSR2)
    until(lambda: watcher.hears("") or watcher.ended)
    watcher.close()
    unmute(b.node, "under")
    again = Watcher(a)
    until(lambda: again.hears("errno=0\n\n"))
    assert "1 received" in a.node.run("ping", "-c1", "-W30", inner[4][1])
    mute(b.node, "under")
    call(a, inner[4][1])
    until(lambda: again.hears("errno=0\n\n" + NEWS))
    again.close()


def test_a_peer_that_answers_is_no_news(bench, inner, until):
    a, _ = bench.pair("embedded", "embedded", timers=TIMERS + ",rekey_after_time=0.5")
    watcher = Watcher(a)
    until(lambda: watcher.hears("errno=0\n\n"))
    assert "30 received" in a.node.run("ping", "-c30", "-i0.1", "-W30", inner[4][1])
    assert watcher.hears("errno=0\n\n")
    watcher.close()
