"""`import` and `export`: files of wg-quick taken over, and written for devices without Babel."""

import json
import re
import stat
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from jsonschema import Draft202012Validator

from babelwg.cli.schema import compose
from babelwg.config import Key, load, public_of

Ask = Callable[..., Result]

OWN, A, B, PSK = ("ERER" * 10 + "ERE=", "IiIi" * 10 + "IiI=", "MzMz" * 10 + "MzM=", "RERE" * 10 + "REQ=")
WG = f"""\
[Interface]
PrivateKey = {OWN}
Address = 10.9.0.1/24, fd00:9::1/64
ListenPort = 51000
DNS = 10.9.0.53

[Peer]
PublicKey = {A}
PresharedKey = {PSK}
Endpoint = bravo.example.net:51820
AllowedIPs = 10.9.0.2/32
"""
TEXT = f"""\
[node]
name = "alpha"
private-key-file = "node.key"
addresses = ["10.23.0.1/32"]
leaf-networks = ["10.23.9.0/24", "fd00:9::/64"]

[[peer]]
name = "bravo"
public-key = "{B}"
"""


@pytest.fixture
def conf(tmp_path: Path) -> Path:
    path = tmp_path / "wg0.conf"
    path.write_text(WG)
    path.chmod(0o600)
    return path


@pytest.fixture
def toml(tmp_path: Path, daemon: Any) -> Path:
    home = tmp_path / "etc"
    home.mkdir()
    (home / "node.key").write_text(PSK)
    (home / "node.key").chmod(0o600)
    path = home / "babelwg.toml"
    path.write_text(TEXT)
    daemon.answers["status"] = {"config": str(path)}
    daemon.answers["reload"] = {"notes": []}
    daemon.answers["routes"] = [
        {"prefix": "10.23.0.2/31", "state": "selected"},
        {"prefix": "10.66.0.0/16", "state": "retracted"},
    ]
    daemon.answers["peers"] = [{"name": "phone", "listen_port": 51827}]
    return path


def test_import_writes_a_new_configuration_with_keys_in_files_of_their_own(
    run: Ask, conf: Path, tmp_path: Path
) -> None:
    path = tmp_path / "new" / "babelwg.toml"
    result = run("import", str(conf), "-c", str(path), "--name", "alpha")
    assert result.exit_code == 0, result.stderr
    config = load(path)
    assert (config.node.name, str(config.node.private_key)) == ("alpha", OWN)
    assert [str(a) for a in config.node.addresses] == ["10.9.0.1/24", "fd00:9::1/64"]
    assert config.tunnels.listen_port == 51000
    (peer,) = config.peers
    assert (peer.name, str(peer.public_key), str(peer.preshared_key)) == ("bravo", A, PSK)
    for name in ("node.key", "bravo.psk"):
        assert stat.S_IMODE((path.parent / name).stat().st_mode) == 0o600
    said = result.stdout + result.stderr + path.read_text()
    assert OWN not in said
    assert PSK not in said
    assert "Peers: bravo.\nNot taken over:\n  line 5: DNS = 10.9.0.53: the resolver" in result.stdout
    assert max(map(len, result.stdout.splitlines()[1:])) <= 80


def test_import_adds_peers_to_a_configuration_that_exists(
    ask: Ask, conf: Path, toml: Path, daemon: Any
) -> None:
    result = ask("import", str(conf), "-c", str(toml))
    assert result.exit_code == 0, result.stderr
    assert toml.read_text().startswith(TEXT)
    config = load(toml)
    assert [(p.name, str(p.public_key)) for p in config.peers] == [("bravo", B), ("bravo-2", A)]
    assert str(config.node.private_key) == PSK
    assert f"keeps its own key, so the peers must be told of it: {public_of(Key.parse(PSK))}" in " ".join(
        result.stdout.split()
    )
    assert [request["method"] for request in daemon.requests] == ["status", "reload"]


