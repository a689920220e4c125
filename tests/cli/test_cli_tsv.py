"""Tab-separated values: what `cut -f` and `awk -F'\\t'` can rely on."""

from collections.abc import Callable

from click.testing import Result

from babelwg.cli.render.tsv import render_tsv


def test_rows_have_a_head_and_one_line_each() -> None:
    rows = [{"a": 1, "b": None}, {"a": True, "c": "x\ty\nz\\"}]
    assert render_tsv(rows) == "a\tb\tc\n1\t\t\nyes\t\tx\\ty\\nz\\\\\n"


def test_a_record_has_a_line_for_each_field() -> None:
    assert render_tsv({"a": 1.5, "b": [{"c": 1}]}) == 'a\t1.5\nb\t[{"c":1}]\n'


def test_nothing_is_nothing() -> None:
    assert render_tsv([]) == ""


def test_show_prints_tsv(ask: Callable[..., Result]) -> None:
    lines = ask("show", "xroutes", "-o", "tsv").stdout.splitlines()
    assert lines[0] == "prefix\tmetric\torigin"
    assert lines[1].split("\t")[0] == "10.23.0.1/32"


def test_counters_are_rows(ask: Callable[..., Result]) -> None:
    for arguments in ((), ("babel",)):
        lines = ask("show", "stats", *arguments, "-o", "tsv").stdout.splitlines()
        assert lines[0] == "name\tvalue"
        assert all(line.startswith("babel.") for line in lines[1:] if arguments)
        assert len(lines) > 2


def test_the_kind_of_a_filter_selects_its_lines(ask: Callable[..., Result]) -> None:
    lines = ask("show", "filters", "in", "-o", "tsv").stdout.splitlines()
    assert {line.split("\t")[0] for line in lines[1:]} == {"in"}
