"""FRR 8.4 as a Babel router: zebra and FRR's own babeld, with all their sockets in the node's private /run."""

from pathlib import Path

from integration.bench.common import wait
from integration.interop.routers.router import Router

LIBRARY = Path("/usr/lib/frr")
HOME = Path("/run/frr")  # FRR looks for its sockets here, and each node has a /run of its own
HELLO_INTERVAL, UPDATE_INTERVAL = 500, 2000  # milliseconds


class FrrRouter(Router):
    """FRR's babeld: RFC 6126, IPv4 through IPv4 next hops only, no source-specific routes, no MAC.

    It cannot choose among the connected networks that it redistributes, so it also announces those of its links,
    which every other daemon here has itself and must leave alone.
    """

    kind = "frr"
    programs = (str(LIBRARY / "zebra"), str(LIBRARY / "babeld"), "vtysh")

    def reconfigure(self) -> None:
        """Tell the running babeld what its links cost now; the kernel tells it the rest."""
        for port in self.ports.values():
            self.vtysh("configure terminal", f"interface {port.interface}", f"babel rxcost {port.cost}")

    def vtysh(self, *commands: str) -> str:
        """Return what FRR's shell prints for some commands."""
        words = [word for command in commands for word in ("-c", command)]
        return self.node.run("vtysh", "--vty_socket", str(HOME), *words)

    def _launch(self) -> None:
        # The daemons give up root before they read their files, which is why these are not with the other logs.
        self.node.run("install", "-d", "-o", "frr", "-g", "frr", "-m", "0755", str(HOME))
        self._write("zebra.conf", f"hostname {self.name}\n")
        self._write("babeld.conf", f"hostname {self.name}\n")
        for daemon, sign in (("zebra", "zserv.api"), ("babeld", "babeld.vty")):
            self.node.run("rm", "-f", str(HOME / sign))
            words = ["-f", str(HOME / f"{daemon}.conf"), "-i", str(HOME / f"{daemon}.pid")]
            self._run(daemon, str(LIBRARY / daemon), *words, "-A", "127.0.0.1", "-P", "0", "--log", "stdout")
            # The node's own /run, seen from here.
            self._await_socket(Path(f"/proc/{self.node.pid}/root{HOME}/{sign}"))
        # Known fault of FRR 8.4: a network that stands in the file is enabled twice, before and after zebra has told of
        # the interface; the second time its group is taken already, and the interface stays silent.
        self._await_interfaces()
        self.vtysh("configure terminal", *self._config())

    def _await_interfaces(self) -> None:
        """Wait until zebra has told babeld of all our links."""
        names = [port.interface for port in self.ports.values()]
        wait(
            "zebra has told of the links",
            lambda: all(n in self.vtysh("show babel interface") for n in names),
            20,
        )

    def _write(self, name: str, text: str) -> None:
        script = 'cat >"$1" && chown frr:frr "$1"'
        self.node.run("sh", "-c", script, "write", str(HOME / name), stdin=text)

    def _config(self) -> list[str]:
        lines = []
        for port in self.ports.values():
            assert not port.keys and port.kind == "wired", "FRR has neither keys nor tunnels"
            # `wired` first: it sets the cost to its default.
            lines += [f"interface {port.interface}", "babel wired", f"babel rxcost {port.cost}"]
            lines += [
                f"babel hello-interval {HELLO_INTERVAL}",
                f"babel update-interval {UPDATE_INTERVAL}",
                "exit",
            ]
        lines += ["router babel", "babel smoothing-half-life 0"]
        lines += [f"network {port.interface}" for port in self.ports.values()]
        return [*lines, "redistribute ipv4 connected", "redistribute ipv6 connected"]
