"""The table behind babelwg.toml(5) has every key that the parser reads, and no other."""

import re
import tomllib
from dataclasses import replace
from pathlib import Path

import pytest

from babelwg.config import BabeldConfig, ConfigErrors
from babelwg.config.babeld.grammar import PARAMETERS
from babelwg.config.toml import parse
from babelwg.config.toml.reference import REQUIRED, SECTIONS
from babelwg.config.toml.table import Table

EVERY_TABLE = """
[[peer]]
[[gateway]]
check = [{ ping = "" }, { tcp = "" }, { http = "" }, { dns = "" }, { command = "" }]
[[babel.key]]
[[babel.interface]]
[web]
[node]
name = "alpha"
"""


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """What the parser looks for, as `table.key`."""
    tables: list[Table] = []
    original = Table.__init__

    def remember(self: Table, *arguments: object) -> None:
        original(self, *arguments)  # type: ignore[arg-type]
        tables.append(self)

    monkeypatch.setattr(Table, "__init__", remember)
    with pytest.raises(ConfigErrors):
        parse(EVERY_TABLE, Path("babelwg.toml"))
    return {
        ".".join((*(str(p) for p in table.path if not isinstance(p, int)), key))
        for table in tables
        for key in table.known
    }


def test_every_key_that_is_read_has_its_words_and_no_other(read: set[str]) -> None:
    names = {section.name for section in SECTIONS}
    # The parameters of an interface are read by the grammar of babeld's language.
    read |= {f"babel.interface.{name}" for name in (*PARAMETERS, "keys", "key")}
    described = [f"{section.name}.{key.name}" for section in SECTIONS for key in section.keys]
    assert len(described) == len(set(described))
    assert set(described) == read - names


def test_every_key_says_what_it_means() -> None:
    for section in SECTIONS:
        for key in section.keys:
            assert key.type and key.meaning.endswith("."), key
            assert key.meaning[0].isupper() or key.meaning[0] in '"1', key


BARE = '[node]\nname = "alpha"\nprivate-key-file = "node.key"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a configuration would stand, beside its key."""
    (tmp_path / "node.key").write_text("ERER" * 10 + "ERE=\n")
    (tmp_path / "node.key").chmod(0o600)
    return tmp_path / "babelwg.toml"


@pytest.mark.parametrize("name", ["peer", "babel.key", "babel.interface", "gateway"])
def test_keys_that_are_said_to_be_required_are_missed(name: str, path: Path) -> None:
    section = next(section for section in SECTIONS if section.name == name)
    with pytest.raises(ConfigErrors) as caught:
        parse(f"{BARE}{section.heading}\n", path)
    missing = set(re.findall(r'"([a-z-]+)" is missing', str(caught.value)))
    assert missing == {key.name for key in section.keys if key.default == REQUIRED}


def test_defaults_that_are_said_are_what_holds_unsaid(path: Path) -> None:
    said = BARE
    for section in SECTIONS:
        if not section.repeats:
            defaults = [f"{key.name} = {key.default}" for key in section.keys if _is_toml(key.default)]
            said += "\n".join(["" if section.name == "node" else section.heading, *defaults, ""])
    bare, config = parse(BARE, path), parse(said, path)
    assert (config.node, config.tunnels) == (bare.node, bare.tunnels)
    babeld = replace(config.babel.babeld or BabeldConfig(), shutdown_delay=None)
    assert replace(config.babel, babeld=None) == bare.babel
    assert babeld == BabeldConfig(implicit_local=False)


def _is_toml(text: str | None) -> bool:
    try:
        return bool(tomllib.loads(f"x = {text}"))
    except tomllib.TOMLDecodeError:
        return False
