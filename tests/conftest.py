"""Ties tests to the requirement tables in tests/conformance.

With --conformance it prints what the passed tests prove, and fails when a requirement of a gated table lacks its test.
"""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.surroundings import settle

settle()
pytest_plugins = ("pytester",)
TABLES = Path(__file__).parent / "conformance"
EXCEPTIONS = TABLES / "exceptions.toml"
ROW = re.compile(
    r"^\| ([A-Z]+[-0-9A-Z][^ |]*) \| (MUST NOT|MUST|SHOULD NOT|SHOULD|MAY|DEF) \| (.*)", re.MULTILINE
)
LEVELS = ("MUST", "MUST NOT", "DEF", "SHOULD", "SHOULD NOT", "MAY")
REQUIRED = ("MUST", "MUST NOT", "DEF")
EXPECTED = ("SHOULD", "SHOULD NOT")
GATED = (
    "rfc8966-babel.md",
    "rfc8967-mac.md",
    "rfc9079-source-specific.md",
    "rfc9229-v4-via-v6.md",
    "rfc9616-rtt.md",
    "babeld-config.md",
)
BEGIN = "<!-- conformance: `make conformance README=1` writes this table -->"
END = "<!-- conformance: end -->"


class Row(NamedTuple):
    """One requirement: its level and its words."""

    level: str
    words: str


Rows = dict[str, Row]  # by id


def read_tables() -> dict[str, Rows]:
    """Return the requirements of each table file."""
    found = {path.name: read_rows(path.read_text()) for path in sorted(TABLES.glob("*.md"))}
    return {name: rows for name, rows in found.items() if rows}


def read_rows(text: str) -> Rows:
    """Return the requirements of one table; an id that occurs twice is an error."""
    rows = [(match[1], Row(match[2], match[3].strip("| "))) for match in ROW.finditer(text)]
    repeated = [name for name, count in Counter(name for name, _ in rows).items() if count > 1]
    if repeated:
        raise pytest.UsageError(f"conformance ids given twice: {', '.join(repeated)}")
    return dict(rows)


def read_exceptions() -> dict[str, object]:
    """Return the reason for each SHOULD that has no test on purpose."""
    try:
        return tomllib.loads(EXCEPTIONS.read_text()) if EXCEPTIONS.exists() else {}
    except tomllib.TOMLDecodeError as error:
        raise pytest.UsageError(f"{EXCEPTIONS.name}: {error}") from error


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--conformance",
        action="store_true",
        help="print which requirements the passed tests prove, and fail when one lacks its test",
    )
    parser.addoption(
        "--conformance-readme",
        action="store_true",
        help="with --conformance: write the table into README.md",
    )


def pytest_configure(config: pytest.Config) -> None:
    # Not as hooks of this file: pytest calls those for the tests below its directory only, and integration/ counts too.
    config.pluginmanager.register(Proofs(read_exceptions()), "conformance-proofs")


class Proofs:
    """What the tests of one run name and prove."""

    def __init__(self, exceptions: dict[str, object]) -> None:
        self.exceptions = exceptions
        self.named: set[str] = set()
        self.proven: set[str] = set()

    # Before `-m` and `-k` take tests away, so that a name is seen also where its test does not run.
    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        known = {name for rows in read_tables().values() for name in rows}
        for item in items:
            if unknown := sorted(ids_of(item) - known):
                raise pytest.UsageError(f"{item.nodeid} names unknown conformance ids: {', '.join(unknown)}")
            self.named |= ids_of(item)

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Iterable[None]:
        outcome = yield
        report = outcome.get_result()  # type: ignore[attr-defined]
        if report.when == "call" and report.passed:
            self.proven |= ids_of(item)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if (
            session.config.getoption("--conformance")
            and session.exitstatus == pytest.ExitCode.OK
            and self.gate()
        ):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(
        self, terminalreporter: pytest.TerminalReporter, config: pytest.Config
    ) -> None:
        if not config.getoption("--conformance"):
            return
        tables = read_tables()
        table = table_lines(tables, self.proven)
        terminalreporter.section("conformance: requirements proven by passed tests / all")
        for line in (*table, "", *missing_lines(tables, self.proven)):
            terminalreporter.write_line(line)
        terminalreporter.section("conformance: what is required")
        for line in self.gate() or ["every requirement has its test"]:
            terminalreporter.write_line(line)
        readme = config.rootpath / "README.md"
        terminalreporter.write_line(put(readme, table, bool(config.getoption("--conformance-readme"))))

    def gate(self) -> list[str]:
        """Return a line for each requirement that lacks its test, and for each exception that is none."""
        return gate_lines(read_tables(), self.exceptions, self.named, self.proven)


