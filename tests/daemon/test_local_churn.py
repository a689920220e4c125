"""A strict reader beside a real speaker in a network that never rests: no line contradicts what was told before."""

import asyncio
from pathlib import Path
from random import Random

import pytest

from babelwg.babel.wire.prefix import Prefix
from babelwg.daemon.local import follower
from babelwg.lab.simulator.network import SimNetwork
from integration.reader import Picture
from tests.daemon.localbench import Client, FakeNode, converse

EVENTS = 1000
LINKS = ("a-b", "a-c", "a-d", "b-c", "c-d", "b-e", "d-e")


class Churn:
    """What happens to a network whose node `a` is told of."""

    def __init__(self, net: SimNetwork, node: FakeNode) -> None:
        self._net, self._node = net, node
        self._rng = Random(7)
        self._down: set[str] = set()
        self._announced: set[tuple[str, Prefix]] = set()
        self._interfaces: set[str] = set()

    def happen(self) -> None:
        """Let one thing happen, and some time pass."""
        self._rng.choice(
            (self._change_link, self._announce, self._announce, self._announce_own, self._change_interface)
        )()
        # Mostly too short for a neighbour to notice, now and then long enough for routes to expire.
        self._net.run(
            seconds=self._rng.choice((0.01, 0.1, 0.5, 1.0, 3.0) + (60.0,) * (self._rng.random() < 0.04))
        )

    def _change_link(self) -> None:
        link = self._rng.choice(LINKS)
        a, b = link.split("-")
        if link in self._down:
            self._net.restore(a, b)
        else:
            self._net.cut(a, b)
        self._down ^= {link}

    def _announce(self) -> None:
        name = self._rng.choice("bcde")
        prefix = Prefix.parse(
            self._rng.choice(("10.{}.0.0/16", "2001:db8:{}::/48")).format(self._rng.randrange(9))
        )
        if (name, prefix) in self._announced:
            self._net.withdraw(name, prefix)
        else:
            self._net.announce(name, prefix, self._rng.choice((0, 96)))
        self._announced ^= {(name, prefix)}

    def _announce_own(self) -> None:
        prefix = Prefix.parse(f"10.{self._rng.randrange(9)}.0.0/16")
        announced = dict(self._node.routing.announced)
        if announced.pop(prefix, None) is None:
            announced[prefix] = (0, "announce")
            self._net.announce("a", prefix)
        else:
            self._net.withdraw("a", prefix)
        self._node.routing.announced = announced

    def _change_interface(self) -> None:
        """Take an interface away altogether, or only down, or bring it back."""
        name, a = self._rng.choice("bcd"), self._net.nodes["a"]
        assert a.speaker is not None
        if name in self._interfaces:
            a.speaker.add_interface(name, a.interfaces[name], a.link_local, self._net.now)
            self._node.routing.wanted[name] = None
        else:
            a.speaker.remove_interface(name, self._net.now)
            if self._rng.random() < 0.5:
                del self._node.routing.wanted[name]
        self._interfaces ^= {name}
        self._net._pump(a)


@pytest.mark.conformance("LP-8", "LP-9", "LP-10", "LP-12", "LP-16", "LP-17")
def test_a_strict_reader_follows_a_thousand_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(follower, "GATHER", 0.0)
    monkeypatch.setattr(follower, "PREFIXES_AT_ONCE", 2)
    net = SimNetwork.parse(" ".join(LINKS), seed=3)
    seen: set[str] = set()

    async def take(client: Client, picture: Picture) -> None:
        while line := await client.line():
            picture.take(line)
            seen.add(" ".join(line.split()[:2]))

    async def talk(node: FakeNode) -> None:
        node.routing.wanted = dict.fromkeys("bcd")
        node.routing.announced = dict.fromkeys(net.nodes["a"].xroutes, (0, "announce"))
        client, other, picture = await Client.at(tmp_path / "s"), await Client.at(tmp_path / "s"), Picture()
        for line in (await client.ask("monitor"))[:-1]:
            picture.take(line)
        reading = asyncio.create_task(take(client, picture))
        churn = Churn(net, node)
        for number in range(EVENTS):
            churn.happen()
            node.routing.listeners[0]([])
            if number % 3 == 0:
                await asyncio.sleep(0.001)
        reply = await other.ask("dump")
        while reply != (reply := await other.ask("dump")) or picture.entries != whole(reply):
            await asyncio.sleep(0.01)
        client.close()
        reading.cancel()
        assert picture.lines > EVENTS

    converse(tmp_path / "s", talk, speaker=net.nodes["a"].speaker)
    told = {
        f"{what} {kind}"
        for what in ("add", "change", "flush")
        for kind in ("interface", "neighbour", "route")
    }
    assert seen >= told | {"add xroute", "flush xroute"}


def whole(reply: list[str]) -> dict[tuple[str, str], str]:
    """Return the picture that a dump gives."""
    picture = Picture()
    for line in reply[:-1]:
        picture.take(line)
    return picture.entries
