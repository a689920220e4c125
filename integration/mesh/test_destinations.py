"""Learned routes beside the operator's own: each packet goes where the longest destination says."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from babelwg.lab.netns.mesh import Mesh
from babelwg.lab.netns.node import connect

MARK = "0x6277"
OVERRIDE = 'override = ["::/0", "0.0.0.0/0"]\n'
# What each destination shows: the learned default, the LAN, the static /12 (and /32), the mesh network inside it.
FAR = ("203.0.113.9", "2001:db8:9999::9")
LAN = ("10.9.0.5", "2001:db8:1::5")
STATIC = ("172.16.1.1", "2001:db8:a000::1")
MESH = ("172.20.5.5", "2001:db8:a005::5")


def device(mesh: Mesh, name: str, address: str, *more: str) -> str | None:
    """Return the interface that a node's kernel takes, None for unreachable."""
    words = mesh.nodes[name].run("ip", "route", "get", address, *more, check=False).split()
    return words[words.index("dev") + 1] if "dev" in words and words[0] != "unreachable" else None


def give_lan(mesh: Mesh, name: str) -> None:
    """Give a node a LAN with a router, and static routes through it."""
    connect(mesh.nodes[name], mesh.nodes["router"], "lan", f"lan-{name}", ["10.9.0.1/24", "2001:db8:1::1/64"])
    mesh.nodes[name].ip(
        "route add 172.16.0.0/12 via 10.9.0.2 dev lan",
        "route add 2001:db8:a000::/35 via 2001:db8:1::2 dev lan",
    )


def add(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_every_packet_goes_where_the_longest_destination_says(
    mesh: Callable[..., Mesh], probes: Callable[..., Any], needs: Callable[..., None]
) -> None:
    needs("ping")
    m = mesh("a b c", "a-b b-c a-c", routed=True, start=False)
    for name in "abc":
        give_lan(m, name)
    # a is the gateway, b has the mesh network inside the static one, c and b let the learned default win.
    add(m.home("a") / "babelwg.toml", "announce = []", 'announce = ["0.0.0.0/0", "::/0"]')
    add(m.home("b") / "babelwg.toml", "announce = []", 'announce = ["172.20.5.0/24", "2001:db8:a005::/48"]')
    for name in "bc":
        add(m.home(name) / "babelwg.toml", "[babel]\n", f"[babel]\n{OVERRIDE}")
    m.start()
    m.wait("every node has a route to every other", m.converged)
    # Right after the start the costs of links are not settled, and a packet may take the longer way for a while.
    m.wait("every packet goes where it should", lambda: not misled(m))
    running = probes(m, "b", "c")
    sessions = {peer["name"]: peer["rx_bytes"] for peer in m.ask("c", "status")["peers"]}
    m.wait("the tunnels go on", lambda: grown(m, sessions))
    assert set(running.lost().values()) == {0}


def misled(mesh: Mesh) -> list[str]:
    """Return which packets of which nodes go elsewhere than the longest destination says."""
    found = []
    for name in "abc":
        to = {other: mesh.tunnel(name, other) for other in "abc" if other != name}
        network = (
            to["b"] if name != "b" else None
        )  # inside b, what it announces and does not hold goes nowhere
        ways = [(address, "", to.get("a", "wan")) for address in FAR]
        ways += [(address, MARK, "wan") for address in FAR]  # WireGuard's own packets
        ways += [(address, "", "lan") for address in LAN + STATIC]
        ways += [(address, "", network) for address in MESH]
        for other in to:
            endpoint = mesh.links[frozenset((name, other))].addresses[other]
            ways.append((endpoint, MARK, "wan"))
        for address, mark, expected in ways:
            taken = device(mesh, name, address, *(("mark", mark) if mark else ()))
            if taken != expected:
                found.append(f"{name}: {address} mark {mark or 0}: {taken}, not {expected}")
    return found


def grown(mesh: Mesh, before: dict[str, int]) -> bool:
    """Return whether every tunnel of c has received more than before."""
    return all(peer["rx_bytes"] > before[peer["name"]] for peer in mesh.ask("c", "status")["peers"])


def test_without_override_the_operators_default_stays(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("ping")
    m = mesh("a b", "a-b", routed=True, start=False)
    add(m.home("a") / "babelwg.toml", "announce = []", 'announce = ["0.0.0.0/0", "::/0"]')
    m.start()
    m.wait("b has learned the default", lambda: len(m.ask("b", "routes")) >= 4)
    assert {device(m, "b", address) for address in FAR} == {"wan"}
    m.nodes["b"].run("ip", "-4", "route", "del", "default", "dev", "wan")
    m.nodes["b"].run("ip", "-6", "route", "del", "default", "dev", "wan")
    m.wait(
        "the learned default serves instead", lambda: {device(m, "b", x) for x in FAR} == {m.tunnel("b", "a")}
    )


def test_in_table_main_a_route_that_covers_an_endpoint_is_refused_and_shown(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("ping")
    m = mesh("a b", "a-b", routed=True, start=False)
    add(m.home("a") / "babelwg.toml", "announce = []", 'announce = ["198.51.0.0/16", "203.0.113.0/24"]')
    add(m.home("b") / "babelwg.toml", "[babel]\n", '[babel]\ntable = "main"\n')
    m.start()
    m.wait("b reaches a", m.converged)
    m.wait("b has the harmless route", lambda: device(m, "b", "203.0.113.9") == m.tunnel("b", "a"))
    assert "203.0.113.0/24" in m.nodes["b"].run("ip", "route", "show", "table", "main", "proto", "42")
    assert "6696" not in m.nodes["b"].run("ip", "rule")
    assert device(m, "b", "198.51.100.1") == "wan"
    told = {problem["subject"]: problem["reason"] for problem in m.ask("b", "status")["problems"]}
    assert "it covers the endpoint 198.51.100.1 of a tunnel" in told["198.51.0.0/16"]


def test_what_ones_own_kernel_does_not_follow_is_not_announced(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    # a is the gateway; b keeps its own default, so it must not draw c's traffic and send it out of its own uplink.
    needs("ping")
    m = mesh("a b c", "a-b b-c", routed=True, start=False)
    add(m.home("a") / "babelwg.toml", "announce = []", 'announce = ["0.0.0.0/0", "::/0", "fd00:aa::/64"]')
    add(m.home("c") / "babelwg.toml", "[babel]\n", f"[babel]\n{OVERRIDE}")
    m.start()
    m.wait("every node has a route to every other", m.converged)
    m.wait("b knows a's default", lambda: "::/0" in {r["prefix"] for r in m.ask("b", "routes")})
    # What a announced together with it has come as far as c.
    m.wait("c has a's network", lambda: device(m, "c", "fd00:aa::1") == m.tunnel("c", "b"))
    assert not {"0.0.0.0/0", "::/0"} & {r["prefix"] for r in m.ask("c", "routes")}
    assert {device(m, "c", address) for address in FAR} == {"wan"}
    for family in ("-4", "-6"):
        m.nodes["b"].run("ip", family, "route", "del", "default", "dev", "wan")
        # WireGuard's own packets still need a way.
        m.nodes["b"].run("ip", family, "route", "add", *underlay_route(family))
    m.wait(
        "c learns the default as soon as b follows it",
        lambda: {device(m, "c", x) for x in FAR} == {m.tunnel("c", "b")},
    )


def underlay_route(family: str) -> list[str]:
    if family == "-4":
        return ["198.51.100.0/24", "via", "198.51.100.6", "dev", "wan"]
    return ["2001:db8:f::/48", "via", "2001:db8:f:1::2", "dev", "wan"]
