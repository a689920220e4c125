"""`peer`: the file is changed as asked or not at all, and the daemon follows."""

import json
import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from jsonschema import Draft202012Validator

from babelwg.cli.schema import compose
from babelwg.config import load

Ask = Callable[..., Result]

OWN = "ERER" * 10 + "ERE="
BRAVO = "IiIi" * 10 + "IiI="
DELTA = "MzMz" * 10 + "MzM="
TEXT = f"""\
# what I wrote
[node]
name = "alpha"
private-key-file = "node.key"   # 0600

# a friend
[[peer]]
name = "bravo"
public-key = "{BRAVO}"
endpoint = "192.0.2.2:51820"    # at home
"""
ADDED = f'\n[[peer]]\nname = "delta"\npublic-key = "{DELTA}"\n'


@pytest.fixture
def toml(tmp_path: Path, daemon: Any) -> Path:
    (tmp_path / "node.key").write_text(OWN)
    (tmp_path / "node.key").chmod(0o600)
    path = tmp_path / "babelwg.toml"
    path.write_text(TEXT)
    path.chmod(0o640)
    daemon.answers["status"] = {"config": str(path)}
    daemon.answers["reload"] = {"notes": []}
    return path


def asked(daemon: Any) -> list[str]:
    return [request["method"] for request in daemon.requests]


def test_add_writes_a_peer_with_all_its_keys_and_reloads(ask: Ask, toml: Path, daemon: Any) -> None:
    psk = toml.parent / "delta.psk"
    psk.write_text(BRAVO)
    psk.chmod(0o600)
    options = [
        "--endpoint",
        "d.example:1",
        "--endpoint",
        "[2001:db8::1]:2",
        "--keepalive",
        "25",
        "--cost",
        "7",
    ]
    result = ask(
        "peer",
        "add",
        "delta",
        "--public-key",
        DELTA,
        *options,
        "--preshared-key-file",
        str(psk),
        "-c",
        str(toml),
    )
    assert result.exit_code == 0, result.stderr
    assert result.stdout == f"Added delta to {toml}; the daemon has taken it.\n"
    assert toml.read_text() == TEXT + ADDED + (
        'endpoint = ["d.example:1", "[2001:db8::1]:2"]\n'
        'preshared-key-file = "delta.psk"\nkeepalive = 25\ncost = 7\n'
    )
    assert asked(daemon) == ["status", "reload"]
    assert stat.S_IMODE(toml.stat().st_mode) == 0o640
    assert [p.name for p in toml.parent.iterdir() if p.name.endswith(".new")] == []


def test_set_rename_and_remove_leave_the_rest_as_it_was(ask: Ask, toml: Path) -> None:
    assert ask("peer", "set", "bravo", "cost=5", "endpoint=", "-c", str(toml)).exit_code == 0
    assert toml.read_text() == TEXT.replace('endpoint = "192.0.2.2:51820"    # at home\n', "cost = 5\n")
    assert ask("peer", "rename", "bravo", "bruno", "-c", str(toml)).exit_code == 0
    assert 'name = "bruno"' in toml.read_text()
    assert ask("peer", "set", "bruno", "endpoint=a.b:1, c.d:2", "-c", str(toml)).exit_code == 0
    assert [str(e) for e in load(toml).peers[0].endpoints] == ["a.b:1", "c.d:2"]
    result = ask("peer", "remove", "bruno", "-c", str(toml))
    assert result.exit_code == 0, result.stderr
    assert toml.read_text() == TEXT[: TEXT.index("\n# a friend")]


def test_a_file_of_peers_d_is_changed_where_it_stands_and_goes_with_its_last_peer(
    ask: Ask, toml: Path
) -> None:
    directory = toml.parent / "peers.d"
    directory.mkdir()
    file = directory / "delta.toml"
    file.write_text(f'name = "delta"\npublic-key = "{DELTA}"\n')
    assert ask("peer", "set", "delta", "keepalive=9", "-c", str(toml)).exit_code == 0
    assert file.read_text() == f'name = "delta"\npublic-key = "{DELTA}"\nkeepalive = 9\n'
    assert toml.read_text() == TEXT
    result = ask("peer", "remove", "delta", "-c", str(toml))
    assert result.stdout.startswith(f"Removed delta from {file}")
    assert not file.exists()
    assert [peer.name for peer in load(toml).peers] == ["bravo"]


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["add", "Delta", "--public-key", DELTA], 5, 'babelwg.toml:13: "name": "Delta" is not'),
        (["add", "delta", "--public-key", "short"], 5, "babelwg.toml:14: "),
        (["add", "bravo", "--public-key", DELTA], 5, "bravo is that of peer bravo already"),
        (["set", "bravo", "endpiont=a:1"], 5, 'unknown key "endpiont"; did you mean "endpoint"?'),
        (["set", "bravo", "cost=much"], 5, 'babelwg.toml:11: "cost" must be an integer'),
        (["set", "bravo", "cost=-1"], 5, '"cost" must be 0-65534'),
        (["set", "bravo", "cost"], 2, '"cost" is not KEY=VALUE'),
        (["set", "bravo", "name=x"], 2, "babelwg peer rename OLD NEW"),
        (["set", "brave", "cost=1"], 1, 'there is no peer "brave"'),
        (["remove", "brav"], 1, 'did you mean "bravo"?'),
        (["rename", "bravo", "alpha"], 5, "alpha is the name of this node itself"),
    ],
)
def test_a_wrong_change_changes_nothing_and_says_where(
    ask: Ask, toml: Path, daemon: Any, words: list[str], code: int, complaint: str
) -> None:
    result = ask("peer", *words, "-c", str(toml))
    assert result.exit_code == code, result.stderr
    assert complaint in result.stderr
    assert toml.read_text() == TEXT
    assert asked(daemon) == []


