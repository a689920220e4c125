"""`babelwg demo`: four nodes with real tunnels, real pings, one cut, one reroute through a third node, one return."""

import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from babelwg.lab.netns.mesh import Mesh, MeshError
from babelwg.lab.netns.node import CommandError
from babelwg.lab.netns.pinger import Pinger
from babelwg.lab.topology import Topology
from babelwg.linux.netns import NamespaceError, enter_user_namespace, in_user_namespace

TOPOLOGY = """
[[node]]
name = "alpha"
addresses = ["fd5a:8c21:77::1/128", "10.23.0.1/32"]
[[node]]
name = "bravo"
addresses = ["fd5a:8c21:77::2/128", "10.23.0.2/32"]
[[node]]
name = "charlie"
addresses = ["fd5a:8c21:77::3/128", "10.23.0.3/32"]
[[node]]
name = "delta"
addresses = ["fd5a:8c21:77::4/128", "10.23.0.4/32"]

[[link]]
a = "alpha"
b = "delta"
delay_ms = 5
[[link]]
a = "alpha"
b = "bravo"
delay_ms = 5
[[link]]
a = "bravo"
b = "delta"
delay_ms = 5
[[link]]
a = "alpha"
b = "charlie"
delay_ms = 15
[[link]]
a = "charlie"
b = "delta"
delay_ms = 15
"""

PICTURE = r"""
              bravo
            /       \
       5 ms           5 ms
        /               \
   alpha ----- 5 ms ----- delta        each line: a WireGuard tunnel over a
        \               /              network of its own, with this delay
      15 ms           15 ms
            \       /
             charlie
"""

# Implementation constants
HELLO_INTERVAL = 0.5  # seconds; a demonstration should not make people wait for the default of 4
PING_INTERVAL = 0.02  # seconds
SETTLED = 2.0  # seconds of calm before the cut, and after the return
LIMIT = 60.0  # seconds for each step
DESTINATIONS = ("fd5a:8c21:77::4", "10.23.0.4")
NEEDED = ("ip", "ping", "unshare", "nsenter", "mount")


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """What the command line gives."""

    as_json: bool = False
    hold: bool = False
    simulate: bool = False
    backend: str = "embedded"


class Interrupted(Exception):
    """Somebody pressed Ctrl-C, or asked us to end."""


def run(options: DemoOptions) -> int:
    """Run the demonstration; return its exit code."""
    say: Callable[[str], None] = _silent if options.as_json else _say
    reason = None if options.simulate else _why_not_real()
    if options.simulate or reason:
        if reason:
            print(
                f"babelwg demo: no real mesh here: {reason}\nRunning the simulator instead.", file=sys.stderr
            )
        return _run_simulator(options, reason)
    signal.signal(signal.SIGTERM, _interrupt)
    signal.signal(signal.SIGINT, _interrupt)
    directory = Path(tempfile.mkdtemp(prefix="babelwg-demo-"))
    try:
        data = _run_mesh(options, directory, say)
    except Interrupted:
        print("babelwg demo: ended early; nothing is left behind", file=sys.stderr)
        return 130
    except (MeshError, CommandError, OSError) as error:
        print(f"babelwg demo: {error}", file=sys.stderr)
        return 1
    finally:
        shutil.rmtree(directory, ignore_errors=True)
    _print_result(options, data)
    return 0


def _why_not_real() -> str | None:
    """Return why namespaces or tunnels cannot be had here, after trying to get them; None when they can."""
    missing = [program for program in NEEDED if shutil.which(program) is None]
    if missing:
        return f"{', '.join(missing)} not installed (Debian: apt install iproute2 iputils-ping util-linux)"
    try:
        os.close(os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC))
    except OSError as error:
        return f"/dev/net/tun: {error.strerror}"
    try:
        enter_user_namespace()
    except NamespaceError as error:
        return str(error)
    return None


def _run_mesh(options: DemoOptions, directory: Path, say: Callable[[str], None]) -> dict[str, Any]:
    settings = {"babel": f"hello-interval = {HELLO_INTERVAL}\n"}
    topology = Topology.parse(TOPOLOGY, "demo")
    say("A mesh of four nodes, each a network namespace with a babelwg daemon of its own:")
    say(PICTURE)
    with Mesh(topology, directory, backend=options.backend, settings=settings) as mesh:
        start = time.monotonic()
        mesh.start()
        mesh.wait("every node has a route to every other", mesh.converged, LIMIT)
        mesh.wait(
            "alpha reaches delta directly", lambda: _device(mesh) == mesh.tunnel("alpha", "delta"), LIMIT
        )
        ready = time.monotonic() - start
        say(f"All daemons up and all routes in all kernels after {ready:.1f} s.")
        data = {"engine": "netns", "backend": options.backend, "ready_s": round(ready, 3)}
        data |= _reroute(mesh, say)
        if options.hold:
            _hold(mesh, say)
    return data


