"""Ties tests to the requirement tables in tests/conformance, and prints what is proven with --conformance."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

pytest_plugins = ("pytester",)
TABLES = Path(__file__).parent / "conformance"
ROW = re.compile(
    r"^\| ([A-Z]+[-0-9A-Z][^ |]*) \| (MUST NOT|MUST|SHOULD NOT|SHOULD|MAY|DEF) \| (.*)", re.MULTILINE
)
LEVELS = ("MUST", "MUST NOT", "DEF", "SHOULD", "SHOULD NOT", "MAY")
Rows = dict[str, tuple[str, str]]  # level and words of each id


def read_tables() -> dict[str, Rows]:
    """Return the requirements of each table file."""
    found = {path.name: read_rows(path.read_text()) for path in sorted(TABLES.glob("*.md"))}
    return {name: rows for name, rows in found.items() if rows}


def read_rows(text: str) -> Rows:
    """Return the requirements of one table; an id that occurs twice is an error."""
    rows = [(match[1], (match[2], match[3].strip("| "))) for match in ROW.finditer(text)]
    repeated = [name for name, count in Counter(name for name, _ in rows).items() if count > 1]
    if repeated:
        raise pytest.UsageError(f"conformance ids given twice: {', '.join(repeated)}")
    return dict(rows)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--conformance", action="store_true", help="print which requirements the passed tests prove"
    )


def pytest_configure(config: pytest.Config) -> None:
    config.stash[PROVEN] = set()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    known = {name for rows in read_tables().values() for name in rows}
    for item in items:
        if unknown := sorted(ids_of(item) - known):
            raise pytest.UsageError(f"{item.nodeid} names unknown conformance ids: {', '.join(unknown)}")


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterable[None]:
    outcome = yield
    report = outcome.get_result()  # type: ignore[attr-defined]
    if report.when == "call" and report.passed:
        item.config.stash[PROVEN] |= ids_of(item)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    if config.getoption("--conformance"):
        terminalreporter.section("conformance: requirements proven by passed tests / all")
        for line in coverage_lines(read_tables(), config.stash[PROVEN]):
            terminalreporter.write_line(line)


def ids_of(item: pytest.Item) -> set[str]:
    """Return the requirement ids that a test names."""
    return {name for marker in item.iter_markers("conformance") for name in marker.args}


def coverage_lines(tables: dict[str, Rows], proven: set[str]) -> list[str]:
    """Return a table of counts per file and level, then the rows without a test."""
    lines = ["".join((f"{'file':30}", *(f"{level:>12}" for level in LEVELS)))]
    for file, rows in tables.items():
        cells = []
        for level in LEVELS:
            names = [name for name, (of, _) in rows.items() if of == level]
            covered = len([name for name in names if name in proven])
            cells.append(f"{covered}/{len(names)}" if names else "-")
        lines.append("".join((f"{file:30}", *(f"{cell:>12}" for cell in cells))))
    lines.append("")
    for file, rows in tables.items():
        missing = {name: row for name, row in rows.items() if name not in proven}
        lines.append(f"{file}: {len(missing)} of {len(rows)} without a test")
        lines += [f"  {name:14} {level:10} {words[:90]}" for name, (level, words) in missing.items()]
    return lines


PROVEN = pytest.StashKey[set[str]]()