def test_an_import_that_fails_leaves_nothing(ask: Ask, conf: Path, toml: Path) -> None:
    conf.write_text(WG.replace(A, B))
    result = ask("import", str(conf), "-c", str(toml))
    assert result.exit_code == 5
    assert "is that of peer bravo already" in result.stderr
    assert toml.read_text() == TEXT
    assert sorted(p.name for p in toml.parent.iterdir()) == ["babelwg.toml", "node.key"]
    (toml.parent / "bravo-2.psk").write_text("mine")
    conf.write_text(WG)
    result = ask("import", str(conf), "-c", str(toml))
    assert (result.exit_code, (toml.parent / "bravo-2.psk").read_text()) == (5, "mine")
    assert "bravo-2.psk exists and is not overwritten" in result.stderr


def test_import_tells_of_a_file_that_others_may_read_and_of_one_that_is_wrong(
    run: Ask, conf: Path, tmp_path: Path
) -> None:
    conf.chmod(0o644)
    path = tmp_path / "x" / "babelwg.toml"
    result = run("import", str(conf), "-c", str(path), "--name", "alpha", "--json")
    document = json.loads(result.stdout)
    assert "chmod 600" in document["data"]["notes"][0]
    Draft202012Validator(compose("import")).validate(document)
    result = run("import", str(tmp_path / "none.conf"), "-c", str(path))
    assert (result.exit_code, "none.conf: no such file" in result.stderr) == (5, True)


def test_export_makes_a_phone_a_peer_and_prints_its_file(ask: Ask, toml: Path) -> None:
    result = ask("export", "phone", "--wg-quick", "--endpoint", "gate.example", "-c", str(toml))
    assert result.exit_code == 0, result.stderr
    phone = load(toml).peers[1]
    assert (phone.name, [str(p) for p in phone.leaf_addresses]) == (
        "phone",
        ["10.23.9.1/32", "fd00:9::1/128"],
    )
    private = re.search(r"PrivateKey = (.+)", result.stdout)
    assert private is not None
    assert public_of(Key.parse(private[1])) == phone.public_key
    assert private[1] not in toml.read_text() + result.stderr
    assert result.stdout == (
        f"[Interface]\nPrivateKey = {private[1]}\nAddress = 10.23.9.1/32, fd00:9::1/128\nMTU = 1420\n\n"
        f"[Peer]\nPublicKey = {public_of(Key.parse(PSK))}\nEndpoint = gate.example:51827\n"
        "AllowedIPs = 10.23.0.1/32, 10.23.0.2/31\nPersistentKeepalive = 25\n"
    )
    assert result.stderr == f"Added phone to {toml}; the daemon has taken it.\n"


def test_export_waits_once_for_a_daemon_that_hangs(ask: Ask, daemon: Any, toml: Path, hurry: None) -> None:
    daemon.is_silent = True
    result = ask("export", "phone", "--wg-quick", "--endpoint", "gate.example", "-c", str(toml))
    assert result.exit_code == 0, result.stderr
    assert [request["method"] for request in daemon.requests] == ["status"]


def test_export_again_has_no_private_key(ask: Ask, toml: Path) -> None:
    words = ["export", "phone", "--wg-quick", "--endpoint", "2001:db8::1", "--all-traffic", "-c", str(toml)]
    assert ask(*words).exit_code == 0
    before = toml.read_text()
    result = ask(*words)
    assert result.exit_code == 0, result.stderr
    assert toml.read_text() == before
    assert "# PrivateKey = the device has it already\n" in result.stdout
    assert "Endpoint = [2001:db8::1]:51827\nAllowedIPs = 0.0.0.0/0, ::/0\n" in result.stdout


def test_export_takes_a_key_and_an_address_that_are_given(ask: Ask, toml: Path, tmp_path: Path) -> None:
    file = tmp_path / "phone.conf"
    options = ["--public-key", A, "--address", "10.23.7.7", "--endpoint", "h:1", "--to", str(file), "--json"]
    result = ask("export", "phone", "--wg-quick", *options, "-c", str(toml))
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    Draft202012Validator(compose("export")).validate(document)
    assert document["data"]["addresses"] == ["10.23.7.7/32"]
    assert file.read_text() == document["data"]["wg_quick"]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert str(load(toml).peers[1].public_key) == A


