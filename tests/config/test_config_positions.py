"""Lines of keys, also where TOML lets a value or a key take odd forms."""

from babelwg.config.toml.positions import index_columns, index_lines
from babelwg.config.toml.table import parse_document

TEXT = '''\
# a comment with [brackets] = and "quotes"
top = 1
multi = """
[not a table]
key = "no"
"""
literal = \'\'\'
= \'\'\'
[table]  # comment
"quoted.key" = [1, [2,
  3], { a = 1, b = 2 },
  4]
a.b.c = 2
[table.inner]
x = { y = "=", z = [1] }
[[list]]
n = 1
[list.sub]
deep = true
[[list]]
n = 2
'''


def test_every_key_has_its_line() -> None:
    lines = index_lines(TEXT)
    assert lines["top",] == 2
    assert lines["multi",] == 3
    assert lines["literal",] == 7
    assert lines["table",] == 9
    assert lines["table", "quoted.key"] == 10
    assert lines["table", "a", "b", "c"] == 13
    assert lines["table", "inner"] == 14
    assert lines["table", "inner", "x"] == 15
    assert lines["list", 0] == 16
    assert lines["list", 0, "n"] == 17
    assert lines["list", 0, "sub", "deep"] == 19
    assert lines["list", 1, "n"] == 21


def test_elements_of_a_list_have_their_lines() -> None:
    lines = index_lines(TEXT)
    assert [lines["table", "quoted.key", index] for index in range(4)] == [10, 10, 11, 12]


def test_keys_and_what_their_values_say_have_columns() -> None:
    columns = index_columns(TEXT)
    assert columns["top",] == (1, 7)
    assert columns["multi",] == (1, 12)
    assert [columns["table", "quoted.key", index] for index in range(2)] == [(17, 17), (20, 20)]
    assert columns["table", "quoted.key", 3] == (3, 3)
    assert columns["list", 1, "n"] == (1, 5)
    assert index_columns('  a = ["b",\n   "c"]\n') == {("a",): (3, 7), ("a", 0): (8, 9), ("a", 1): (4, 5)}
    assert index_columns('a = ""\n')["a",] == (1, 6)


def test_keys_inside_strings_are_no_keys() -> None:
    assert ("key",) not in index_lines(TEXT)


def test_unknown_place_falls_back_to_the_nearest_table() -> None:
    document = parse_document(TEXT, "x.toml")
    assert document.line_of(("list", 1, "absent")) == 20
    assert document.line_of(("absent",)) == 1


def test_carriage_returns_do_not_move_lines() -> None:
    document = parse_document("a = 1\r\n[b]\r\nc = 2\r\n", "x.toml")
    assert document.line_of(("b", "c")) == 3
