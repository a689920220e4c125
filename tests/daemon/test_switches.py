"""Tunnels taken down and brought up: by name, lasting over a reload, and told as what they are."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from babelwg.config import Config
from babelwg.daemon.control import RequestError
from babelwg.daemon.queries import CHANGING
from babelwg.daemon.queries.switches import Switches


class FakeNode:
    """A node with one peer that notes what it is told."""

    def __init__(self) -> None:
        peer = SimpleNamespace(name="bravo")
        self.config: Any = object.__new__(Config)
        object.__setattr__(self.config, "peers", (peer,))
        self.tunnels = SimpleNamespace(disabled=set())
        self.told: list[tuple[bool, bool]] = []

    async def switch(self, peer: Any, *, down: bool, up: bool) -> None:
        self.told.append((down, up))
        self.tunnels.disabled = set() if up else {peer.name}


def ask(node: FakeNode, method: str, peer: object = "bravo") -> Any:
    context: Any = SimpleNamespace(node=node)
    return asyncio.run(Switches(context).methods()[method]({"peer": peer}))  # type: ignore[arg-type]


def test_down_up_and_restart_say_whether_they_changed_something() -> None:
    node = FakeNode()
    assert ask(node, "peer_up") == {"peer": "bravo", "up": True, "changed": False}
    assert ask(node, "peer_down") == {"peer": "bravo", "up": False, "changed": True}
    assert ask(node, "peer_down") == {"peer": "bravo", "up": False, "changed": False}
    assert ask(node, "peer_up") == {"peer": "bravo", "up": True, "changed": True}
    assert ask(node, "peer_restart") == {"peer": "bravo", "up": True, "changed": True}
    # What is down already has nothing to retract.
    assert node.told == [(False, True), (True, False), (False, False), (False, True), (True, True)]


@pytest.mark.parametrize("name", ["brav", None, 7, "x" * 500])
def test_a_name_that_nobody_has_is_refused(name: object) -> None:
    with pytest.raises(RequestError, match="there is no peer"):
        ask(FakeNode(), "peer_down", name)


def test_only_root_may_switch() -> None:
    assert {"peer_up", "peer_down", "peer_restart"} <= CHANGING
