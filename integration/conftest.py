"""What all integration tests share: the right to make namespaces, and skips that are counted and named."""

import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest

from babelwg.lab.netns.node import Node
from babelwg.linux.netns import why_no_namespaces
from tests.surroundings import settle

settle()

_SKIPPED: Counter[tuple[str, str]] = Counter()


@pytest.fixture(name="needs")
def _needs() -> Callable[..., None]:
    """Give a test the function `needs("program", ...)`."""
    return needs


@pytest.fixture(name="skip")
def _skip() -> Callable[[str, str], None]:
    """Give a test the function `skip("name", "why")`."""
    return skip


@pytest.fixture
def _tun_for_all() -> None:
    """Skip a test where a user without rights may not make TUN interfaces, whatever namespace it is in."""
    try:
        mode = Path("/dev/net/tun").stat().st_mode
    except OSError as error:
        skip("/dev/net/tun", error.strerror or str(error))
    if mode & 0o006 != 0o006:
        skip("/dev/net/tun", f"has mode {mode & 0o777:04o}, so only root may open it")


def needs(*programs: str) -> None:
    """Skip the calling test when a program is missing or namespaces are not allowed, and remember which."""
    for program in programs:
        if shutil.which(program) is None:
            skip(program, "not installed")
    reason = _namespaces()
    if reason is not None:
        skip("namespaces", reason)


def skip(name: str, why: str) -> NoReturn:
    """Skip the calling test for want of `name`, and count it."""
    _SKIPPED[name, why] += 1
    pytest.skip(f"{name}: {why}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for (name, why), count in sorted(_SKIPPED.items()):
        terminalreporter.write_line(f"skipped {count}: {name} - {why}")


_NAMESPACES: list[str | None] = []


def _namespaces() -> str | None:
    if not _NAMESPACES:
        _NAMESPACES.append(why_no_namespaces())
    return _NAMESPACES[0]


@pytest.fixture
def nodes() -> Iterator["Nodes"]:
    """Make nodes for one test and close them after it."""
    made = Nodes()
    try:
        yield made
    finally:
        made.close()


class Nodes:
    """The nodes of one test."""

    def __init__(self) -> None:
        self._nodes: list[Node] = []

    def add(self, name: str) -> Node:
        node = Node(name)
        self._nodes.append(node)
        return node

    def close(self) -> None:
        for node in self._nodes:
            node.close()
