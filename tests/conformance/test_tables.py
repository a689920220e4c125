"""The requirement tables themselves: readable, complete, and tied to tests by known ids only."""

import re
from collections import Counter
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parent.parent / "conftest.py"

TEST = """
import pytest

@pytest.mark.conformance({ids})
def test_something():
    assert {truth}
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """Return a project with our conftest and one small table."""
    pytester.makeini("[pytest]\nmarkers =\n    conformance(*ids): proves these\n")
    pytester.makeconftest(CONFTEST.read_text())
    tables = pytester.mkdir("conformance")
    (tables / "small.md").write_text(
        "| Id | Level | Words |\n| B1-1 | MUST | do it |\n| B1-2 | MAY | or not |\n"
    )
    return pytester


def test_a_passed_test_proves_its_rows(project: pytest.Pytester) -> None:
    project.makepyfile(TEST.format(ids='"B1-1"', truth="True"))
    result = project.runpytest("--conformance")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(
        ["*small.md*1/1*0/1*", "small.md: 1 of 2 without a test", "*B1-2*MAY*or not*"]
    )


def test_a_failed_test_proves_nothing(project: pytest.Pytester) -> None:
    project.makepyfile(TEST.format(ids='"B1-1", "B1-2"', truth="False"))
    result = project.runpytest("--conformance")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["small.md: 2 of 2 without a test"])


def test_an_unknown_id_is_an_error_also_without_the_option(project: pytest.Pytester) -> None:
    project.makepyfile(TEST.format(ids='"B1-1", "B9-9"', truth="True"))
    result = project.runpytest()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*test_something names unknown conformance ids: B9-9"])


def test_a_repeated_id_is_an_error(project: pytest.Pytester) -> None:
    (project.path / "conformance" / "more.md").write_text("| B1-1 | MUST | a |\n| B1-1 | MUST | b |\n")
    project.makepyfile(TEST.format(ids='"B1-1"', truth="True"))
    assert project.runpytest().ret == pytest.ExitCode.USAGE_ERROR


def test_the_tables_hold_as_many_rows_as_their_page_says() -> None:
    tables = Path(__file__).parent
    said = {}
    for line in (tables / "README.md").read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 8 and cells[0].endswith(".md"):
            said[cells[0]] = int(cells[1])
    rows = {path.name: count_rows(path.read_text()) for path in tables.glob("*.md") if path.name in said}
    assert rows == said


def test_the_readme_shows_as_many_requirements_as_the_tables_hold() -> None:
    readme = (CONFTEST.parent.parent / "README.md").read_text()
    _, begin, rest = readme.partition("<!-- conformance: `make conformance README=1` writes this table -->\n")
    table, end, _ = rest.partition("<!-- conformance: end -->")
    assert begin
    assert end
    head, _, *lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    shown = {
        cells[0]: {
            level: int(cell.rpartition("/")[2])
            for level, cell in zip(head[1:], cells[1:], strict=True)
            if cell != "-"
        }
        for cells in lines
    }
    tables = {path.name: count_levels(path.read_text()) for path in Path(__file__).parent.glob("*.md")}
    assert shown == {name: dict(levels) for name, levels in tables.items() if levels}


def count_rows(text: str) -> int:
    """Return the number of requirement rows, counted in another way than the collector does."""
    return count_levels(text).total()


def count_levels(text: str) -> Counter[str]:
    """Return how many requirement rows there are of each level."""
    levels = {"MUST", "MUST NOT", "SHOULD", "SHOULD NOT", "MAY", "DEF"}
    cells = [[cell.strip() for cell in line.split("|")] for line in text.splitlines()]
    return Counter(
        row[2]
        for row in cells
        if len(row) > 3 and row[2] in levels and re.fullmatch(r"[A-Z]+[^ ]*-\w+", row[1])
    )
