"""The section [web] of the configuration."""

from pathlib import Path

import pytest

from babelwg.config import ConfigErrors, Listen, WebConfig, generate_private
from babelwg.config.toml import parse


def web(tmp_path: Path, text: str) -> WebConfig | None:
    key = tmp_path / "node.key"
    if not key.exists():
        key.write_text(f"{generate_private()}\n")
        key.chmod(0o600)
    head = '[node]\nname = "alpha"\nprivate-key-file = "node.key"\n'
    return parse(head + text, tmp_path / "babelwg.toml").web


def test_without_the_section_there_is_no_page(tmp_path: Path) -> None:
    assert web(tmp_path, "") is None


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ("", Listen("127.0.0.1", 6698)),
        ('listen = "localhost:80"', Listen("127.0.0.1", 80)),
        ('listen = "[::1]:8080"', Listen("::1", 8080)),
        ('listen = "unix:/run/babelwg/web.sock"', Listen("", 0, "/run/babelwg/web.sock")),
    ],
)
def test_page_is_for_this_machine_by_default(tmp_path: Path, lines: str, expected: Listen) -> None:
    assert web(tmp_path, f"[web]\n{lines}\n") == WebConfig(expected)


def test_page_for_others_has_a_token_and_names(tmp_path: Path) -> None:
    lines = 'listen = "0.0.0.0:6698"\ntoken-file = "web.token"\nhosts = ["Mesh.Example.net.", "10.23.0.1"]\n'
    expected = WebConfig(Listen("0.0.0.0", 6698), tmp_path / "web.token", ("mesh.example.net", "10.23.0.1"))
    assert web(tmp_path, f"[web]\n{lines}") == expected


@pytest.mark.parametrize(
    ("lines", "line", "words"),
    [
        ('listen = "192.0.2.1:80"', 5, 'open to others than this machine, so "token-file" must be given'),
        ('listen = "[::]:80"', 5, "open to others"),
        ('listen = "mesh.example.net:80"', 5, "give an address of this machine, not a name"),
        ('listen = "127.0.0.1"', 5, "has no port"),
        ('listen = "127.0.0.1:0"', 5, "must be 1-65535"),
        ('listen = "unix:web.sock"', 5, "an absolute path"),
        (f'listen = "unix:/{"x" * 200}"', 5, "at most 100 octets"),
        ('listen = "127.0.0.1:6697"', 5, "browsers refuse to connect to port 6697"),
        ("listen = 6698", 5, "must be a string"),
        ('hosts = ["a", "b c"]', 5, "is not a host name"),
        ('hosts = ["mesh.example.net:80"]', 5, "without a port"),
        ('tokenfile = "web.token"', 5, 'did you mean "token-file"'),
    ],
)
def test_what_is_wrong_is_told_with_its_line(tmp_path: Path, lines: str, line: int, words: str) -> None:
    with pytest.raises(ConfigErrors) as found:
        web(tmp_path, f"[web]\n{lines}\n")
    assert [error.line for error in found.value.errors] == [line]
    assert words in found.value.errors[0].message
