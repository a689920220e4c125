"""Echo requests on a real link: who answers is heard, and nobody else's pings wake us."""

import select
import socket
from collections.abc import Callable
from typing import Any

from babelwg.lab.netns.node import connect
from babelwg.linux.netns import network_namespace
from babelwg.linux.probes.linkecho import Answer, LinkEcho
from integration.bench.common import wait

OURS, THEIRS = (socket.inet_pton(socket.AF_INET6, f"fe80::{n}") for n in "12")
GLOBAL, THEIR_GLOBAL = "2001:db8:1::1", "2001:db8:1::2"


def is_waiting(echo: LinkEcho) -> bool:
    return bool(select.select([echo], [], [], 0)[0])


def test_only_what_goes_between_link_local_addresses_wakes_us(nodes: Any, needs: Callable[..., None]) -> None:
    needs("ip", "ping")
    a, b = nodes.add("a"), nodes.add("b")
    connect(a, b, "up", "up", ["fe80::1/64", f"{GLOBAL}/64"], ["fe80::2/64", f"{THEIR_GLOBAL}/64"])
    with network_namespace(a.pid):
        echo, index = LinkEcho(), socket.if_nametoindex("up")

    def asks(address: str, source: str = "up") -> bool:
        return "1 received" in b.run("ping", "-c1", "-W1", f"-I{source}", address, check=False)

    try:
        wait("packets pass", lambda: asks(GLOBAL), 60)
        wait("they pass to link-local addresses too", lambda: asks("fe80::1"), 60)
        assert not is_waiting(echo), "nobody watches a link there"
        echo.listen({index})
        assert asks(GLOBAL)
        assert asks(GLOBAL, "fe80::2%up")
        assert asks("fe80::1%up", THEIR_GLOBAL)
        assert not is_waiting(echo)
        assert asks("fe80::1")
        assert is_waiting(echo)
        assert [*echo.receive()] == []
        assert echo.received[index] == echo.sent[index] >= 1
        assert echo.send(index, OURS, THEIRS)
        answers: list[Answer] = []
        wait("b answers", lambda: answers.extend(echo.receive()) or answers, 60)
        assert [(answer.interface, answer.address) for answer in answers] == [(index, THEIRS)]
    finally:
        echo.close()
