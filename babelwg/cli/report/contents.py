"""The parts of a report: what the daemon answers, what programs print, what files say."""

import json
import os
import platform
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from babelwg.cli.client import TIMEOUT, ask
from babelwg.cli.exits import NO_DAEMON, Failure
from babelwg.cli.group import envelope

# Implementation constants
PROGRAM_TIMEOUT = 10.0  # seconds
DOCTOR_TIMEOUT = 20.0  # seconds
LOG_LINES = 500
MAX_PART = 4 << 20  # octets of each part; of a longer one the end says more
ANSWERS = (
    "status",
    "peers",
    "neighbours",
    "routes",
    "xroutes",
    "sources",
    "interfaces",
    "gateways",
    "filters",
    "kernel",
    "stats",
    "topology",
    "history",
    "doctor",
)
PROGRAMS = {
    "ip-link.txt": "ip -d -s link show",
    "ip-address.txt": "ip -d address show",
    "ip-rule-4.txt": "ip -4 rule show",
    "ip-rule-6.txt": "ip -6 rule show",
    "wg.txt": "wg show all",
    "nft.txt": "nft -a list ruleset",
    "iptables.txt": "iptables-save",
    "ip6tables.txt": "ip6tables-save",
    "sockets.txt": "ss -ulnp",
    "journal.txt": f"journalctl -u babelwg -u babelwg-dataplane -n {LOG_LINES} --no-pager -o short-iso",
    "unit.txt": "systemctl show babelwg babelwg-dataplane --property=Id,LoadState,ActiveState,Result,NRestarts",
}
PACKAGES = (
    "pyroute2",
    "PyNaCl",
    "netaddr",
    "click",
    "msgspec",
    "tomlkit",
    "aiofiles",
    "aiohttp",
    "cryptography",
)
SYSCTLS = (
    "ipv4/ip_forward",
    "ipv4/conf/*/rp_filter",
    "ipv4/conf/*/src_valid_mark",
    "ipv4/conf/*/accept_redirects",
    "ipv4/conf/*/send_redirects",
    "ipv6/conf/*/forwarding",
    "ipv6/conf/*/disable_ipv6",
    "ipv6/conf/*/accept_ra",
    "ipv6/conf/*/addr_gen_mode",
    "ipv6/route/max_size",
)
LOOKUP = re.compile(r"lookup (\S+)")


class Part(NamedTuple):
    """One file of a report."""

    name: str
    text: str


def answers(socket: str) -> Iterator[Part]:
    """Yield what the daemon answers, or why it does not."""
    silence = ""
    for method in ANSWERS:
        # Who hangs at one question hangs at the next, and nobody waits for a report so often.
        if silence:
            yield Part(f"answers/{method}.txt", silence)
            continue
        try:
            answer = ask(socket, method, timeout=DOCTOR_TIMEOUT if method == "doctor" else TIMEOUT)
        except Failure as failure:
            yield Part(f"answers/{method}.txt", f"{failure.message}\n")
            silence = f"{failure.message}\n" if failure.exit_code == NO_DAEMON else ""
        else:
            yield Part(f"answers/{method}.json", f"{envelope(answer)}\n")


def programs() -> Iterator[Part]:
    """Yield what programs print, and the routes of every table that a rule leads to."""
    tables = {"main"}
    for name, command in PROGRAMS.items():
        text = run(command.split())
        if name.startswith("ip-rule"):
            tables |= {found for found in LOOKUP.findall(text) if found not in ("local", "default")}
        yield Part(f"system/{name}", text)
    for table in sorted(tables):
        for family in ("4", "6"):
            text = run(["ip", f"-{family}", "-d", "route", "show", "table", table])
            yield Part(f"system/ip-route-{family}-{table}.txt", text)


def system(proc: Path = Path("/proc")) -> Iterator[Part]:
    """Yield what files say of the machine."""
    yield Part("version.json", json.dumps(versions(), indent=1) + "\n")
    lines = []
    for pattern in SYSCTLS:
        for path in sorted((proc / "sys/net").glob(pattern)):
            name = str(path.relative_to(proc / "sys")).replace("/", ".")
            lines.append(f"{name} = {read(path).strip()}\n")
    yield Part("system/sysctl.txt", "".join(lines))
    yield Part("system/dataplane.log", read(Path("/run/babelwg/dataplane.log")))
    for name in ("meminfo", "loadavg", "uptime"):
        yield Part(f"system/{name}.txt", read(proc / name))


def versions() -> dict[str, Any]:
    """Return what runs here, without the name of the host."""
    from babelwg.version import __version__

    packages: dict[str, str | None] = {}
    for name in PACKAGES:
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = None
    kernel = platform.uname()
    return {
        "babelwg": __version__,
        "python": sys.version.split()[0],
        "kernel": f"{kernel.system} {kernel.release} {kernel.machine}",
        "distribution": _distribution(),
        "packages": packages,
        "root": os.geteuid() == 0,
    }


def run(command: list[str]) -> str:
    """Return what a program prints, its complaints included, or why it cannot run."""
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PROGRAM_TIMEOUT,
            check=False,
        )
    except FileNotFoundError:
        return f"{command[0]} is not installed\n"
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"{command[0]}: {error}\n"
    status = f"(status {done.returncode})\n" if done.returncode else ""
    return done.stdout.decode(errors="replace") + status


def read(path: Path) -> str:
    """Return the end of a file, or why it cannot be read."""
    try:
        return path.read_bytes()[-MAX_PART:].decode(errors="replace")
    except OSError as error:
        return f"{path}: {error.strerror}\n"


def _distribution() -> str | None:
    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME")
    except OSError:
        return None