@pytest.mark.parametrize(
    ("words", "code", "complaint"),
    [
        (["phone", "--wg-quick"], 2, "--endpoint"),
        (["phone", "--endpoint", "h:1"], 2, "--wg-quick"),
        (["phone", "--wg-quick", "--endpoint", "a b"], 2, '"a b" is neither HOST nor HOST:PORT'),
        (["phone", "--wg-quick", "--endpoint", "h", "--to", "/nowhere/x"], 1, "cannot write /nowhere/x"),
        (["bravo", "--wg-quick", "--endpoint", "h:1"], 1, "bravo is a peer that speaks Babel"),
        (
            ["phone", "--wg-quick", "--endpoint", "h:1", "--address", "10.0.0.1/8"],
            2,
            "did you mean 10.0.0.0/8",
        ),
        (["phone", "--wg-quick", "--endpoint", "h:1", "--address", "10.23.0.1"], 5, "is that of this node"),
        (["phone", "--wg-quick", "--endpoint", "h:1", "--public-key", "x"], 2, "a key has 44 characters"),
    ],
)
def test_a_wrong_export_changes_nothing(
    ask: Ask, toml: Path, words: list[str], code: int, complaint: str
) -> None:
    result = ask("export", *words, "-c", str(toml))
    assert result.exit_code == code, result.stderr
    assert complaint in result.stderr
    assert toml.read_text() == TEXT


def test_a_qr_code_holds_the_file(ask: Ask, toml: Path) -> None:
    result = ask("export", "phone", "--wg-quick", "--qr", "--endpoint", "h:1", "-c", str(toml))
    assert result.exit_code == 0, result.stderr
    lines = result.stdout.splitlines()
    assert set("".join(lines)) <= set("█▀▄ ")
    assert len({*map(len, lines)}) == 1
    # The three finder patterns: seven dark modules in a row, two modules from the border.
    assert lines[1][2:9] == " ▄▄▄▄▄ "
    assert lines[1][-9:-2] == " ▄▄▄▄▄ "


def test_what_is_too_long_for_a_qr_code_is_printed_as_text(ask: Ask, toml: Path, daemon: Any) -> None:
    daemon.answers["routes"] = [{"prefix": f"10.{n}.{n}.{n}/32", "state": "selected"} for n in range(200)]
    result = ask("export", "phone", "--wg-quick", "--qr", "--endpoint", "h:1", "-c", str(toml))
    assert result.exit_code == 0
    assert result.stdout.startswith("[Interface]\nPrivateKey = ")
    assert "too much for a QR code" in result.stderr


def test_without_segno_a_sentence_says_what_to_install(
    ask: Ask, toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "segno", None)
    result = ask("export", "phone", "--wg-quick", "--qr", "--endpoint", "h:1", "-c", str(toml))
    assert result.exit_code == 1
    assert "QR codes need segno; install it, as by: pip install 'babelwg[qr]'" in result.stderr
    assert toml.read_text() == TEXT


def test_import_makes_no_configuration_that_is_too_large_to_be_read(
    ask: Ask, conf: Path, toml: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = toml.read_text()
    monkeypatch.setattr("babelwg.config.files.MAX_SIZE", max(len(WG), len(before)) + 10)
    result = ask("import", str(conf), "-c", str(toml))
    assert (result.exit_code, toml.read_text()) == (5, before)
    assert "would be larger than" in result.stderr
    assert not (toml.parent / "bravo-2.psk").exists()


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--dns", "10.0.0.1\nPostUp = touch /tmp/owned"),
        ("--dns", "fe80::1%\nPostUp = touch /tmp/owned"),
        ("--dns", "10.0.0"),
        ("--allowed", "10.0.0.0/8\nPostUp = touch /tmp/owned"),
        ("--allowed", "10.0.0.1/8"),
    ],
)
def test_export_writes_no_line_that_an_option_brings(ask: Ask, toml: Path, option: str, value: str) -> None:
    before = toml.read_text()
    result = ask("export", "phone", "--wg-quick", "--endpoint", "h:1", option, value, "-c", str(toml))
    assert (result.exit_code, result.stdout, toml.read_text()) == (2, "", before)
    assert result.stderr.startswith(f"babelwg: {option}: ")
