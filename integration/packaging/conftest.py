"""A clean Debian in a folder, made once and copied for each use."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[2]
CLEAN = PROJECT / "build" / "clean-root"
RELEASE = "bookworm"
PACKAGES = "python3,man-db,systemd,iproute2"
# /proc, /dev and a network of its own vanish with the last process of the command.
ENTER = """
set -e
mount -t proc proc "$0/proc"
mount --rbind /dev "$0/dev"
ip link set lo up
exec chroot "$0" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"
"""


class CleanRoot:
    """A Debian of its own, without systemd running in it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in it; what it prints on either output is `stdout`."""
        result = subprocess.run(
            ["unshare", "--mount", "--net", "--pid", "--fork", "sh", "-c", ENTER, str(self.path), *command],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
            check=False,
        )
        assert not check or result.returncode == 0, f"{' '.join(command)}: {result.stdout}"
        return result

    def files(self) -> set[str]:
        """Return every file, and no directory of the kernel's."""
        found = set()
        for directory, names, files in os.walk(self.path):
            if directory == str(self.path):
                names[:] = [name for name in names if name not in ("proc", "sys", "dev", "run", "tmp")]
            found |= {str(Path(directory, name).relative_to(self.path)) for name in [*names, *files]}
        return found


@pytest.fixture(scope="session")
def package() -> Path:
    """The Debian package of this tree."""
    if shutil.which("dpkg-deb") is None:
        pytest.skip("dpkg-deb: not installed")
    builder = [str(PROJECT / ".venv/bin/python"), str(PROJECT / ".ci/deb")]
    result = subprocess.run(builder, capture_output=True, text=True, check=False, cwd=PROJECT)
    assert result.returncode == 0, result.stderr
    return PROJECT / result.stdout.split()[-1]


@pytest.fixture(scope="module")
def root() -> Iterator[CleanRoot]:
    """A clean root of the tests' own."""
    if os.geteuid() != 0:
        pytest.skip("debootstrap: needs root")
    if shutil.which("debootstrap") is None:
        pytest.skip("debootstrap: not installed")
    if not CLEAN.exists():
        _bootstrap()
    copy = CLEAN.with_name(f"root-{os.getpid()}")
    subprocess.run(["cp", "-a", "--reflink=auto", str(CLEAN), str(copy)], check=True)
    try:
        yield CleanRoot(copy)
    finally:
        shutil.rmtree(copy)


def _bootstrap() -> None:
    unfinished = CLEAN.with_name(f"bootstrap-{os.getpid()}")
    unfinished.parent.mkdir(exist_ok=True)
    result = subprocess.run(
        ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", RELEASE, str(unfinished)],
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        shutil.rmtree(unfinished, ignore_errors=True)
        pytest.skip(f"debootstrap: {(result.stdout.strip().splitlines() or ['failed'])[-1]}")
    unfinished.rename(CLEAN)
