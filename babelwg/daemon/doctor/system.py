"""Checks of the machine: its clock, our rights, its settings, the programs beside us, and our own files."""

import os
import tempfile
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from babelwg.daemon.clock import ClockWatch
from babelwg.daemon.doctor.finding import NODE, Finding, ago, fail, ok, times, warn
from babelwg.daemon.incidents import Incidents
from babelwg.linux.nftables import closed_forwards
from babelwg.linux.programs import networkd_leaves_alone

# Implementation constants
EARLIEST = 1_735_689_600.0  # Unix seconds: no clock that was ever set shows a day before 2025
LITTLE_SPACE = 1 << 20  # octets
SLOW = 0.5  # seconds that the daemon may be late
CAPABILITIES = {12: "CAP_NET_ADMIN", 13: "CAP_NET_RAW"}
NETWORKD_MEND = (
    "printf '[Network]\\nManageForeignRoutes=no\\nManageForeignRoutingPolicyRules=no\\n'"
    " > /etc/systemd/networkd.conf.d/babelwg.conf, then restart it"
)


def check_clock(watch: ClockWatch, incidents: Incidents, now: float) -> list[Finding]:
    """Return whether the clock of the day went back: peers then refuse our handshakes."""
    refused = "peers refuse our handshakes until the clock has passed that time again"
    if now < EARLIEST:
        cause = (
            f"the machine has no battery for its clock, or no time server; {refused} once it has been right"
        )
        return [fail("clock", NODE, "the clock of the day was never set", cause, "timedatectl set-ntp true")]
    if watch.behind:
        found = f"the clock is {ago(watch.behind).removesuffix(' ago')} behind what this node has seen"
        cause = f"it was set back: {refused}"
        mend = (
            f"timedatectl set-ntp true; if it was wrong before, restart the peers' tunnels, rm {watch.path}"
        )
        return [fail("clock", NODE, found, cause, mend)]
    stepped = incidents.lately("clock-set-back")
    if stepped:
        found = f"the clock was set back by {stepped[-1].detail}, {ago(incidents.age(stepped[-1]))}"
        cause = f"a time server or somebody corrected it; after a restart {refused}"
        return [warn("clock", NODE, found, cause, "timedatectl timesync-status")]
    return [ok("clock", NODE, "it goes forward")]


def check_rights(status: str) -> list[Finding]:
    """Return whether the daemon may do its work; `status` is the text of /proc/self/status."""
    line = next((line for line in status.splitlines() if line.startswith("CapEff")), "CapEff: 0")
    effective = int(line.split()[1], 16)
    missing = [name for bit, name in CAPABILITIES.items() if not effective >> bit & 1]
    if missing:
        cause = "it was not started as root, or its unit takes the right away"
        mend = f"AmbientCapabilities={' '.join(CAPABILITIES.values())} in the unit, or run it as root"
        return [fail("capabilities", NODE, f"the daemon lacks {', '.join(missing)}", cause, mend)]
    return [ok("capabilities", NODE, " and ".join(CAPABILITIES.values()))]


def check_forwarding(root: Path) -> list[Finding]:
    """Return whether the kernel forwards at all; `root` is /proc/sys/net."""
    findings = []
    for path, family in (("ipv4/ip_forward", "IPv4"), ("ipv6/conf/all/forwarding", "IPv6")):
        if _read(root / path) == "0":
            name = "net." + path.replace("/", ".")
            cause = "somebody switched it off after we had switched it on, or `sysctls = false` is set"
            found = f"{family} packets of others are not forwarded"
            findings.append(fail("forwarding", NODE, found, cause, f"sysctl {name}=1"))
    return findings or [ok("forwarding", NODE, "on for IPv4 and IPv6")]


def check_reverse_path(root: Path, interfaces: Iterable[str]) -> list[Finding]:
    """Return whether the kernel drops what comes through tunnels by another way than it would go back."""
    findings: list[Finding] = []
    common = int(_read(root / "ipv4/conf/all/rp_filter") or 0)
    for name in sorted(interfaces):
        own = int(_read(root / f"ipv4/conf/{name}/rp_filter") or 0)
        if not max(common, own):
            continue
        which = name if own >= common else "all"
        mode = "strict" if max(common, own) == 1 else "loose"
        found = f"the reverse path check is {mode} on {name} (rp_filter={max(common, own)})"
        cause = "IPv4 packets that come one way and would be answered another are dropped in silence"
        mend = f"sysctl net.ipv4.conf.{which}.rp_filter=0"
        findings.append((fail if mode == "strict" else warn)("rp-filter", name, found, cause, mend))
    return findings or [ok("rp-filter", NODE, "off on every tunnel")]


