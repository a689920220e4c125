"""The word for a peer's state: devices that sleep and tunnels that were taken down are nothing wrong."""

import time
from types import SimpleNamespace
from typing import Any

import pytest

from babelwg.babel.wire.prefix import Prefix
from babelwg.daemon.peers import _state_of

ENDPOINT = (bytes([192, 0, 2, 1]), 7)


def state_of(
    handshake_age: float,
    endpoint: object,
    leaf: bool,
    disabled: bool = False,
    neighbour: Any = None,
    dead_for: float | None = None,
) -> Any:
    leaves = (Prefix.parse("10.9.0.5/32"),) if leaf else ()
    peer: Any = SimpleNamespace(name="phone", interface="bw-phone", leaf_addresses=leaves)
    tunnels = SimpleNamespace(problems={}, resolvers={}, disabled={"phone"} if disabled else set())
    state: Any = SimpleNamespace(endpoint=endpoint, latest_handshake=time.time() - handshake_age)
    links = SimpleNamespace(dead_for=lambda interface: dead_for)
    node: Any = SimpleNamespace(tunnels=tunnels, links=links)
    return _state_of(node, peer, state, neighbour)


@pytest.mark.parametrize(
    ("age", "endpoint", "word"), [(5, ENDPOINT, "up"), (500, ENDPOINT, "idle"), (1e9, None, "idle")]
)
def test_a_device_without_babel_is_up_or_idle_without_a_reason(
    age: float, endpoint: object, word: str
) -> None:
    assert state_of(age, endpoint, leaf=True) == (word, None)


def test_a_peer_with_babel_in_the_same_state_has_a_reason() -> None:
    assert state_of(5, ENDPOINT, leaf=False)[0] == "down"
    assert state_of(1e9, None, leaf=False)[0] == "no-endpoint"
    assert state_of(1e9, None, leaf=False)[1] is not None


def test_a_tunnel_that_has_not_told_its_state_is_not_blamed_on_the_peer() -> None:
    peer: Any = SimpleNamespace(name="b", interface="bw-b", leaf_addresses=())
    tunnels = SimpleNamespace(problems={}, resolvers={}, disabled=set(), actual={"bw-b": None})
    node: Any = SimpleNamespace(tunnels=tunnels)
    assert _state_of(node, peer, None, None) == ("connecting", "its back end has not answered yet")
    tunnels.actual.clear()
    assert _state_of(node, peer, None, None) == ("connecting", "no answer to the handshake yet")


def test_a_tunnel_that_was_taken_down_is_disabled() -> None:
    assert state_of(5, ENDPOINT, leaf=False, disabled=True) == ("disabled", None)


@pytest.mark.parametrize(
    ("rxcost", "reason"), [(96, "heard, and does not say that it hears us"), (65535, "nothing heard for 9 s")]
)
def test_a_peer_that_is_heard_and_does_not_hear_us_is_not_called_silent(rxcost: int, reason: str) -> None:
    neighbour = SimpleNamespace(cost=65535, rxcost=rxcost, last_heard=9.2)
    assert state_of(5, ENDPOINT, leaf=False, neighbour=neighbour) == ("down", reason)


def test_a_dead_link_is_named_as_such_however_lately_its_neighbour_was_heard() -> None:
    neighbour = SimpleNamespace(cost=65535, rxcost=65535, last_heard=0.1)
    reason = "the link is dead: no packet gets an answer for 3 s"
    assert state_of(5, ENDPOINT, leaf=False, neighbour=neighbour, dead_for=3.2) == ("down", reason)