def ids_of(item: pytest.Item) -> set[str]:
    """Return the requirement ids that a test names."""
    return {name for marker in item.iter_markers("conformance") for name in marker.args}


def gate_lines(
    tables: dict[str, Rows], exceptions: dict[str, object], named: set[str], proven: set[str]
) -> list[str]:
    """Return what keeps the gate shut, a line for each id; nothing when it is open."""
    gated = {name: row for file in GATED for name, row in tables.get(file, {}).items()}
    lines = []
    for name, row in gated.items():
        excused = row.level in EXPECTED and name in exceptions
        if row.level in REQUIRED + EXPECTED and name not in proven and not excused:
            lines.append(f"{name}: {row.level} without a passed test: {row.words[:90]}")
    for name, reason in exceptions.items():
        if complaint := wrong_exception(gated.get(name), reason, name in named):
            lines.append(f"{name}: {complaint} ({EXCEPTIONS.name})")
    return lines


def wrong_exception(row: Row | None, reason: object, is_named: bool) -> str | None:
    """Return what is wrong with an entry of the file of exceptions."""
    if row is None:
        return "an exception for an id that no gated table has"
    if row.level not in EXPECTED:
        return f"an exception from a {row.level}; only SHOULD and SHOULD NOT may have one"
    if is_named:
        return "an exception, but a test names it"
    if not isinstance(reason, str) or not reason.strip():
        return "an exception without a reason"
    return None


def table_lines(tables: dict[str, Rows], proven: set[str]) -> list[str]:
    """Return counts per file and level, proven and all, as a table of Markdown."""
    lines = [f"| table | {' | '.join(LEVELS)} |", "|---" * (len(LEVELS) + 1) + "|"]
    for file, rows in tables.items():
        cells = []
        for level in LEVELS:
            names = [name for name, row in rows.items() if row.level == level]
            covered = len([name for name in names if name in proven])
            cells.append(f"{covered}/{len(names)}" if names else "-")
        lines.append(f"| {file} | {' | '.join(cells)} |")
    return lines


def missing_lines(tables: dict[str, Rows], proven: set[str]) -> list[str]:
    """Return the rows without a test, file by file."""
    lines = []
    for file, rows in tables.items():
        missing = {name: row for name, row in rows.items() if name not in proven}
        lines.append(f"{file}: {len(missing)} of {len(rows)} without a test")
        lines += [f"  {name:14} {row.level:10} {row.words[:90]}" for name, row in missing.items()]
    return lines


def put(readme: Path, table: list[str], rewrite: bool) -> str:
    """Compare the table in a file with this one, write it there if asked to, and return what is so in words."""
    text = readme.read_text() if readme.exists() else ""
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        return f"{readme.name} has no place for the table"
    wanted = f"{before}{BEGIN}\n" + "\n".join(table) + f"\n{END}{after}"
    if text == wanted:
        return f"the table in {readme.name} is up to date"
    if rewrite:
        readme.write_text(wanted)
        return f"the table in {readme.name} is written anew"
    return f"the table in {readme.name} is out of date: make conformance README=1"
