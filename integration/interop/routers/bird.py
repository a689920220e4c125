"""BIRD 2.0.12 as a Babel router: its configuration, and changes through its control socket."""

from ipaddress import ip_network
from pathlib import Path

from integration.interop.routers.router import Port, Router

# BIRD's timers have a floor of about a second.
HELLO_INTERVAL, UPDATE_INTERVAL = 1, 4  # seconds
ALGORITHMS = {"hmac-sha256": "hmac sha256", "blake2s128": "blake2s128"}


class BirdRouter(Router):
    """BIRD with `protocol babel`, IPv4 and IPv6, whose kernel protocols write into main.

    With a source prefix its IPv6 table is `ipv6 sadr`: a Babel instance has either that or plain IPv6.
    It has no RTT metric and no IPv4 routes with IPv6 next hops.
    """

    kind = "bird"
    programs = ("bird", "birdc")

    @property
    def socket(self) -> Path:
        """Where birdc finds BIRD."""
        return self.home / "bird.ctl"

    def reconfigure(self) -> None:
        """Write the configuration and have BIRD read it."""
        self._write_config()
        answer = self.birdc("configure")
        assert "Reconfigur" in answer, f"BIRD of {self.name} does not take its configuration:\n{answer}"

    def birdc(self, *words: str) -> str:
        """Return what birdc prints for one command."""
        return self.node.run("birdc", "-s", str(self.socket), *words)

    def neighbours(self) -> set[str]:
        """Return the interfaces with a neighbour over which packets go both ways."""
        # Address, interface, metric and more; a metric of 65535 is infinity.
        rows = [line.split() for line in self.birdc("show", "babel", "neighbors").splitlines()]
        return {
            r[1] for r in rows if len(r) > 2 and r[0].startswith("fe80:") and r[2] not in ("65535", "inf")
        }

    def _offer(self, prefix: str, present: bool) -> None:
        if " from " not in prefix:
            self._set_address(prefix, present)
        if self.running:
            self.reconfigure()

    def _launch(self) -> None:
        self.socket.unlink(missing_ok=True)
        words = ["bird", "-f", "-c", str(self._write_config()), "-s", str(self.socket)]
        self._run("bird", *words, "-P", str(self.home / "bird.pid"))
        self._await_socket(self.socket)

    def _write_config(self) -> Path:
        path = self.home / "bird.conf"
        path.write_text(self._config())
        return path

    def _config(self) -> str:
        sadr = self.options.source is not None
        ipv6 = (
            "ipv6 sadr { table t6; import all; export all; }"
            if sadr
            else "ipv6 { table t6; import all; export all; }"
        )
        kernel6 = ipv6.replace("import all; export all", "import none; export where source = RTS_BABEL")
        interfaces = "".join(self._interface(port) for port in self.ports.values())
        # A route of `static` gives BIRD something to announce; only what Babel learned goes to the kernel.
        return f"""log stderr all;
router id 10.23.0.{self.number};
ipv4 table t4;
{"ipv6 sadr table t6" if sadr else "ipv6 table t6"};
protocol device {{ scan time 1; }}
protocol kernel kernel4 {{ scan time 5; ipv4 {{ table t4; import none; export where source = RTS_BABEL; }}; }}
protocol kernel kernel6 {{ scan time 5; {kernel6}; }}
protocol static static4 {{ ipv4 {{ table t4; }};{self._static(4, sadr)} }}
protocol static static6 {{ {"ipv6 sadr" if sadr else "ipv6"} {{ table t6; }};{self._static(6, sadr)} }}
protocol babel babel1 {{
    randomize router id yes;
    ipv4 {{ table t4; import all; export all; }};
    {ipv6};
{interfaces}}}
"""

    def _static(self, family: int, sadr: bool) -> str:
        lines = []
        for prefix in self.announced:
            destination, _, source = prefix.partition(" from ")
            if ip_network(destination).version != family:
                continue
            suffix = f" from {source or '::/0'}" if sadr and family == 6 else ""
            lines.append(f"\n    route {destination}{suffix} blackhole;")
        return "".join(lines)

    def _interface(self, port: Port) -> str:
        lines = [
            "type wired;",
            f"rxcost {port.cost};",
            f"hello interval {HELLO_INTERVAL} s;",
            f"update interval {UPDATE_INTERVAL} s;",
        ]
        if port.keys:
            lines.append("authentication mac;")
        lines += [f'password "{k.text}" {{ algorithm {ALGORITHMS[k.algorithm]}; }};' for k in port.keys]
        body = "".join(f"        {line}\n" for line in lines)
        return f'    interface "{port.interface}" {{\n{body}    }};\n'
