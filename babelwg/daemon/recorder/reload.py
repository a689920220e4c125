"""What a new configuration changes, in a record."""

from collections.abc import Iterable
from dataclasses import fields
from typing import Any

from babelwg.config import BabeldConfig, Config

AnyConfig = Config | BabeldConfig
SECTIONS = {"node": "the node's own settings", "tunnels": "what all tunnels share", "babel": "[babel]"}


def describe_reload(old: AnyConfig, new: AnyConfig) -> tuple[str, dict[str, Any]]:
    """Return in a sentence what differs, and the fields of the record: names of peers, and of sections."""
    if not isinstance(old, Config) or not isinstance(new, Config):
        return ("nothing changed" if old == new else f"changed: {_fields_that_differ(old, new)}"), {}
    before, after = ({peer.name: peer for peer in config.peers} for config in (old, new))
    added, removed = sorted(after.keys() - before.keys()), sorted(before.keys() - after.keys())
    changed = {
        name: _fields_that_differ(before[name], after[name])
        for name in sorted(before.keys() & after.keys())
        if before[name] != after[name]
    }
    sections = [words for name, words in SECTIONS.items() if getattr(old, name) != getattr(new, name)]
    if old.gateways != new.gateways:
        sections.append("gateways")
    said = [f"{_peers(added)} added"] if added else []
    said += [f"{_peers(removed)} removed"] if removed else []
    said += [f"peer {name} changed ({what})" for name, what in changed.items()]
    said += [f"{section} changed" for section in sections]
    record = {
        "added": added,
        "removed": removed,
        "changed": [*changed],
        "peers": [*added, *removed, *changed],
    }
    return "; ".join(said) or "nothing changed", record


def _peers(names: Iterable[str]) -> str:
    names = list(names)
    return f"peer{'s' if len(names) > 1 else ''} {', '.join(names)}"


def _fields_that_differ(old: Any, new: Any) -> str:
    """Return the names of settings, never their values: some are secret."""
    compared = [field.name for field in fields(new) if field.compare]
    names = [name for name in compared if getattr(old, name) != getattr(new, name)]
    return ", ".join(name.replace("_", "-") for name in names)