def _reroute(mesh: Mesh, say: Callable[[str], None]) -> dict[str, Any]:
    """Ping from alpha to delta over the cut and the return of their direct link; return the figures."""
    direct = mesh.tunnel("alpha", "delta")
    pingers = {address: Pinger(mesh.nodes["alpha"], address, PING_INTERVAL) for address in DESTINATIONS}
    try:
        mesh.wait("pings are answered", lambda: all(p.received > 5 for p in pingers.values()), LIMIT)
        _rest(SETTLED)
        say(f"\nalpha pings delta every {PING_INTERVAL * 1e3:.0f} ms, IPv6 and IPv4, over {direct}.")
        say("Cutting the direct link alpha - delta: every packet is dropped, no interface goes down ...")
        cut = time.monotonic()
        mesh.cut("alpha", "delta")
        mesh.wait("alpha takes another way", lambda: _device(mesh) not in (None, direct), LIMIT)
        mesh.wait(
            "pings are answered again", lambda: all(p.last_heard > cut + 0.2 for p in pingers.values()), LIMIT
        )
        gaps = {address: pinger.longest_gap(cut - 1.0) for address, pinger in pingers.items()}
        relay = mesh.ask("alpha", "route_get", address=DESTINATIONS[0], source=None)["route"]
        say(f"  {mesh.nodes['alpha'].run('ip', 'route', 'get', DESTINATIONS[0]).strip()}")
        say(
            f"  Traffic moved to {relay['peer']} after {max(gaps.values()):.2f} s (Hello interval {HELLO_INTERVAL} s)."
        )
        _rest(SETTLED)
        before = {address: pinger.lost for address, pinger in pingers.items()}
        say("Restoring the direct link ...")
        restored = time.monotonic()
        mesh.restore("alpha", "delta")
        mesh.wait("alpha is back on the direct link", lambda: _device(mesh) == direct, LIMIT)
        returned = time.monotonic() - restored
        _rest(SETTLED)
    finally:
        for pinger in pingers.values():
            pinger.stop()
    lost_on_return = {address: pinger.lost - before[address] for address, pinger in pingers.items()}
    say(
        f"  Back on {direct} after {returned:.1f} s; pings lost by the return: {sum(lost_on_return.values())}."
    )
    return {
        "hello_interval_s": HELLO_INTERVAL,
        "ping_interval_s": PING_INTERVAL,
        "relay": relay["peer"],
        "return_s": round(returned, 3),
        "pings": [
            {
                "destination": address,
                "sent": pinger.sent,
                "received": pinger.received,
                "lost": pinger.lost,
                "lost_on_return": lost_on_return[address],
                "gap_s": round(gaps[address], 3),
            }
            for address, pinger in pingers.items()
        ],
    }


def _device(mesh: Mesh) -> str | None:
    devices = {mesh.kernel_device("alpha", address) for address in DESTINATIONS}
    return devices.pop() if len(devices) == 1 else None


def _hold(mesh: Mesh, say: Callable[[str], None]) -> None:
    say("\nThe mesh stays up until Ctrl-C. To look around, in another terminal (as the same user):")
    # Into a user namespace one may only step from outside of it.
    enter = "nsenter -U --preserve-credentials" if in_user_namespace() else "nsenter"
    for name, node in mesh.nodes.items():
        socket = mesh.home(name) / "control.sock"
        say(f"  {name:8} {enter} -t {node.pid} -n -m ip route show table 6696")
        say(f"  {'':8} {' '.join(mesh.command())} --socket {socket} status")
    try:
        while True:
            time.sleep(3600)
    except Interrupted:
        say("")


def _print_result(options: DemoOptions, data: dict[str, Any]) -> None:
    if options.as_json:
        print(json.dumps({"schema": "babelwg/1", "node": None, "data": data}))
        return
    print("\nWhat the pings saw:")
    for ping in data["pings"]:
        print(
            f"  {ping['destination']:18} sent {ping['sent']:5}  lost {ping['lost']:4}  "
            f"longest gap {ping['gap_s']:.2f} s  lost by the return {ping['lost_on_return']}"
        )
    print("Everything is taken down again; nothing outside the demo's namespaces was touched.")


def _run_simulator(options: DemoOptions, reason: str | None) -> int:
    from babelwg.lab.simulator.demo import simulate

    data = {"engine": "simulator", "reason": reason} | simulate(TOPOLOGY, HELLO_INTERVAL)
    if options.as_json:
        print(json.dumps({"schema": "babelwg/1", "node": None, "data": data}))
        return 0
    print(PICTURE)
    print(f"In virtual time: alpha reached delta directly after {data['ready_s']:.2f} s.")
    print(f"After the cut, traffic moved to {data['relay']} within {data['gap_s']:.2f} s.")
    print(f"After the return, alpha was back on the direct link within {data['return_s']:.2f} s.")
    return 0


def _rest(seconds: float) -> None:
    time.sleep(seconds)


def _say(text: str) -> None:
    print(text, flush=True)


def _silent(text: str) -> None:
    del text


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted
