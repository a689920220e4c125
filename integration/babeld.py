"""Stock babeld over hand-made tunnels of wireguard-go, as a node of a lab mesh."""

import subprocess
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from babelwg.config.keys import link_local, public_of
from babelwg.lab.netns.mesh import Mesh

PROGRAMS = ("babeld", "wireguard-go", "wg")


class BabeldNode:
    """Runs babeld in a node that a mesh made without a daemon; its tunnels go to all its peers."""

    def __init__(self, mesh: Mesh, name: str, options: str = "") -> None:
        self.mesh, self.name, self.node = mesh, name, mesh.nodes[name]
        self.home = mesh.home(name)
        self.tunnels = [self._make_tunnel(peer) for peer in mesh.peers_of(name)]
        for address in mesh.topology.node(name).addresses:
            self.node.run("ip", "address", "add", str(address), "dev", "lo")
        lines = [f"interface {tunnel} type tunnel {options}" for tunnel in self.tunnels]
        lines += [f"redistribute local ip {prefix} allow" for prefix in mesh.topology.node(name).addresses]
        self.config = "\n".join([*lines, "redistribute local deny", f"local-path {self.socket}", ""])
        self.process: subprocess.Popen[Any] | None = None

    @property
    def socket(self) -> Path:
        """Where babeld answers."""
        return self.home / "babeld.sock"

    def start(self) -> None:
        """Start babeld and return when it answers."""
        (self.home / "babeld.conf").write_text(self.config)
        argv = ["babeld", "-c", str(self.home / "babeld.conf"), "-S", str(self.home / "babel-state")]
        with (self.home / "babeld.log").open("wb") as log:
            self.process = self.node.popen(*argv, "-I", str(self.home / "babeld.pid"), stdout=log, stderr=log)
        self.mesh.wait(f"babeld of {self.name} answers", self.socket.exists)

    def stop(self) -> None:
        """End babeld, which retracts what it announced."""
        if self.process is not None:
            self.process.terminate()
            self.process.wait()
            self.process = None

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
