"""LAN interfaces that come, go and get other names; kernel tables that routes come from and go to."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from babelwg.lab.netns.mesh import Mesh
from babelwg.lab.netns.node import connect, disconnect
from integration.bench.common import wait
from integration.mesh.test_lan import babel_routes, reached, start

QUICK = "default type wired hello-interval 0.3\n"


@contextmanager
def daemons(homes: dict[Path, tuple[Any, str]]) -> Iterator[dict[str, Any]]:
    """Run one babelwg for each directory: its node and configuration; give the processes by name."""
    running: dict[str, Any] = {}
    try:
        for home, (node, config) in homes.items():
            running[home.name] = start(node, home, "babelwg", f"state-file {home}/state\n{config}")
        yield running
    finally:
        for process in running.values():
            process.kill()
            process.wait()


def table(node: Any, number: int, family: int = 4) -> str:
    return str(node.run("ip", f"-{family}", "route", "show", "table", str(number), check=False))


def give_addresses(*nodes: Any) -> None:
    for number, node in enumerate(nodes, 1):
        node.ip(f"address add fd00:77::{number}/128 dev lo", f"address add 10.23.0.{number}/32 dev lo")


def test_interfaces_of_a_pattern_come_go_and_are_renamed(
    nodes: Any, tmp_path: Path, needs: Callable[..., None]
) -> None:
    needs("ip")
    a, b = nodes.add("a"), nodes.add("b")
    give_addresses(a, b)
    config = f"{QUICK}interface eth*\ninterface lan? type tunnel\n"
    config += "redistribute local ip fd00::/8\nredistribute local deny\n"
    with daemons({tmp_path / "a": (a, config), tmp_path / "b": (b, config)}):
        connect(a, b, "eth0", "eth7")
        wait("they meet on what appeared", lambda: "dev eth0" in babel_routes(a).get("fd00:77::2", ""))
        a.ip("link set eth0 down", "link set eth0 name lan0", "link set lan0 up")
        wait("they meet under the new name", lambda: "dev lan0" in babel_routes(a).get("fd00:77::2", ""))
        disconnect(a, "lan0")
        wait("the route goes with the interface", lambda: "fd00:77::2" not in reached(a))
        # Another interface by the old name, and one that no pattern is for.
        connect(a, b, "wan0", "wan0")
        connect(a, b, "eth0", "eth1")
        wait("they meet again", lambda: "dev eth0" in babel_routes(a).get("fd00:77::2", ""))
        # A part of a bridge is not an interface of its own.
        a.ip("link add eth-br type bridge", "link set eth-br up", "link set eth0 master eth-br")
        wait("they meet on the bridge", lambda: "dev eth-br" in babel_routes(a).get("fd00:77::2", ""))


def test_routes_that_go_with_an_ipv4_address_of_a_lan_come_back_with_it(
    nodes: Any, tmp_path: Path, needs: Callable[..., None]
) -> None:
    needs("ip")
    a, b = nodes.add("a"), nodes.add("b")
    connect(a, b, "e0", "e0", ["192.0.2.1/24"], ["192.0.2.2/24"])
    give_addresses(a, b)
    config = f"{QUICK}interface e0\nredistribute local ip 10.23.0.0/16\nredistribute local deny\n"
    config += "kernel-check-interval 300\n"

    def is_back() -> bool:
        return "via 192.0.2.2 dev e0" in babel_routes(a).get("10.23.0.2", "")

    with daemons({tmp_path / "a": (a, config), tmp_path / "b": (b, config)}) as running:
        wait("they meet", is_back)
        # Nobody is there to see that it is gone for a moment.
        running["a"].send_signal(signal.SIGSTOP)
        a.ip("address del 192.0.2.1/24 dev e0", "address add 192.0.2.1/24 dev e0")
        dropped = babel_routes(a)
        running["a"].send_signal(signal.SIGCONT)
        assert "10.23.0.2" not in dropped, "the kernel drops what leads over the interface"
        wait("the route is back", is_back, 5.0)
        a.ip("address del 192.0.2.1/24 dev e0")
        wait(
            "the kernel refuses it meanwhile", lambda: "route-refused" in (tmp_path / "a" / "log").read_text()
        )
        a.ip("address add 192.0.2.1/24 dev e0")
        wait("the route is back again", is_back, 5.0)


def test_routes_come_from_and_go_to_the_tables_that_are_named(
    nodes: Any, tmp_path: Path, needs: Callable[..., None]
) -> None:
    needs("ip")
    a, b = nodes.add("a"), nodes.add("b")
    connect(a, b, "e0", "e0", ["192.0.2.1/24"], ["192.0.2.2/24"])
    give_addresses(a, b)
    sender = (
        f"{QUICK}interface e0\nimport-table 50\nimport-table 51\n"
        "redistribute proto 4 ip 10.50.0.0/16 src-prefix 10.0.0.0/8\nredistribute proto 4\nredistribute local deny\n"
    )
    receiver = (
        f"{QUICK}interface e0\nexport-table 60\n"
        "install ip 10.51.0.0/16 table 61\ninstall ip 10.23.0.0/16 pref-src 10.23.0.2\n"
        "install ip 10.52.0.0/16 deny\nredistribute local deny\n"
    )
    for number in (50, 51, 52):
        where = "main" if number == 52 else number
        a.run(
            "ip",
            "route",
            "add",
            f"10.{number}.0.0/16",
            "via",
            "192.0.2.77",
            "proto",
            "4",
            "table",
            str(where),
        )
    a.run("ip", "route", "add", "10.52.0.0/16", "via", "192.0.2.77", "proto", "4", "table", "51")
    a.run(
        "ip", "-6", "route", "add", "::/0", "from", "fd00:aa::/48", "dev", "e0", "proto", "4", "table", "50"
    )
    a.run("ip", "route", "add", "10.23.9.0/24", "via", "192.0.2.77", "proto", "4", "table", "51")
    # A stranger's route in a table that a filter names, over an interface that is not Babel's.
    connect(a, b, "other", "other")
    b.run("ip", "route", "add", "10.99.0.0/16", "dev", "other", "proto", "42", "table", "61")
    with daemons({tmp_path / "a": (a, sender), tmp_path / "b": (b, receiver)}) as running:
        wait("the default for a source", lambda: "from fd00:aa::/48" in table(b, 60, 6))
        wait("the filter's table", lambda: "10.51.0.0/16" in table(b, 61))
        wait("the preferred source", lambda: "src 10.23.0.2" in table(b, 60))
        wait("the source table", lambda: "10.50.0.0/16" in table(b, 6701))
        assert "from 10.0.0.0/8 lookup 6701" in b.run("ip", "rule")
        assert "10.52.0.0/16" not in table(b, 60)
        a.run("ip", "route", "del", "10.51.0.0/16", "table", "51")
        wait("it is withdrawn", lambda: "10.51.0.0/16 via" not in table(b, 61))
        a.run("ip", "route", "add", "10.51.0.0/16", "via", "192.0.2.77", "proto", "4", "table", "51")
        wait("it is back", lambda: "10.51.0.0/16 via" in table(b, 61))
        # What was there before a kill is found again in every table, and withdrawn at the end.
        running["b"].send_signal(signal.SIGKILL)
        running["b"].wait()
        assert "10.51.0.0/16" in table(b, 61)
        (tmp_path / "b" / "conf").rename(tmp_path / "b-conf")
        with daemons({tmp_path / "b2": (b, receiver)}) as again:
            wait("it answers", (tmp_path / "b2" / "control.sock").exists)
            assert "10.51.0.0/16" in table(b, 61)
            wait(
                "neighbours are back",
                lambda: "neighbour-acquired" in (tmp_path / "b2" / "log").read_text(),
                60,
            )
            again["b2"].terminate()
            again["b2"].wait()
        assert (table(b, 60), table(b, 60, 6), table(b, 6701)) == ("", "", "")
        assert table(b, 61).split()[0] == "10.99.0.0/16"
        assert len(table(b, 61).splitlines()) == 1
        assert "6701" not in b.run("ip", "rule")


def test_babel_runs_on_a_lan_beside_tunnels(mesh: Callable[..., Mesh], needs: Callable[..., None]) -> None:
    needs("ip")
    m = mesh("a b c", "a-b b-c", start=False)
    (m.home("b") / "lan.conf").write_text(f"{QUICK}interface *\n")
    (m.home("c") / "lan.conf").write_text(f"{QUICK}interface eth*\n")
    for name in "bc":
        path = m.home(name) / "babelwg.toml"
        path.write_text(path.read_text().replace("[babel]\n", '[babel]\nconfig = "lan.conf"\n'))
    m.start()
    m.wait("every node has a route to every other", m.converged)
    connect(m.nodes["b"], m.nodes["c"], "eth0", "eth0")
    m.wait("both speak on the new LAN", lambda: lan_neighbours(m, "b") >= 1)
    kinds = {i["name"]: i["kind"] for i in m.ask("b", "interfaces")}
    assert kinds[m.tunnel("b", "c")] == "tunnel"
    assert kinds["eth0"] == "wired"
    assert "lo" not in kinds
    m.cut("b", "c")
    m.wait("the LAN serves instead", lambda: m.kernel_device("a", "10.23.0.3") == m.tunnel("a", "b"))
    m.wait("b goes by the LAN", lambda: m.kernel_device("b", "10.23.0.3") == "eth0")
    disconnect(m.nodes["b"], "eth0")
    m.wait("the interface is forgotten", lambda: "eth0" not in {i["name"] for i in m.ask("b", "interfaces")})


def lan_neighbours(mesh: Mesh, name: str) -> int:
    return sum(neighbour["interface"] == "eth0" for neighbour in mesh.ask(name, "neighbours"))
