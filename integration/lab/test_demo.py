"""The demonstration as people start it: as root, without rights, held and interrupted, and killed."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from integration.bench.common import wait

DEMO = [sys.executable, "-m", "babelwg", "demo"]
AS_NOBODY = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


def run(*words: str, prefix: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*prefix, *DEMO, *words], capture_output=True, text=True, timeout=240, check=False)


def holders_of(demo: int) -> set[Path]:
    """Return the processes that hold the nodes of a demonstration, and of no other on this machine."""
    found = set()
    for path in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            words = (path / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if parent == demo and {b"holder-alpha", b"holder-delta"} & {*words}:
            found.add(path)
    return found


def judge(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["schema"] == "babelwg/1"
    data: dict[str, Any] = document["data"]
    assert data["relay"] in ("bravo", "charlie")
    return data


def test_it_reroutes_real_pings_and_loses_none_on_the_return(needs: Callable[..., None]) -> None:
    needs("ping")
    data = judge(run("--json"))
    assert data["engine"] == "netns"
    assert [ping["destination"] for ping in data["pings"]] == ["fd5a:8c21:77::4", "10.23.0.4"]
    assert [ping["lost_on_return"] for ping in data["pings"]] == [0, 0]
    assert all(0 < ping["lost"] < ping["sent"] for ping in data["pings"])


@pytest.mark.usefixtures("_tun_for_all")
def test_it_runs_in_user_namespaces_without_any_right(
    needs: Callable[..., None], skip: Callable[..., None]
) -> None:
    needs("ping", "setpriv")
    allowed = subprocess.run([*AS_NOBODY, "unshare", "-Urnm", "true"], capture_output=True, check=False)
    if allowed.returncode:
        skip("user namespaces", "not allowed here")
    python = python_of_nobody()
    if python is None:
        skip("user namespaces", "nobody may not read this Python and this directory")
    done = subprocess.run(
        [*python, "-m", "babelwg", "demo", "--json"], capture_output=True, text=True, timeout=240, check=False
    )
    assert judge(done)["engine"] == "netns"


def python_of_nobody() -> list[str] | None:
    """Return the words that run Python with our packages as a user without rights, None where that cannot be."""
    path = os.pathsep.join([str(Path.cwd()), *(p for p in sys.path if p.endswith("site-packages"))])
    for interpreter in (sys.executable, "/usr/bin/python3"):
        words = [*AS_NOBODY, "env", f"PYTHONPATH={path}", interpreter]
        if (
            subprocess.run(
                [*words, "-c", "import babelwg, nacl"], capture_output=True, check=False
            ).returncode
            == 0
        ):
            return words
    return None


def test_the_simulator_tells_the_same_story() -> None:
    assert judge(run("--json", "--sim"))["engine"] == "simulator"


def test_a_held_mesh_tells_how_to_look_around_and_ctrl_c_leaves_nothing(needs: Callable[..., None]) -> None:
    needs("ping")
    with subprocess.Popen(
        [*DEMO, "--hold"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as demo:
        try:
            assert demo.stdout is not None
            lines = iter(demo.stdout.readline, "")
            first = next(line for line in lines if "ip route show table" in line)
            table = subprocess.run(first.split()[1:], capture_output=True, text=True, timeout=60, check=False)
            assert "10.23.0." in table.stdout, first + table.stderr
            hint = next(line for line in lines if "status" in line and "control.sock" in line)
            status = subprocess.run(hint.split(), capture_output=True, text=True, timeout=60, check=False)
            assert "bravo" in status.stdout, hint + status.stderr
            holders = holders_of(demo.pid)
            assert len(holders) == 2
            demo.send_signal(signal.SIGINT)
            demo.stdout.read()
            assert demo.wait(120) in (0, 130)
        finally:
            demo.kill()
    wait("no process is left", lambda: not any(path.exists() for path in holders))


def test_a_killed_demonstration_leaves_nothing(needs: Callable[..., None]) -> None:
    needs("ping")
    with subprocess.Popen([*DEMO], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if "All daemons up" in line:
                break
        holders = holders_of(demo.pid)
        assert len(holders) == 2
        os.kill(demo.pid, signal.SIGKILL)
    wait("no process is left", lambda: not any(path.exists() for path in holders))
