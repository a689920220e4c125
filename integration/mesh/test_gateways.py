"""Two gateways and two source networks: whose packets leave where, and what happens when an uplink fails."""

import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from babelwg.lab.netns.mesh import Mesh
from babelwg.lab.netns.node import Node, connect
from integration.mesh.test_destinations import add, device

# An answer may take as long as it likes on a busy machine: only what stays out is a failure.
INTERVAL, TIMEOUT, FALL, RISE = 2.0, 2.0, 2, 2
FAR = {4: "203.0.113.9", 6: "2001:db8:ffff::9"}
NETWORKS = {
    4: {"1": "10.1.0.0/24", "2": "10.2.0.0/24"},
    6: {"1": "2001:db8:a1::/64", "2": "2001:db8:a2::/64"},
}
HOSTS = {4: {"1": "10.1.0.2", "2": "10.2.0.2"}, 6: {"1": "2001:db8:a1::2", "2": "2001:db8:a2::2"}}
# What each gateway asks; the world has these addresses, and loses them as the test says.
ASKED = {"g1": "192.0.2.101", "g2": "192.0.2.102"}
PREFERRED, OTHER = 0, 1000


def gateway_tables(name: str) -> str:
    text = ""
    for family, default in ((4, "0.0.0.0/0"), (6, "::/0")):
        for word, network in NETWORKS[family].items():
            text += (
                f'[[gateway]]\nprefix = "{default}"\nfrom = "{network}"\ninterface = "up"\n'
                f"metric = {PREFERRED if name.endswith(word) else OTHER}\n"
                f"interval = {INTERVAL}\ntimeout = {TIMEOUT}\nfall = {FALL}\nrise = {RISE}\n"
                f'check = [{{ ping = "{ASKED[name]}" }}]\n'
            )
    return text


class Internet:
    """A mesh with c between two source networks and two gateways, and the world behind those."""

    def __init__(self, mesh: Callable[..., Mesh], nodes: Any) -> None:
        self.mesh = m = mesh("g1 g2 c", "g1-c g2-c g1-g2", start=False)
        self.world: Node = nodes.add("world")
        self.lan: Node = nodes.add("lan")
        for number, name in enumerate(("g1", "g2"), 1):
            self._uplink(name, number)
        for address in (*FAR.values(), *ASKED.values()):
            self.world.ip(f"address add {address}/{128 if ':' in address else 32} dev lo")
        self.world.run("nft", "-f", "-", stdin=_COUNT)
        ours = ["10.1.0.1/24", "10.2.0.1/24", "2001:db8:a1::1/64", "2001:db8:a2::1/64"]
        theirs = [text.replace("1/", "2/") for text in ours]
        connect(m.nodes["c"], self.lan, "lan", "lan", ours, theirs)
        self.lan.ip("route add default via 10.1.0.1", "route add ::/0 via 2001:db8:a1::1")
        announced = json.dumps([*NETWORKS[4].values(), *NETWORKS[6].values()])
        add(m.home("c") / "babelwg.toml", "announce = []", f"announce = {announced}")
        m.start()

    def _uplink(self, name: str, number: int) -> None:
        ours = [f"198.51.101.{4 * number + 1}/30", f"2001:db8:e:{number}::1/64"]
        theirs = [f"198.51.101.{4 * number + 2}/30", f"2001:db8:e:{number}::2/64"]
        node = self.mesh.nodes[name]
        connect(node, self.world, "up", f"to-{name}", ours, theirs)
        for gateway in theirs:
            node.ip(f"route add default via {gateway.partition('/')[0]} dev up")
        path = self.mesh.home(name) / "babelwg.toml"
        path.write_text(path.read_text() + gateway_tables(name))

    def ways(self) -> dict[str, str | None]:
        """Return the gateway by whose uplink each source network's packets leave, by family and network."""
        return {
            f"{family} {word}": self._exit(FAR[family], host)
            for family, hosts in HOSTS.items()
            for word, host in hosts.items()
        }

    def _exit(self, address: str, source: str) -> str | None:
        """Follow a packet from kernel to kernel."""
        name, incoming = "c", "lan"
        for _ in range(3):
            way = device(self.mesh, name, address, "from", source, "iif", incoming)
            if way == "up":
                return name
            onward = [peer for peer in self.mesh.peers_of(name) if self.mesh.tunnel(name, peer) == way]
            if not onward:
                return None
            name, incoming = onward[0], self.mesh.tunnel(onward[0], name)
        return None

    def arrivals(self) -> dict[str, set[str]]:
        """Send from every network, and return by which uplinks the packets of each came to the world."""
        self.world.run("nft", "reset", "counters")
        for family, hosts in HOSTS.items():
            for host in hosts.values():
                self.lan.run("ping", "-n", "-c3", "-i0.05", "-W0.2", "-I", host, FAR[family], check=False)
        found: dict[str, set[str]] = {}
        for entry in json.loads(self.world.run("nft", "-j", "list", "counters"))["nftables"]:
            if "counter" in entry and entry["counter"]["packets"]:
                family, word, name = entry["counter"]["name"].lstrip("n").split("_")
                found.setdefault(f"{family} {word}", set()).add(name)
        return found

    def state(self, name: str) -> set[str]:
        return {gateway["state"] for gateway in self.mesh.ask(name, "gateways")}


