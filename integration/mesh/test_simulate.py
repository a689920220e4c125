"""What `simulate` predicts, compared with what a real mesh then does."""

import json
from collections.abc import Callable
from typing import Any

from babelwg.lab.netns.mesh import Mesh


def say(mesh: Mesh, name: str, *words: str) -> str:
    """Return what a command prints in a node."""
    return mesh.nodes[name].run(
        *mesh.command(), "--socket", str(mesh.home(name) / "control.sock"), *words, timeout=120
    )


def first_hops(mesh: Mesh, name: str, addresses: list[str]) -> dict[str, str | None]:
    """Return the peer to which a node's kernel sends each address."""
    peers = {mesh.tunnel(name, peer): peer for peer in mesh.peers_of(name)}
    devices = {address: mesh.kernel_device(name, address) for address in addresses}
    return {address: peers.get(device or "") for address, device in devices.items()}


def test_a_real_mesh_does_what_was_predicted(mesh: Callable[..., Mesh], needs: Callable[..., None]) -> None:
    #   a ---- b ---- d
    #    \     |
    #     \--- c
    needs("ip")
    m = mesh("a b c d", "a-b a-c b-c b-d", start=False)
    for name in m.nodes:
        # So dear that what the delay of a busy machine adds does not change which way is best.
        m.write_config(name, dict.fromkeys(m.peers_of(name), "cost = 1000\n"))
    m.start()
    m.wait("every node has a route to every other", m.converged)
    far = ["10.23.0.2", "10.23.0.3", "10.23.0.4"]
    before = dict(zip(far, "bcb", strict=True))
    m.wait("a goes the short ways", lambda: first_hops(m, "a", far) == before)

    def knows_all_links() -> bool:
        data = m.ask("a", "topology")
        return len(data["links"]) == 4 and sum(link["inferred"] for link in data["links"]) == 2

    m.wait("a knows all four links", knows_all_links)
    words = ["simulate", "--fail-link", "a-b", "--hello-interval", "0.5", "--json"]
    (phase,) = json.loads(say(m, "a", *words))["data"]["phases"]
    moves: dict[str, Any] = {move["prefix"].partition("/")[0]: move for move in phase["moves"]}
    assert moves["10.23.0.2"]["before"]["via"] == "b"
    predicted = {
        address: (moves[address]["after"] or {}).get("via") if address in moves else before[address]
        for address in far
    }
    assert predicted == dict.fromkeys(far, "c")
    m.cut("a", "b")
    m.wait("the mesh does as it was told", lambda: first_hops(m, "a", far) == predicted)
    m.wait("the dead link is known as one", lambda: "a-b" in say(m, "a", "simulate", "--fail-link", "a-c"))


def test_graphs_come_out_of_a_live_mesh(mesh: Callable[..., Mesh], needs: Callable[..., None]) -> None:
    needs("ip")
    m = mesh("a b c", "a-b b-c")
    m.wait("every node has a route to every other", m.converged)
    graph = json.loads(say(m, "a", "topology", "--format", "netjson"))
    assert (len(graph["nodes"]), len(graph["links"])) == (3, 2)
    assert {node["label"] for node in graph["nodes"]} >= {"a", "b"}
    assert say(m, "a", "topology", "--format", "dot").count(" -- ") == 2
    assert say(m, "b", "topology", "-o", "tsv").count("\n") == 3
