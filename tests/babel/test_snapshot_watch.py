"""Those who follow single routes: the speaker tells which prefixes to look at."""

from babelwg.babel.wire.prefix import Prefix
from babelwg.lab.simulator.network import SimNetwork


def test_a_watched_speaker_names_every_prefix_whose_routes_changed() -> None:
    net = SimNetwork.parse("a-b:96 b-c:96 a-c:300", seed=1)
    speaker = net.nodes["a"].speaker
    speaker.watch(True)
    net.run(seconds=30)
    prefixes = {route.prefix for route in speaker.snapshot(net.now).routes}
    assert set(speaker.touched()) >= prefixes
    assert speaker.touched() == []
    before = {prefix: states(speaker.routes_for(prefix, net.now)) for prefix in prefixes}
    net.cut("b", "c")
    net.run(seconds=60)
    touched = speaker.touched()
    for prefix in prefixes:
        if states(speaker.routes_for(prefix, net.now)) != before[prefix]:
            assert prefix in touched


def states(routes: object) -> set[tuple[object, ...]]:
    assert isinstance(routes, tuple)
    return {
        (r.neighbour, r.interface, r.metric, r.refmetric, r.router_id, r.state == "selected") for r in routes
    }


def test_a_speaker_that_nobody_watches_notes_nothing() -> None:
    net = SimNetwork.parse("a-b", seed=1)
    net.run(seconds=10)
    assert net.nodes["a"].speaker.touched() == []
    assert net.nodes["a"].speaker.routes_for(Prefix.parse("2001:db8::/32"), net.now) == ()