def test_a_daemon_that_refuses_gets_the_old_file_back(ask: Ask, toml: Path, daemon: Any) -> None:
    real = daemon._answer

    def refuse(request: Any) -> Any:
        if request["method"] == "reload":
            assert "delta" in toml.read_text()
            return {"jsonrpc": "2.0", "id": 1, "error": {"code": -32001, "message": "x.toml:3: no"}}
        return real(request)

    daemon._answer = refuse
    result = ask("peer", "add", "delta", "--public-key", DELTA, "-c", str(toml))
    assert result.exit_code == 5
    assert "the daemon refused, and the old file is back:\nx.toml:3: no" in result.stderr
    assert toml.read_text() == TEXT


def test_without_a_daemon_or_with_no_reload_the_file_is_written(run: Ask, ask: Ask, toml: Path) -> None:
    result = run("--socket", "/nowhere/s", "peer", "add", "delta", "--public-key", DELTA, "-c", str(toml))
    assert result.exit_code == 0, result.stderr
    assert (
        result.stdout == f"Added delta to {toml}.\nNo daemon answered; the next one that starts reads it.\n"
    )
    result = ask("peer", "remove", "delta", "--no-reload", "-c", str(toml))
    assert result.stdout == f"Removed delta from {toml}.\n"
    assert toml.read_text() == TEXT


def test_a_daemon_with_another_configuration_is_left_alone(ask: Ask, toml: Path, daemon: Any) -> None:
    daemon.answers["status"] = {"config": "/etc/other.toml"}
    result = ask("peer", "set", "bravo", "cost=1", "-c", str(toml))
    assert result.exit_code == 0
    assert "reads /etc/other.toml; it was not asked to reload" in result.stdout
    assert asked(daemon) == ["status"]


def test_a_link_to_the_configuration_stays_a_link(ask: Ask, toml: Path) -> None:
    link = toml.with_name("link.toml")
    link.symlink_to(toml)
    assert ask("peer", "add", "delta", "--public-key", DELTA, "--no-reload", "-c", str(link)).exit_code == 0
    assert link.is_symlink()
    assert toml.read_text() == TEXT + ADDED


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
def test_the_owner_of_the_file_stays(ask: Ask, toml: Path) -> None:
    os.chown(toml, 65534, 65534)
    assert ask("peer", "set", "bravo", "cost=1", "--no-reload", "-c", str(toml)).exit_code == 0
    assert (toml.stat().st_uid, toml.stat().st_gid) == (65534, 65534)


def test_a_missing_configuration_leads_to_init(ask: Ask, tmp_path: Path) -> None:
    result = ask("peer", "add", "delta", "--public-key", DELTA, "-c", str(tmp_path / "x" / "y.toml"))
    assert result.exit_code == 5
    assert "no such file; `babelwg init` writes a first one" in result.stderr


def test_list_prints_the_peers_of_the_file(ask: Ask, toml: Path, daemon: Any) -> None:
    result = ask("peer", "list", "-c", str(toml))
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines()[1].split()[:3] == ["bravo", "bw-bravo", "192.0.2.2:51820"]
    assert max(map(len, result.stdout.splitlines())) <= 80
    document = json.loads(ask("peer", "list", "-c", str(toml), "--json").stdout)
    assert document["node"] == "alpha"
    Draft202012Validator(compose("peer_list")).validate(document)
    assert ask("peer", "list", "-c", str(toml), "-o", "tsv").stdout.startswith("name\tpublic_key\t")
    assert asked(daemon) == []


def test_a_change_as_json_follows_the_schema(ask: Ask, toml: Path) -> None:
    document = json.loads(ask("peer", "set", "bravo", "cost=1", "-c", str(toml), "--json").stdout)
    Draft202012Validator(compose("peer_change")).validate(document)
    assert document["data"] == {
        "peer": "bravo",
        "action": "changed",
        "file": str(toml),
        "reloaded": True,
        "notes": [],
    }


def test_without_a_name_it_is_the_daemons_configuration_that_is_changed_and_named(
    ask: Ask, toml: Path, daemon: Any
) -> None:
    result = ask("peer", "add", "delta", "--public-key", DELTA)
    assert result.stdout == f"Added delta to {toml}; the daemon has taken it.\n"
    assert toml.read_text() == TEXT + ADDED
    assert asked(daemon) == ["status", "status", "reload"]
    assert [row["name"] for row in json.loads(ask("peer", "list", "--json").stdout)["data"]] == [
        "bravo",
        "delta",
    ]
    assert ask("config", "path").stdout.splitlines()[0] == str(toml)
    assert ask("check-config").stdout == f"{toml}: ok, node alpha, 2 peers\n"
    assert 'name = "delta"' in ask("config", "show").stdout


@pytest.mark.parametrize(
    "status", [{"config": "babelwg.toml"}, {"config": "/nowhere/babeld.conf", "mode": "babeld"}, {}, None]
)
def test_a_daemon_that_names_no_configuration_of_ours_leaves_the_usual_one(
    status: Any, ask: Ask, toml: Path, daemon: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("babelwg.cli.setup.DEFAULT_CONFIG", toml)
    daemon.answers["status"] = status
    assert ask("config", "path").stdout.splitlines()[0] == str(toml)


def test_without_a_daemon_it_is_the_usual_configuration(
    run: Ask, toml: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("babelwg.cli.setup.DEFAULT_CONFIG", toml)
    result = run("--socket", str(tmp_path / "none"), "peer", "remove", "bravo")
    assert result.stdout.startswith(f"Removed bravo from {toml}.\n")
