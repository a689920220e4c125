"""Network namespaces: whether we may make them, how to get the right to, and how to step into one."""

import ctypes
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CLONE_NEWNET = 0x40000000
PROBE_TIMEOUT = 10.0  # seconds

_AS_ROOT = ("unshare", "-n", "-m")
_AS_USER = ("unshare", "-U", "-r", "-n", "-m")


class NamespaceError(Exception):
    """The kernel refuses a namespace; the text says which and what to do."""


def why_no_namespaces() -> str | None:
    """Return why this process may not make network and mount namespaces, None when it may."""
    return _probe(_AS_ROOT)


def why_no_user_namespace() -> str | None:
    """Return why a user namespace with namespaces of its own cannot be had, None when it can."""
    # The inner one is what a lab needs later, so it is proven before we give up our own process for it.
    return _probe((*_AS_USER, "--", *_AS_ROOT))


def enter_user_namespace() -> None:
    """Return with the right to make namespaces, re-executing this program in a user namespace if needed."""
    refused = why_no_namespaces()
    if refused is None:
        return
    refused_too = why_no_user_namespace()
    if refused_too is not None:
        raise NamespaceError(
            f"no network namespaces here: as this user: {refused}; in a user namespace: {refused_too};"
            " run as root, or allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1"
            " on Debian, kernel.apparmor_restrict_unprivileged_userns=0 on Ubuntu)"
        )
    sys.stdout.flush()
    sys.stderr.flush()
    # The program's own arguments are kept as the interpreter saw them, so `-m` and `-c` survive.
    os.execvp(_AS_USER[0], [*_AS_USER, "--", sys.executable, *sys.orig_argv[1:]])


def in_user_namespace() -> bool:
    """Return whether this process is in a user namespace other than the first, which maps all users to themselves."""
    return Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]


@contextmanager
def network_namespace(pid: int) -> Iterator[None]:
    """Run the body with the calling thread in the network namespace of process `pid`."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        target = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            _setns(target)
        finally:
            os.close(target)
        try:
            yield
        finally:
            _setns(home)
    finally:
        os.close(home)


def network_namespace_id(pid: int) -> int:
    """Return the number that identifies the network namespace of process `pid`."""
    return Path(f"/proc/{pid}/ns/net").stat().st_ino


def _probe(prefix: tuple[str, ...]) -> str | None:
    try:
        done = subprocess.run(
            [*prefix, "--", "true"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=PROBE_TIMEOUT,
            check=False,
        )
    except FileNotFoundError:
        return "the program `unshare` (util-linux) is not installed"
    except subprocess.TimeoutExpired:
        return f"`unshare` did not answer within {PROBE_TIMEOUT:.0f} s"
    if done.returncode == 0:
        return None
    return " ".join(done.stderr.split()) or f"`unshare` failed with status {done.returncode}"


def _setns(descriptor: int) -> None:
    # Python has os.setns only from 3.12 on.
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET) != 0:
        error = ctypes.get_errno()
        raise NamespaceError(f"cannot change the network namespace: {os.strerror(error)}")
