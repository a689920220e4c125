"""A report holds what explains a fault, and no secret in any way it may be written."""

import base64
import json
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from jsonschema import Draft202012Validator

from babelwg.cli.client import Answer
from babelwg.cli.exits import NEGATIVE, NO_DAEMON, Failure
from babelwg.cli.report import contents
from babelwg.cli.report.redaction import Pseudonyms, Redactor, secrets_of, written_forms
from babelwg.cli.schema import compose
from babelwg.config import load
from babelwg.config.keys import generate_private, generate_psk, public_of

MAC_KEY = bytes(range(0x40, 0x60))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a directory with a configuration that has every kind of secret."""
    (tmp_path / "token").write_text("AbCdEfGhIjKlMnOpQrStUvWx-_\n")
    for name in ("node.key", "psk"):
        (tmp_path / name).write_text(f"{generate_private() if name == 'node.key' else generate_psk()}\n")
    for name in ("node.key", "psk", "token"):
        (tmp_path / name).chmod(0o600)
    (tmp_path / "babeld.conf").write_text(
        f"key id k type hmac-sha256 value {MAC_KEY.hex()}\ninterface eth9 key k\n"
    )
    (tmp_path / "babelwg.toml").write_text(
        '[node]\nname = "alpha"\nprivate-key-file = "node.key"\naddresses = ["10.23.0.1/32"]\n'
        '[babel]\nconfig = "babeld.conf"\n[web]\nlisten = "127.0.0.1:8080"\ntoken-file = "token"\n'
        f'[[peer]]\nname = "bravo"\npublic-key = "{public_of(generate_private())}"\n'
        'endpoint = "vpn.bravo.example:51820"\npreshared-key-file = "psk"\n'
    )
    return tmp_path


@pytest.fixture
def report(
    home: Path, ask: Callable[..., Result], daemon: Any, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., dict[str, str]]:
    """Make a report from a daemon and from programs that give all secrets away; return its files."""
    config = load(home / "babelwg.toml")
    spilled = "\n".join(form for secret in secrets_of(config) for form in sorted(written_forms(secret)))
    for method in contents.ANSWERS:
        daemon.answers.setdefault(method, {})
        daemon.answers[method] = {"data": daemon.answers[method], "spilled": spilled}
    daemon.answers["doctor"] = {"address": "from 192.0.2.7 and 2001:db8::7 or vpn.bravo.example\nfd00::9"}
    monkeypatch.setattr(
        contents, "run", lambda command: f"{' '.join(command)}\n{spilled}\nTOKEN={'x' * 20}\n"
    )

    def make(*options: str) -> dict[str, str]:
        target = home / f"report{len(options)}.tar.gz"
        result = ask("bugreport", "-c", str(home / "babelwg.toml"), "-o", str(target), *options)
        assert result.exit_code == 0, result.output
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
        with tarfile.open(target) as archive:
            members = {m.name.partition("/")[2]: archive.extractfile(m) for m in archive.getmembers()}
            return {name: file.read().decode() for name, file in members.items() if file is not None}

    return make


def test_no_secret_is_in_it(report: Callable[..., dict[str, str]], home: Path) -> None:
    config = load(home / "babelwg.toml")
    hidden = secrets_of(config)
    assert MAC_KEY in hidden
    assert b"AbCdEfGhIjKlMnOpQrStUvWx-_" in hidden
    assert len(hidden) == 4
    files = report()
    whole = "\n".join([*files, *files.values()]).lower()
    for secret in hidden:
        for form in (*written_forms(secret), secret.hex().upper(), base64.b64encode(secret).decode()):
            assert form.lower() not in whole, form
    assert "x" * 20 not in whole
    assert str(config.peers[0].public_key) in files["config.txt"]


def test_it_has_all_that_explains(report: Callable[..., dict[str, str]]) -> None:
    files = report()
    assert {"config.txt", "version.json", "system/sysctl.txt", "system/wg.txt", "system/nft.txt"} <= set(
        files
    )
    assert {f"answers/{method}.json" for method in contents.ANSWERS} <= set(files)
    assert "ipv4.ip_forward = " in files["system/sysctl.txt"]
    assert "ip -6 -d route show table main" in files["system/ip-route-6-main.txt"]
    assert 'name = "bravo"' in files["config.txt"]
    assert json.loads(files["version.json"])["packages"]["click"]


def test_addresses_have_other_names_on_request(report: Callable[..., dict[str, str]]) -> None:
    assert "192.0.2.7" in report()["answers/doctor.json"]
    files = report("--private")
    for word in ("192.0.2.7", "2001:db8::7", "fd00::9", "vpn.bravo.example", "10.23.0.1"):
        assert all(word not in text for text in files.values()), word
    again = report("--private", "--json")
    assert files["answers/doctor.json"] == again["answers/doctor.json"]
    assert "ip4-" in files["answers/doctor.json"]


def test_the_list_writes_nothing(home: Path, ask: Callable[..., Result], daemon: Any) -> None:
    for method in contents.ANSWERS:
        daemon.answers.setdefault(method, {})
    before = sorted(home.iterdir())
    result = ask("bugreport", "--list", "-c", str(home / "babelwg.toml"), "--json")
    document = json.loads(result.stdout)
    Draft202012Validator(compose("bugreport")).validate(document)
    assert document["data"]["file"] is None
    assert sorted(home.iterdir()) == before


def test_it_never_overwrites(home: Path, ask: Callable[..., Result], daemon: Any) -> None:
    daemon.error = {"code": -32601, "message": "unknown method"}
    (home / "there").write_text("precious")
    result = ask("bugreport", "-c", str(home / "babelwg.toml"), "-o", str(home / "there"))
    assert result.exit_code == 1
    assert "exists; a report never overwrites" in result.stderr
    assert (home / "there").read_text() == "precious"


def test_without_a_daemon_and_with_a_broken_configuration_there_is_still_a_report(
    tmp_path: Path, run: Callable[..., Result]
) -> None:
    key = generate_private()
    (tmp_path / "bad.toml").write_text(f'[node]\nname = "{key}"\n')
    target = tmp_path / "r.tar.gz"
    result = run(
        *("--socket", str(tmp_path / "none"), "bugreport"),
        "-c",
        str(tmp_path / "bad.toml"),
        "-o",
        str(target),
    )
    assert result.exit_code == 0, result.output
    with tarfile.open(target) as archive:
        texts = {m.name: archive.extractfile(m).read().decode() for m in archive.getmembers()}  # type: ignore[union-attr]
    assert "bad.toml:2: wrong" in texts["r/config.txt"]
    assert "no daemon answers at" in texts["r/answers/status.txt"]
    assert str(key) not in "".join(texts.values())


def test_what_looks_like_a_key_is_taken_out_unless_it_is_public() -> None:
    known, unknown = str(public_of(generate_private())), str(generate_private())
    redact = Redactor([], [known])
    assert redact(f"a {known} b\\n{unknown}") == f"a {known} b\\n(redacted)"
    assert redact("f" * 64) == "(redacted)"
    assert redact("token=abcdefghijklmnopqrst") == "token=(redacted)"
    assert redact("fd00::1 aa:bb:cc:dd:ee:ff:00:11") == "fd00::1 aa:bb:cc:dd:ee:ff:00:11"


@pytest.mark.parametrize(
    "kept",
    ["fe80::1%bw-b", "::1", "127.0.0.1", "::", "0.0.0.0", "12:34:56", "02:03:04:05:06:07:08:09", "ff02::1:6"],
)
def test_what_tells_nothing_of_a_place_stays(kept: str) -> None:
    assert Pseudonyms(b"seed")(f"x {kept} y") == f"x {kept} y"


def test_one_address_has_one_name_wherever_it_stands() -> None:
    rename = Pseudonyms(b"seed", ["Gate.example"])
    text = rename(
        "192.0.2.1:51820 [2001:db8::1]:51820 2001:db8:0::1/64 via 192.0.2.1. gate.example aa:bb:cc:dd:ee:ff"
    )
    words = text.split()
    assert words[0].removesuffix(":51820") == words[4].removesuffix(".")
    assert words[1].strip("[]").removesuffix("]:51820") == words[2].removesuffix("/64")
    assert words[5].startswith("host-")
    assert words[6].startswith("mac-")
    assert Pseudonyms(b"other")("192.0.2.1") != words[4]


def test_a_link_local_address_that_tells_the_machine_has_another_name() -> None:
    rename = Pseudonyms(b"seed")
    text = rename("inet6 fe80::211:22ff:fe33:4455/64 dev eth0, via fe80::211:22ff:fe33:4455%eth0")
    assert "22ff" not in text
    first, second = text.split()[1].removesuffix("/64"), text.split()[5].removesuffix("%eth0")
    assert first == second
    assert first.startswith("ip6-")


def test_what_is_said_of_the_file_fits_a_terminal(
    home: Path, ask: Callable[..., Result], daemon: Any
) -> None:
    for method in contents.ANSWERS:
        daemon.answers.setdefault(method, {})
    target, config = home / "report.tar.gz", home / "babelwg.toml"
    first, *rest = ask("bugreport", "-o", str(target), "-c", str(config)).stdout.splitlines()
    assert first.startswith(f"Wrote {target}: ")
    assert " ".join(rest).startswith("Look through it before you publish it")
    assert max(map(len, rest)) <= 80


def test_a_daemon_that_hangs_is_waited_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def hang(socket: Path, method: str, timeout: float) -> Answer:
        asked.append((method, timeout))
        raise Failure("it does not answer", NO_DAEMON)

    monkeypatch.setattr(contents, "ask", hang)
    parts = {part.name: part.text for part in contents.answers(tmp_path)}
    assert parts == {f"answers/{method}.txt": "it does not answer\n" for method in contents.ANSWERS}
    assert asked == [("status", 5.0)]


def test_a_question_that_is_refused_keeps_no_other_from_being_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(socket: Path, method: str, timeout: float) -> Answer:
        if method == "status":
            raise Failure("it failed to answer", NEGATIVE)
        return Answer("alpha", {})

    monkeypatch.setattr(contents, "ask", refuse)
    status, *others = contents.answers(tmp_path)
    assert (status.name, status.text) == ("answers/status.txt", "it failed to answer\n")
    assert [part.name for part in others] == [f"answers/{method}.json" for method in contents.ANSWERS[1:]]
