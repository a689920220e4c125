"""The gate of `make conformance`: what a requirement without its test, and a wrong exception, lead to."""

import re
from pathlib import Path

import pytest

CONFTEST = Path(__file__).parent.parent / "conftest.py"
GATED = "rfc9079-source-specific.md"
ROWS = """\
| Id | Level | Words |
|---|---|---|
| SS1-1 | MUST | do it |
| SS1-2 | DEF | it is so |
| SS1-3 | SHOULD | better do it |
| SS1-4 | MAY | or not |
| SS1-5 | MUST NOT | never |
| SS1-6 | SHOULD NOT | rather not |
"""
ALL = ("SS1-1", "SS1-2", "SS1-3", "SS1-5", "SS1-6")
TEST = """
import pytest

@pytest.mark.conformance({ids})
def test_something():
    {body}
"""


@pytest.fixture
def project(pytester: pytest.Pytester) -> pytest.Pytester:
    """Return a project with our conftest, a gated table and one that is not."""
    pytester.makeini("[pytest]\nmarkers =\n    conformance(*ids): proves these\n    slow: takes long\n")
    pytester.makeconftest(CONFTEST.read_text())
    tables = pytester.mkdir("conformance")
    (tables / GATED).write_text(ROWS)
    (tables / "wireguard.md").write_text("| W-1 | MUST | do that |\n")
    return pytester


def prove(project: pytest.Pytester, *ids: str, body: str = "assert True") -> None:
    """Give the project one test that names these ids."""
    project.makepyfile(TEST.format(ids=", ".join(f'"{name}"' for name in ids), body=body))


def excuse(project: pytest.Pytester, text: str) -> None:
    (project.path / "conformance" / "exceptions.toml").write_text(text)


def test_gate_opens_when_every_requirement_has_a_passed_test(project: pytest.Pytester) -> None:
    prove(project, *ALL)
    result = project.runpytest("--conformance")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines(["*| wireguard.md | 0/1 |*", "every requirement has its test"])


@pytest.mark.parametrize("lacking", ALL)
def test_gate_stays_shut_and_names_the_requirement_that_has_no_test(
    lacking: str, project: pytest.Pytester
) -> None:
    prove(project, *(name for name in ALL if name != lacking))
    result = project.runpytest("--conformance")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines([f"{lacking}: * without a passed test: *"])
    shut = [line for line in result.outlines if "without a passed test" in line]
    assert len(shut) == 1


def test_gate_is_not_asked_without_the_option(project: pytest.Pytester) -> None:
    prove(project, "SS1-1")
    assert project.runpytest().ret == pytest.ExitCode.OK


@pytest.mark.parametrize("body", ['pytest.skip("no")', "pytest.xfail()"])
def test_gate_counts_a_test_that_did_not_pass_as_none(body: str, project: pytest.Pytester) -> None:
    prove(project, *ALL, body=body)
    result = project.runpytest("--conformance")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines(["SS1-1: MUST without a passed test: do it"])


def test_exception_with_a_reason_stands_for_the_test_of_a_should(project: pytest.Pytester) -> None:
    prove(project, "SS1-1", "SS1-2", "SS1-5")
    excuse(project, '"SS1-3" = "nobody asks"\n"SS1-6" = "nobody asks either"\n')
    result = project.runpytest("--conformance")
    assert result.ret == pytest.ExitCode.OK


@pytest.mark.parametrize(
    ("entry", "complaint"),
    [
        ('"SS9-9" = "why"', "SS9-9: an exception for an id that no gated table has (exceptions.toml)"),
        ('"W-1" = "why"', "W-1: an exception for an id that no gated table has (exceptions.toml)"),
        ('"SS1-3" = "why"', "SS1-3: an exception, but a test names it (exceptions.toml)"),
        ('"SS1-1" = "why"', "SS1-1: an exception from a MUST; only SHOULD and SHOULD NOT may have one (*"),
        ('"SS1-2" = "why"', "SS1-2: an exception from a DEF; only SHOULD and SHOULD NOT may have one (*"),
        ('"SS1-4" = "why"', "SS1-4: an exception from a MAY; only SHOULD and SHOULD NOT may have one (*"),
        ('"SS1-6" = " "', "SS1-6: an exception without a reason (exceptions.toml)"),
        ('"SS1-6" = 3', "SS1-6: an exception without a reason (exceptions.toml)"),
    ],
)
def test_wrong_exception_keeps_the_gate_shut(entry: str, complaint: str, project: pytest.Pytester) -> None:
    prove(project, *(name for name in ALL if name != "SS1-6"))
    rest = "" if "SS1-6" in entry else '"SS1-6" = "why"'
    excuse(project, f"{entry}\n{rest}\n")
    result = project.runpytest("--conformance")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    result.stdout.fnmatch_lines([complaint])
    result.stdout.no_fnmatch_line("every requirement has its test")


