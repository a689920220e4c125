"""A summary says of the tables what a snapshot of the same moment says, without their rows."""

from collections import Counter

from babelwg.babel.snapshot import Snapshot, Summary
from babelwg.babel.speaker import Speaker
from babelwg.lab.simulator.network import SimNetwork


def originators(snapshot: Snapshot) -> dict[tuple[str, bytes], set[bytes]]:
    own: dict[tuple[str, bytes], set[bytes]] = {}
    for route in snapshot.routes:
        if route.refmetric == 0:
            own.setdefault((route.interface, route.neighbour), set()).add(route.router_id)
    return own


def check(speaker: Speaker, now: float) -> Summary:
    """Compare the two, and return the summary."""
    summary, snapshot = speaker.summary(now), speaker.snapshot(now)
    for field in ("router_id", "seqno", "interfaces", "neighbours", "xroutes", "recovering"):
        assert getattr(summary, field) == getattr(snapshot, field), field
    assert summary.routes == Counter((route.prefix.family, route.state) for route in snapshot.routes)
    assert (summary.sources, summary.held) == (len(snapshot.sources), len(snapshot.held))
    selected = [route for route in snapshot.routes if route.state == "selected"]
    ways = {
        route.router_id: {r.interface for r in selected if r.router_id == route.router_id}
        for route in selected
    }
    assert summary.ways == ways
    assert {key: {*ids} for key, ids in speaker.originators().items()} == originators(snapshot)
    return summary


def test_a_summary_counts_what_a_snapshot_lists_in_every_state() -> None:
    #   a ---96--- b
    #    \        /
    #    300     96     the ways through each other are unfeasible, and with d its routes are retracted
    #      \    /
    #         c --- d
    net = SimNetwork.parse("a-b:96 b-c:96 a-c:300 c-d:96", seed=1)
    seen: set[str] = set()
    for step in range(60):
        if step == 20:
            net.cut("c", "d")
        net.run(seconds=2)
        for name in "abc":
            speaker = net.nodes[name].speaker
            assert speaker is not None
            seen |= {state for _, state in check(speaker, net.now).routes}
    assert {"selected", "feasible", "unfeasible", "retracted"} <= seen