_COUNT = "table inet count {\n" + "".join(
    f"counter n{family}_{word}_{name} {{ }}\n" for family in (4, 6) for word in "12" for name in ("g1", "g2")
)
_COUNT += "chain in { type filter hook input priority 0;\n" + "".join(
    f'iifname "to-{name}" {protocol} saddr {NETWORKS[family][word]} counter name n{family}_{word}_{name}\n'
    for family, protocol in ((4, "ip"), (6, "ip6"))
    for word in "12"
    for name in ("g1", "g2")
)
_COUNT += "}\n}\n"

EACH_BY_ITS_OWN = {"4 1": "g1", "4 2": "g2", "6 1": "g1", "6 2": "g2"}
ALL_BY_THE_OTHER = dict.fromkeys(EACH_BY_ITS_OWN, "g2")


def as_sets(ways: dict[str, str]) -> dict[str, set[str]]:
    return {key: {name} for key, name in ways.items()}


def test_each_source_leaves_by_its_gateway_and_by_the_other_while_that_one_fails(
    mesh: Callable[..., Mesh], nodes: Any, needs: Callable[..., None]
) -> None:
    needs("ping", "nft")
    net = Internet(mesh, nodes)
    m = net.mesh
    m.wait("each source has its gateway", lambda: net.ways() == EACH_BY_ITS_OWN)
    assert net.arrivals() == as_sets(EACH_BY_ITS_OWN)
    m.wait("nothing is wrong at g1", lambda: m.ask("g1", "status")["problems"] == [])
    # A plain default is nobody's: what has another source stays at home.
    assert device(m, "c", FAR[4], "from", "10.23.0.3") is None

    failed = time.monotonic()
    net.world.ip(f"address del {ASKED['g1']}/32 dev lo")
    m.wait("the check of g1 fails", lambda: net.state("g1") == {"withdrawn"})
    threshold = time.monotonic()
    assert threshold - failed > INTERVAL
    m.wait("traffic moves", lambda: net.ways() == ALL_BY_THE_OTHER)
    assert net.arrivals() == as_sets(ALL_BY_THE_OTHER)
    (reason,) = {p["reason"] for p in m.ask("g1", "status")["problems"]}
    assert reason.startswith(f"not announced: ping {ASKED['g1']}: ")
    assert reason.endswith("2 of 2 failed")
    # What comes to the failed gateway itself goes to the other one too, while its own probes stay at its uplink.
    for family in (4, 6):
        incoming = m.tunnel("g1", "c")
        assert device(m, "g1", FAR[family], "from", HOSTS[family]["1"], "iif", incoming) == m.tunnel(
            "g1", "g2"
        )
        assert device(m, "g1", FAR[family], "mark", "0x6277") == "up"

    net.world.ip(f"address add {ASKED['g1']}/32 dev lo")
    m.wait("it comes back", lambda: net.ways() == EACH_BY_ITS_OWN)
    assert net.arrivals() == as_sets(EACH_BY_ITS_OWN)

    m.nodes["g1"].ip("link set dev up down")
    m.wait("an uplink that goes fails at once", lambda: net.state("g1") == {"withdrawn"})
    m.wait("traffic moves again", lambda: net.ways() == ALL_BY_THE_OTHER)
    counters = m.ask("g1", "stats")["counters"]
    assert (counters["gateway.announced"], counters["gateway.withdrawn"]) == (8, 8)
    assert counters["gateway.probe_failed"] >= FALL


@pytest.mark.conformance("SS4-1")
def test_tunnels_are_never_routed_into_themselves(
    mesh: Callable[..., Mesh], probes: Callable[..., Any], needs: Callable[..., None]
) -> None:
    # a is the gateway of everybody, also for just the addresses that b's tunnels send from.
    needs("ping")
    m = mesh("a b c", "a-b b-c a-c", routed=True, start=False)
    defaults = ("0.0.0.0/0", "::/0", "0.0.0.0/0 from 198.51.100.0/24", "::/0 from 2001:db8:f::/48")
    tables = ""
    for text in defaults:
        prefix, _, source = text.partition(" from ")
        tables += f'[[gateway]]\nprefix = "{prefix}"\n' + (f'from = "{source}"\n' if source else "")
    path = m.home("a") / "babelwg.toml"
    path.write_text(path.read_text() + tables)
    for name in "bc":
        add(m.home(name) / "babelwg.toml", "[babel]\n", '[babel]\noverride = ["0.0.0.0/0", "::/0"]\n')
    m.start()
    m.wait(
        "b has them all",
        lambda: set(defaults) <= {r["prefix"] for r in m.ask("b", "routes") if r["installed"]},
    )
    own = {4: "198.51.100.5", 6: "2001:db8:f:1::1"}
    for family, address in own.items():
        far = FAR[family]
        assert device(m, "b", far, "from", address) == m.tunnel("b", "a"), f"{family}: what b itself sends"
        assert device(m, "b", far, "from", address, "mark", "0x6277") == "wan", (
            f"{family}: what its tunnels send"
        )
        assert device(m, "b", far) == m.tunnel("b", "a")
    running = probes(m, "b", "c")
    sessions = {peer["name"]: peer["rx_bytes"] for peer in m.ask("b", "status")["peers"]}
    m.wait(
        "the tunnels go on",
        lambda: all(p["rx_bytes"] > sessions[p["name"]] + 1000 for p in m.ask("b", "status")["peers"]),
    )
    now = time.monotonic()
    m.wait("all flows go on", lambda: running.heard_since(now))
    assert m.ask("b", "route_get", address=FAR[4], source=own[4])["prefix"] == defaults[2]
    assert m.ask("b", "route_get", address=FAR[4], source=own[4])["agrees"] is True
    assert m.ask("b", "route_get", address=FAR[4])["prefix"] == defaults[0]