def check_managers(running: Mapping[str, int], root: Path = Path("/")) -> list[Finding]:
    """Return whether another program may take our routes and rules away."""
    findings = []
    if "systemd-networkd" in running and not all(networkd_leaves_alone(root)):
        found = "systemd-networkd manages foreign routes and rules"
        cause = "when it restarts it removes the routes and rules of everybody else"
        findings.append(warn("managers", NODE, found, cause, NETWORKD_MEND))
    if "NetworkManager" in running and not _is_unmanaged(root):
        cause = "it may set addresses on our tunnels, or take ours away"
        mend = "[keyfile] unmanaged-devices=interface-name:bw-* in /etc/NetworkManager/conf.d/babelwg.conf"
        findings.append(warn("managers", NODE, "NetworkManager manages our tunnels", cause, mend))
    return findings or [ok("managers", NODE, "no other program takes our routes")]


def _is_unmanaged(root: Path) -> bool:
    files = [
        *(root / "etc/NetworkManager").glob("conf.d/*.conf"),
        root / "etc/NetworkManager/NetworkManager.conf",
    ]
    files += (root / "usr/lib/NetworkManager").glob("conf.d/*.conf")
    return any("unmanaged-devices" in text and "bw-" in text for text in map(_read, files))


def check_state_directory(
    directory: Path, failures: Mapping[str, int], failing: Mapping[str, str]
) -> list[Finding]:
    """Return whether the state directory can be written, and whether writing fails (what, and why) or has failed."""
    try:
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".doctor-") as file:
            file.write(b"x" * 4096)
            file.flush()
            os.fsync(file.fileno())
        space = os.statvfs(directory)
    except OSError as error:
        cause = f"{error.strerror}: after a restart, neighbours would refuse our old seqnos for a while"
        mend = f"df {directory}; mount -o remount,rw, or free some space"
        return [fail("state-directory", NODE, f"{directory} cannot be written", cause, mend)]
    if failing:
        found = f"{', '.join(sorted(failing))} in {directory} cannot be written"
        cause = f"{', '.join(sorted({*failing.values()}))}: it is tried again every minute"
        return [fail("state-directory", NODE, found, cause, f"df {directory}; ls -l {directory}")]
    if failures:
        found = f"writing to {directory} failed {times(sum(failures.values()))} since the start"
        return [
            warn(
                "state-directory", NODE, found, "the disk was full or failed; it works now", f"df {directory}"
            )
        ]
    if space.f_bavail * space.f_frsize < LITTLE_SPACE:
        return [
            warn(
                "state-directory", NODE, f"{directory} is nearly full", "the disk is full", f"df {directory}"
            )
        ]
    return [ok("state-directory", NODE, f"{directory} can be written")]


def check_daemon(lateness: float, mistakes: int) -> list[Finding]:
    """Return whether the daemon itself keeps up; `lateness` in seconds."""
    findings = []
    if mistakes:
        cause = "a mistake in babelwg; the log has a traceback for each"
        findings.append(warn("daemon", NODE, f"{mistakes} internal errors", cause, "babelwg bugreport"))
    if lateness > SLOW:
        found = f"the daemon was {lateness:.1f} s late with its work within the last minute"
        cause = "the machine is overloaded, or far too many routes change"
        findings.append(warn("daemon", NODE, found, cause, "top; babelwg show stats"))
    return findings or [ok("daemon", NODE, "in time")]


def _read(path: Path) -> str:
    try:
        return path.read_text(errors="replace").strip()
    except OSError:
        return ""  # the interface, or the file, is not there


def check_forward_chains(ruleset: list[Mapping[str, Any]], tunnels: Collection[str]) -> list[Finding]:
    """Return the firewall chains that let nothing pass from one tunnel to another, where there are several."""
    if len(tunnels) < 2:
        return []
    return [
        fail(
            "firewall",
            NODE,
            "packets of others are not forwarded between the tunnels",
            f"the chain {chain} drops them, and no rule accepts them; ufw and Docker set it so",
            f"nft 'insert rule {chain} iifname {_set(tunnels)} accept'",
        )
        for chain in closed_forwards(ruleset, tunnels)
    ]


def _set(names: Collection[str]) -> str:
    """Return what nft takes for all the names; most are bw-NAME."""
    if all(name.startswith("bw-") for name in names):
        return '"bw-*"'
    return f"{{ {', '.join(sorted(names))} }}"
