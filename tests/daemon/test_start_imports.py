"""What a daemon imports before its first Hello: neighbours wait for it, and each module costs a start its time."""

import subprocess
import sys

LATE = (
    "pyroute2",
    "babelwg.daemon.queries",
    "babelwg.daemon.doctor",
    "babelwg.daemon.metrics",
    "aiohttp",
    "click",
)


def test_a_daemon_imports_late_what_its_first_hello_does_not_need() -> None:
    program = "import sys, babelwg.daemon.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    names = done.stdout.split()
    assert "babelwg.daemon.routing" in names
    assert [name for name in LATE if name in names] == []
