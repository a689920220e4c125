"""Stock babeld and BIRD over hand-made tunnels of wireguard-go, as a node of a lab mesh."""

import subprocess
from ipaddress import ip_address, ip_interface
from pathlib import Path
from typing import Any

from babelwg.config.keys import link_local, public_of
from babelwg.lab.netns.mesh import Mesh

PROGRAMS = ("babeld", "wireguard-go", "wg")


class StockNode:
    """A node that a mesh made without a daemon: tunnels to all its peers, and another program that routes over them."""

    def __init__(self, mesh: Mesh, name: str) -> None:
        self.mesh, self.name, self.node = mesh, name, mesh.nodes[name]
        self.home = mesh.home(name)
        self.tunnels = [self._make_tunnel(peer) for peer in mesh.peers_of(name)]
        for address in mesh.topology.node(name).addresses:
            self.node.run("ip", "address", "add", str(address), "dev", "lo")
        self.process: subprocess.Popen[Any] | None = None

    def stop(self) -> None:
        """End the program, which retracts what it announced."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

    def _run(self, kind: str, argv: list[str], socket: Path) -> None:
        with (self.home / f"{kind}.log").open("wb") as log:
            self.process = self.node.popen(*argv, stdout=log, stderr=log)
        self.mesh.wait(f"{kind} of {self.name} answers", socket.exists)

    def _make_tunnel(self, peer: str) -> str:
        name, node, mesh = self.mesh.tunnel(self.name, peer), self.node, self.mesh
        key = self.home / "node.key"
        underlay = mesh.links[frozenset((self.name, peer))]
        node.run("wireguard-go", name)
        port = 51820 + mesh.peers_of(self.name).index(peer)
        node.run("wg", "set", name, "private-key", str(key), "listen-port", str(port))
        endpoint = f"{underlay.addresses[peer]}:{mesh.port(peer, self.name)}"
        public = str(public_of(mesh.keys[peer]))
        node.run("wg", "set", name, "peer", public, "endpoint", endpoint, "allowed-ips", "::/0,0.0.0.0/0")
        address = f"{ip_address(link_local(public_of(mesh.keys[self.name])))}/64"
        node.ip(f"link set {name} multicast on mtu 1420", f"link set {name} addrgenmode none")
        node.ip(f"address add {address} dev {name}", f"link set {name} up")
        return name


class BabeldNode(StockNode):
    """Runs babeld."""

    def __init__(self, mesh: Mesh, name: str, options: str = "") -> None:
        super().__init__(mesh, name)
        lines = [f"interface {tunnel} type tunnel {options}" for tunnel in self.tunnels]
        lines += [f"redistribute local ip {prefix} allow" for prefix in mesh.topology.node(name).addresses]
        self.config = "\n".join([*lines, "redistribute local deny", f"local-path {self.socket}", ""])

    @property
    def socket(self) -> Path:
        """Where babeld answers."""
        return self.home / "babeld.sock"

    def start(self) -> None:
        """Start babeld and return when it answers."""
        (self.home / "babeld.conf").write_text(self.config)
        argv = ["babeld", "-c", str(self.home / "babeld.conf"), "-S", str(self.home / "babel-state")]
        self._run("babeld", [*argv, "-I", str(self.home / "babeld.pid")], self.socket)


class BirdNode(StockNode):
    """Runs BIRD with its defaults; over tunnels without IPv4 addresses it routes IPv6 only."""

    @property
    def socket(self) -> Path:
        """Where BIRD answers."""
        return self.home / "bird.ctl"

    def start(self) -> None:
        """Start BIRD and return when it answers."""
        # Unlike babeld, it leaves that to the operator.
        self.node.run("sysctl", "-qw", "net.ipv6.conf.all.forwarding=1")
        mine = [ip_interface(str(address)) for address in self.mesh.topology.node(self.name).addresses]
        routes = " ".join(f"route {address.network} blackhole;" for address in mine if address.version == 6)
        number = sorted(self.mesh.nodes).index(self.name) + 1
        (self.home / "bird.conf").write_text(BIRD.format(number=number, routes=routes))
        argv = ["bird", "-f", "-c", str(self.home / "bird.conf"), "-s", str(self.socket)]
        self._run("bird", [*argv, "-P", str(self.home / "bird.pid")], self.socket)


BIRD = """log stderr all;
router id 192.0.2.{number};
protocol device {{ scan time 1; }}
protocol kernel {{ ipv6 {{ import none; export where source = RTS_BABEL; }}; }}
protocol static {{ ipv6; {routes} }}
protocol babel {{
    ipv6 {{ import all; export all; }};
    interface "bw-*" {{ type wired; }};
}}
"""