def test_file_of_exceptions_that_is_no_toml_is_an_error(project: pytest.Pytester) -> None:
    prove(project, *ALL)
    excuse(project, "SS1-3 because\n")
    result = project.runpytest("--conformance")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*exceptions.toml: *"])


def test_tests_of_several_directories_count_together(project: pytest.Pytester) -> None:
    for directory, ids in {"unit": ALL[:3], "integration": ALL[3:]}.items():
        path = project.mkdir(directory) / f"test_{directory}.py"
        path.write_text(TEST.format(ids=", ".join(f'"{name}"' for name in ids), body="assert True"))
    result = project.runpytest("unit", "integration", "-m", "conformance", "--conformance")
    result.assert_outcomes(passed=2)
    assert result.ret == pytest.ExitCode.OK
    assert project.runpytest("unit", "--conformance").ret == pytest.ExitCode.TESTS_FAILED


def test_conftest_beside_another_directory_hears_of_its_tests_too(pytester: pytest.Pytester) -> None:
    # As in this repository: the conftest is in tests/, and integration/ lies beside it.
    pytester.makeini("[pytest]\nmarkers =\n    conformance(*ids): proves these\n")
    tests = pytester.mkdir("tests")
    (tests / "conformance").mkdir()
    (tests / "conformance" / GATED).write_text(ROWS)
    (tests / "conftest.py").write_text(CONFTEST.read_text())
    beside = pytester.mkdir("integration") / "test_beside.py"
    beside.write_text(TEST.format(ids=", ".join(f'"{name}"' for name in ALL), body="assert True"))
    result = pytester.runpytest("tests", "integration", "--conformance")
    assert result.ret == pytest.ExitCode.OK
    result.stdout.fnmatch_lines([f"| {GATED} | 1/1 | 1/1 | 1/1 | 1/1 | 1/1 | 0/1 |"])


README = """\
# A project
<!-- conformance: `make conformance README=1` writes this table -->
old
<!-- conformance: end -->
The rest.
"""


def test_readme_is_compared_and_written_when_asked(project: pytest.Pytester) -> None:
    readme = project.path / "README.md"
    readme.write_text(README)
    prove(project, *ALL)
    result = project.runpytest("--conformance")
    result.stdout.fnmatch_lines(["the table in README.md is out of date: make conformance README=1"])
    assert readme.read_text() == README
    result = project.runpytest("--conformance", "--conformance-readme")
    result.stdout.fnmatch_lines(["the table in README.md is written anew"])
    lines = readme.read_text().splitlines()
    assert lines[:2] + lines[-2:] == [*README.splitlines()[:2], *README.splitlines()[-2:]]
    assert lines[4:6] == [
        f"| {GATED} | 1/1 | 1/1 | 1/1 | 1/1 | 1/1 | 0/1 |",
        "| wireguard.md | 0/1 | - | - | - | - | - |",
    ]
    result = project.runpytest("--conformance")
    result.stdout.fnmatch_lines(["the table in README.md is up to date"])


def test_readme_without_a_place_is_left_alone(project: pytest.Pytester) -> None:
    readme = project.path / "README.md"
    readme.write_text("# A project\n")
    prove(project, *ALL)
    result = project.runpytest("--conformance", "--conformance-readme")
    result.stdout.fnmatch_lines(["README.md has no place for the table"])
    assert readme.read_text() == "# A project\n"


def test_the_tables_that_the_gate_names_are_there() -> None:
    text = CONFTEST.read_text().partition("GATED = (")[2].partition(")")[0]
    names = re.findall(r'"([^"]+)"', text)
    assert len(names) == 6
    assert all((Path(__file__).parent / name).exists() for name in names)
