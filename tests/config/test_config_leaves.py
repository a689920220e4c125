"""Peers without Babel in the configuration."""

from pathlib import Path

import pytest

from babelwg.config import ConfigErrors, load
from babelwg.config.toml import parse
from babelwg.config.toml.text import toml_text

TEXT = """\
[node]
name = "alpha"
private-key-file = "node.key"
addresses = ["10.9.0.1/32"]
announce = ["10.7.0.0/24"]
leaf-networks = ["10.9.0.0/24"]

[[peer]]
name = "phone"
public-key = "IiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiIiI="
leaf-addresses = ["10.9.0.5/32", "fd00:9::/64"]

[[peer]]
name = "pad"
public-key = "MzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzMzM="
leaf-addresses = "10.9.0.6"
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    (tmp_path / "node.key").write_text("ERER" * 10 + "ERE=")
    (tmp_path / "node.key").chmod(0o600)
    (tmp_path / "babelwg.toml").write_text(TEXT)
    return tmp_path / "babelwg.toml"


def test_leaves_are_read_and_written_again(path: Path) -> None:
    config = load(path)
    assert [[str(p) for p in peer.leaf_addresses] for peer in config.peers] == [
        ["10.9.0.5/32", "fd00:9::/64"],
        ["10.9.0.6/32"],
    ]
    assert parse(toml_text(config), path) == config


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("10.9.0.6", "10.9.0.5", 'babelwg.toml:16: "leaf-addresses": 10.9.0.5/32 is that of peer phone'),
        ("10.9.0.6", "10.9.0.1", "10.9.0.1/32 is that of this node already"),
        ("10.9.0.6", "10.7.0.0/24", "10.7.0.0/24 is that of this node already"),
        ("fd00:9::/64", "10.9.0.5/32", "10.9.0.5/32 is that of peer phone already"),
        ("10.9.0.6", "fe80::1", "is local or multicast"),
        ("10.9.0.6", "10.9.0.6/24", "did you mean 10.9.0.0/24?"),
    ],
)
def test_addresses_that_cannot_be_a_leafs_are_told(path: Path, old: str, new: str, complaint: str) -> None:
    path.write_text(TEXT.replace(old, new, 1))
    with pytest.raises(ConfigErrors) as caught:
        load(path)
    assert complaint in str(caught.value)
    assert len(caught.value.errors) == 1
