"""The hosts file: what a line may say, and what a mistake costs."""

import os
from pathlib import Path

import pytest

from babelwg.babel.wire.prefix import Prefix
from babelwg.config.hosts import MAX_LINES, MAX_OCTETS, parse_hosts, parse_identity, read_hosts, stamp_of
from babelwg.config.keys import Key

KEY = "IiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiI="


@pytest.mark.parametrize(
    ("text", "identity"),
    [
        ("02:00:00:00:00:00:00:0A", bytes.fromhex("020000000000000a")),
        (KEY, Key(b"\x22" * 32)),
        ("10.23.0.5", Prefix.parse("10.23.0.5/32")),
        ("fd00::5", Prefix.parse("fd00::5/128")),
        ("10.23.5.0/24", Prefix.parse("10.23.5.0/24")),
    ],
)
def test_a_line_begins_with_one_of_four(text: str, identity: object) -> None:
    assert parse_identity(text) == identity


def test_comments_and_empty_lines_say_nothing_and_a_line_may_give_several_names() -> None:
    hosts = parse_hosts("# all\n\n10.0.0.1 one uno # the first\n  fd00::2\ttwo\r\n")
    assert [host.names for host in hosts.lines] == [("one", "uno"), ("two",)]
    assert hosts.complaints == ()


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("10.0.0.1", "a name is missing"),
        ("ten one", '"ten" is neither a router-id nor a public key, an address or a prefix'),
        ("10.0.0.1/8 one", '"10.0.0.1/8" has bits set beyond its length; did you mean 10.0.0.0/8?'),
        ("10.0.0.1 o\x1b[31mne", '"o\\x1b[31mne" is not a name'),
        ("10.0.0.1 " + "a" * 300, '"' + "a" * 60 + '…" is not a name'),
        ("!" * 43 + "= one", "a key holds only letters, digits, + and /, and ends with one ="),
    ],
)
def test_a_mistake_costs_its_line_and_is_named(line: str, complaint: str) -> None:
    hosts = parse_hosts(f"10.0.0.9 nine\n{line}\n10.0.0.8 eight")
    assert [host.names[0] for host in hosts.lines] == ["nine", "eight"]
    assert hosts.complaints == (f"line 2: {complaint}",)


def test_what_is_too_long_is_read_in_part(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text("10.0.0.1 one\n" * (MAX_LINES + 5))
    assert len(read_hosts(path).lines) == MAX_LINES
    path.write_text("10.0.0.1 one\n" + "#" * MAX_OCTETS + "\n10.0.0.2 two\n")
    hosts = read_hosts(path)
    assert [host.names[0] for host in hosts.lines] == ["one"]
    assert hosts.complaints == (f"only its first {MAX_OCTETS >> 10} KiB are read",)


def test_what_is_no_file_is_a_complaint_and_never_waited_for(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert read_hosts(pipe).complaints == ("it is no ordinary file",)
    assert read_hosts(tmp_path / "none").complaints == ("it cannot be read: No such file or directory",)
    assert stamp_of(tmp_path / "none") is None


def test_octets_that_are_no_text_cost_their_line(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_bytes(b"10.0.0.1 one\n\xff\xfe \x00\n10.0.0.2 two\n")
    assert len(read_hosts(path).lines) == 2
    assert len(read_hosts(path).complaints) == 1
