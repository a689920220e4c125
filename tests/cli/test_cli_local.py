"""Commands that need no daemon: keys, init, check-config, version, completion, and what starts others."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

from babelwg.config import Key, load, parse_babeld, public_of
from babelwg.version import __version__

DIRECTIVES = "expected interface, default, key, in, out, redistribute, install or the name of a setting"

Run = Callable[..., Result]

ONES = "ERER" * 10 + "ERE="


def test_genkey_prints_a_key_that_pubkey_understands(run: Run) -> None:
    private = run("genkey")
    assert private.exit_code == 0
    assert len(private.stdout) == 45
    public = run("pubkey", stdin=private.stdout)
    assert public.stdout == f"{public_of(Key.parse(private.stdout))}\n"


def test_pubkey_gives_what_wg_gives(run: Run) -> None:
    expected = bytes.fromhex("7b4e909bbe7ffe44c465a220037d608ee35897d31ef972f07f74892cb0f73f13")
    assert run("pubkey", stdin=ONES).stdout == f"{Key(expected)}\n"


@pytest.mark.parametrize("stdin", ["", "nonsense", f"{ONES}x", b"\xff" * 44])
def test_pubkey_refuses_what_is_no_key(stdin: str | bytes, run: Run) -> None:
    result = run("pubkey", stdin=stdin)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr.startswith("babelwg: stdin holds no private key: ")


def test_genpsk_prints_a_key(run: Run) -> None:
    first, second = run("genpsk").stdout, run("genpsk").stdout
    assert first != second
    Key.parse(first)


@pytest.mark.conformance("M7-2")
def test_genmackey_prints_32_octets_that_are_a_key_of_either_type(run: Run) -> None:
    first, second = run("genmackey").stdout, run("genmackey").stdout
    assert first != second
    for algorithm in ("hmac-sha256", "blake2s128"):
        (key,) = parse_babeld(f"key id k type {algorithm} value {first}", "x").keys
        assert key.value == bytes.fromhex(first)
        assert len(key.value) == 32


def test_init_writes_a_configuration_that_loads(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "etc" / "babelwg.toml"
    result = run("init", "--config", str(path), "--name", "alpha")
    assert result.exit_code == 0, result.stderr
    config = load(path)
    public = public_of(config.node.private_key)
    assert config.node.name == "alpha"
    assert f"public key  {public}\n" in result.stdout
    assert len(config.node.addresses) == 1
    assert (path.parent / "node.key").stat().st_mode & 0o777 == 0o600
    assert (path.parent / "peers.d").is_dir()
    assert str(config.node.private_key) not in result.stdout


def test_snippet_of_init_is_a_peer_of_the_other_side(run: Run, tmp_path: Path) -> None:
    one, other = tmp_path / "one" / "babelwg.toml", tmp_path / "other" / "babelwg.toml"
    snippet = run("init", "--config", str(one), "--name", "alpha").stdout.partition("[[peer]]")
    run("init", "--config", str(other), "--name", "bravo")
    (other.parent / "peers.d" / "alpha.toml").write_text(snippet[1] + snippet[2])
    (peer,) = load(other).peers
    assert (peer.name, peer.public_key) == ("alpha", public_of(load(one).node.private_key))


@pytest.mark.parametrize("name", ["babelwg.toml", "node.key"])
def test_init_never_overwrites(name: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / name).write_text("precious")
    result = run("init", "--config", str(tmp_path / "babelwg.toml"))
    assert result.exit_code == 5
    assert result.stderr == f"babelwg: {tmp_path / name} exists; init never overwrites\n"
    assert (tmp_path / name).read_text() == "precious"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_init_refuses_a_name_that_no_node_may_have(run: Run, tmp_path: Path) -> None:
    result = run("init", "--config", str(tmp_path / "x.toml"), "--name", "Al pha")
    assert result.exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_init_takes_the_hosts_name(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "Node_7.example.net")
    run("init", "--config", str(tmp_path / "x.toml"))
    assert load(tmp_path / "x.toml").node.name == "node-7"


def test_init_below_a_file_is_one_sentence(run: Run, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    result = run("init", "--config", str(tmp_path / "file" / "x.toml"))
    assert result.exit_code == 5
    assert result.stderr.startswith("babelwg: cannot write ")


def test_check_config_says_ok_or_everything_that_is_wrong(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "babelwg.toml"
    run("init", "--config", str(path), "--name", "alpha")
    good = run("check-config", "--config", str(path))
    assert (good.exit_code, good.stdout) == (0, f"{path}: ok, node alpha, 0 peers\n")
    path.write_text(path.read_text() + '[tunels]\n[babel]\ntable = "x"\n')
    bad = run("check-config", "--config", str(path))
    assert (bad.exit_code, bad.stdout) == (5, "")
    assert bad.stderr.splitlines()[0].endswith('unknown key "tunels"; did you mean "tunnels"?')
    assert len(bad.stderr.splitlines()) == 2


def test_check_config_tells_a_program_too(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    result = run("check-config", "--config", str(path), "--json")
    assert result.exit_code == 5
    assert json.loads(result.stdout) == {
        "schema": "babelwg/1",
        "node": None,
        "data": {
            "valid": False,
            "errors": [{"file": str(path), "line": None, "column": None, "message": "no such file"}],
        },
    }


def test_check_config_reads_babelds_language(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "babeld.conf"
    path.write_text("interface eth0\n")
    good = run("check-config", "--babeld-conf", str(path))
    assert (good.exit_code, good.stdout) == (0, f"{path}: ok, 1 interface\n")
    path.write_text("interface eth0\nbogus\n")
    bad = run("check-config", "--babeld-conf", str(path))
    assert (bad.exit_code, bad.stderr) == (5, f'{path}:2:1: unknown directive "bogus", {DIRECTIVES}\n')


@pytest.mark.parametrize("argument", ["version", "--version", "-V"])
def test_version_is_printed(argument: str, run: Run) -> None:
    result = run(argument)
    assert (result.exit_code, result.stdout) == (0, f"babelwg {__version__}\n")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_is_a_script_of_the_shell(shell: str, run: Run) -> None:
    result = run("completion", shell)
    assert result.exit_code == 0
    assert f"_BABELWG_COMPLETE={shell}_complete" in result.stdout


def test_completion_knows_the_commands() -> None:
    completion = {"_BABELWG_COMPLETE": "bash_complete", "COMP_WORDS": "babelwg show n", "COMP_CWORD": "2"}
    environment = {**os.environ, **completion}
    found = subprocess.run(
        [sys.executable, "-m", "babelwg"], env=environment, capture_output=True, text=True, check=True
    )
    assert found.stdout == "plain,neighbours\n"


def test_daemon_hands_its_options_over(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def main(options: Any) -> int:
        given.append(options)
        return 4

    monkeypatch.setattr("babelwg.daemon.app.main", main)
    result = run("daemon", "--state-dir", str(tmp_path), "--socket", "/run/x", "--log-level", "debug")
    assert result.exit_code == 4
    (options,) = given
    assert (options.config, options.babeld_conf) == (Path("/etc/babelwg/babelwg.toml"), None)
    assert (options.state_dir, options.socket, options.log_level) == (tmp_path, Path("/run/x"), "debug")
    run("--socket", "/run/y", "daemon", "--babeld-conf", "b.conf")
    assert (given[1].config, given[1].babeld_conf, given[1].socket) == (None, Path("b.conf"), Path("/run/y"))


def test_demo_hands_its_options_over(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[Any] = []

    def demo(options: Any) -> int:
        given.append(options)
        return 0

    monkeypatch.setattr("babelwg.lab.netns.demo.run", demo)
    assert run("demo", "--json", "--hold", "--sim", "--backend", "wireguard-go").exit_code == 0
    (options,) = given
    assert (options.as_json, options.hold, options.simulate) == (True, True, True)
    assert options.backend == "wireguard-go"


def test_small_commands_do_not_load_the_large_libraries() -> None:
    script = (
        "import sys, babelwg.cli.commands\n"
        "heavy = {'nacl', 'pyroute2', 'tomlkit', 'babelwg.config', 'babelwg.daemon', 'babelwg.lab'}\n"
        "print(sorted(heavy & set(sys.modules)))\n"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert found.stdout == "[]\n"


def test_reader_that_goes_away_early_leaves_no_traceback(daemon: Any) -> None:
    daemon.answers["xroutes"] = [
        {"prefix": f"10.{i >> 8}.{i & 255}.0/24", "metric": 0, "origin": "announce"} for i in range(20_000)
    ]
    command = [sys.executable, "-m", "babelwg", "--socket", str(daemon.path), "show", "xroutes"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline().startswith("PREFIX")
        process.stdout.close()
        complaint = process.stderr.read()
    assert complaint == ""
    assert process.returncode in (0, 1)  # which of them is click's choice
