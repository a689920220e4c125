"""What can be examined when no daemon answers: what keeps it from starting, or ended it."""

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from babelwg.config import ConfigErrors, load
from babelwg.daemon.clock import ClockWatch
from babelwg.daemon.doctor.finding import NODE, Finding, fail, ok, warn
from babelwg.daemon.doctor.system import check_clock, check_managers, check_rights, check_state_directory
from babelwg.daemon.incidents import Incidents
from babelwg.daemon.unixsocket import holder_of
from babelwg.linux.babelsocket import holder_of_port
from babelwg.linux.programs import running_managers

# Implementation constants
BABEL_PORT = 6696
UNIT = "babelwg.service"
SYSTEMCTL_TIMEOUT = 5.0  # seconds


def examine_offline(config: Path, state: Path, socket: Path, why: str) -> list[Finding]:
    """Return the findings about a node whose daemon does not answer; `why` says what happened on the socket."""
    findings = [_daemon(config, socket, why), _configuration(config), *_port(holder_of(socket)), *_unit()]
    findings += check_rights(Path("/proc/self/status").read_text())
    findings += check_clock(ClockWatch(state, Incidents()), Incidents(), time.time())
    findings += _state(state) + check_managers(running_managers())
    return findings


def _daemon(config: Path, socket: Path, why: str) -> Finding:
    holder, running = holder_of(socket), daemon_processes()
    if holder is not None:
        return _hanging(holder or next(iter(running), 0), why)
    if running:
        cause = f"a daemon runs (pid {', '.join(map(str, running))}), with another --socket"
        return fail("daemon", NODE, why, cause, f"tr '\\0' ' ' < /proc/{running[0]}/cmdline")
    cause = "no daemon runs" + (f"; {socket} is left of one that was killed" if socket.is_socket() else "")
    return fail("daemon", NODE, why, cause, f"systemctl start babelwg, or babelwg daemon --config {config}")


def _hanging(process: int, why: str, proc: Path = Path("/proc")) -> Finding:
    """Return why a daemon that holds its socket says nothing, as the kernel has it."""
    try:
        # The name of a program may hold anything, brackets too.
        state = (proc / str(process) / "stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        state = ""
    if state in ("T", "t"):
        cause, mend = "is stopped by a signal or a debugger", f"kill -CONT {process}"
    elif state == "D":
        cause, mend = "waits for a disk or a driver that does not answer", "dmesg | tail"
    else:
        cause = "works without a pause, or hangs" if state == "R" else "hangs"
        mend = "babelwg bugreport, then systemctl restart babelwg, which keeps tunnels and routes"
    name = f"the daemon (pid {process})" if process else "the daemon"
    return fail("daemon", NODE, why, f"{name} {cause}", mend)


def daemon_processes(proc: Path = Path("/proc")) -> list[int]:
    """Return the processes that look like daemons of this machine; those of its containers are others."""
    found = []
    for process in proc.glob("[0-9]*"):
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # ended meanwhile
        named = any(word.rpartition(b"/")[2] == b"babelwg" for word in words[:3])
        if named and b"daemon" in words and _shares_network(process, proc / "self"):
            found.append(int(process.name))
    return sorted(found)


def _shares_network(process: Path, ours: Path) -> bool:
    """Return whether a process is in our network namespace, as far as we may know."""
    try:
        return (process / "ns/net").readlink() == (ours / "ns/net").readlink()
    except OSError:
        return True


def _configuration(path: Path) -> Finding:
    try:
        peers = len(load(path).peers)
    except ConfigErrors as errors:
        first = str(errors).splitlines()[0]
        return fail(
            "configuration", NODE, "the daemon cannot start with it", first, f"babelwg check-config -c {path}"
        )
    return ok("configuration", NODE, f"{path} is valid, peers: {peers}")


def _port(daemon: int | None, holder: Callable[[int], str | None] = holder_of_port) -> list[Finding]:
    """Return who else speaks Babel here than the process of our daemon."""
    name = holder(BABEL_PORT)
    if name is not None and daemon and name.endswith(f"(pid {daemon})"):
        return [ok("port", NODE, f"UDP port {BABEL_PORT} is the daemon's")]
    if name is None:
        return [ok("port", NODE, f"UDP port {BABEL_PORT} is free")]
    cause = "two routing daemons cannot share the port of Babel"
    return [fail("port", NODE, f"UDP port {BABEL_PORT} is held by {name}", cause, "stop that program first")]


def _unit() -> list[Finding]:
    """Return what systemd says of our unit; nothing where there is no systemd."""
    if shutil.which("systemctl") is None or not Path("/run/systemd/system").is_dir():
        return []
    question = ["systemctl", "show", "--property=LoadState,ActiveState,Result", UNIT]
    try:
        done = subprocess.run(
            question, capture_output=True, text=True, timeout=SYSTEMCTL_TIMEOUT, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return []
    said = dict(line.partition("=")[::2] for line in done.stdout.splitlines())
    active, result = said.get("ActiveState", ""), said.get("Result", "")
    if said.get("LoadState") != "loaded" or active == "active":
        return []
    if active == "failed":
        return [
            fail(
                "unit",
                NODE,
                f"{UNIT} has failed ({result})",
                "its log says why",
                f"journalctl -u {UNIT} -n 50",
            )
        ]
    return [warn("unit", NODE, f"{UNIT} is {active}", "nobody started it", f"systemctl enable --now {UNIT}")]


def _state(directory: Path) -> list[Finding]:
    if directory.is_dir():
        return check_state_directory(directory, {}, {})
    return [ok("state-directory", NODE, f"{directory} is not there yet")]
