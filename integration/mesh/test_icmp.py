"""Tunnels have no IPv4 address, yet a relay's errors come from a sensible one (RFC 9229, section 3)."""

from collections.abc import Callable

import pytest

from babelwg.lab.netns.mesh import Mesh

DUMMY = "192.0.0.8"  # RFC 7600, for a router without any IPv4 address


def answering(mesh: Mesh, source: str, address: str) -> str:
    """Return who answers a packet whose hop limit ends at the first relay."""
    words = mesh.nodes[source].run("ping", "-n", "-c1", "-W2", "-t1", address, check=False).split()
    return words[words.index("From") + 1] if "From" in words else ""


def ipv4_of_tunnels(mesh: Mesh) -> str:
    return "".join(
        mesh.nodes[name].run("ip", "-4", "-o", "address", "show", "dev", mesh.tunnel(name, peer))
        for name in mesh.daemons
        for peer in mesh.peers_of(name)
    )


@pytest.mark.conformance("V3-1", "V3-2", "V3-3")
def test_a_relay_answers_from_its_node_address(mesh: Callable[..., Mesh], needs: Callable[..., None]) -> None:
    needs("ping")
    m = mesh("a b c", "a-b b-c")
    m.wait("every node has a route to every other", m.converged)
    assert ipv4_of_tunnels(m) == ""
    m.wait(
        "b forwards", lambda: "1 received" in m.nodes["a"].run("ping", "-c1", "-W2", "10.23.0.3", check=False)
    )
    assert answering(m, "a", "10.23.0.3") == "10.23.0.2"
    assert answering(m, "c", "10.23.0.1") == "10.23.0.2"


@pytest.mark.conformance("V3-1", "V3-2", "V3-3")
def test_a_relay_without_any_ipv4_address_answers_from_the_dummy(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("ping")
    # Every other tunnel runs over IPv6: those of b, which has nothing else.
    m = mesh("a b c d", "a-d a-b c-d b-c", routed=True, start=False, without_daemon=frozenset("d"))
    config = m.home("b") / "babelwg.toml"
    config.write_text(config.read_text().replace(', "10.23.0.2/32"', ""))
    m.nodes["b"].run("ip", "-4", "address", "flush", "dev", "wan")
    m.start()
    m.wait(
        "a and c have a way to each other", lambda: m.kernel_device("a", "10.23.0.3") == m.tunnel("a", "b")
    )
    m.wait(
        "b forwards", lambda: "1 received" in m.nodes["a"].run("ping", "-c1", "-W2", "10.23.0.3", check=False)
    )
    assert m.nodes["b"].run("ip", "-4", "-o", "address", "show", "scope", "global") == ""
    assert answering(m, "a", "10.23.0.3") == DUMMY
