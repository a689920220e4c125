"""What a configuration of either kind means for a running node."""

from pathlib import Path

from babelwg.config import Config, parse_babeld
from babelwg.config.keys import generate_private
from babelwg.config.toml import parse
from babelwg.daemon.effective import changes_at_restart


def overlay(directory: Path, text: str) -> Config:
    key = directory / "node.key"
    if not key.exists():
        key.write_text(f"{generate_private()}\n")
        key.chmod(0o600)
    node = '[node]\nname = "alpha"\nprivate-key-file = "node.key"\n'
    return parse(node + text, directory / "babelwg.toml")


def test_settings_that_wait_for_a_start_are_named(tmp_path: Path) -> None:
    old, new = overlay(tmp_path, ""), overlay(tmp_path, "[babel]\ntable = 7\nprotocol-port = 6698\n")
    assert changes_at_restart(old, new) == [
        "protocol-port changes at the next start only",
        "the routing table changes at the next start only",
    ]
    assert changes_at_restart(new, new) == []
    more = overlay(tmp_path, '[babel]\ntable = 7\nprotocol-port = 6698\nin = ["deny"]\nlink-detect = true\n')
    assert changes_at_restart(new, more) == []


def test_settings_of_babelds_language_that_wait_for_a_start_are_named() -> None:
    old, new = parse_babeld("", "x"), parse_babeld("export-table 7\nkernel-priority 5\nin deny\n", "x")
    assert changes_at_restart(old, new) == [
        "export-table changes at the next start only",
        "kernel-priority changes at the next start only",
    ]
