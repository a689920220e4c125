"""`config show` and `config path`: what holds, in the language it was written in or as JSON, and no secrets."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import Result
from jsonschema import Draft202012Validator, ValidationError

from babelwg.cli.schema import compose
from babelwg.config import load, parse_babeld
from babelwg.config.toml.reference import SECTIONS

DIRECTIVES = "expected interface, default, key, in, out, redistribute, install or the name of a setting"

Run = Callable[..., Result]

SCHEMA = compose()
BRAVO = "IiIi" * 10 + "IiI="
OWN = "ERER" * 10 + "ERE="
SECRET = "00ffaa99"
TOML = f"""\
[node]
name = "alpha"
private-key-file = "node.key"

[babel]
in = ["deny"]

[[babel.key]]
id = "lan"
type = "blake2s128"
value = "{SECRET}"

[[babel.interface]]
name = "eth0"
keys = ["lan"]

[[peer]]
name = "bravo"
public-key = "{BRAVO}"
"""
GATEWAYS = """\
[[gateway]]
prefix = "::/0"
from = "2001:db8::/48"
metric = 5
interface = "eth0"
interval = 7
fall = 4
require = "any"
check = [
    { ping = "2001:db8::1" }, { tcp = "[2001:db8::1]:53" }, { http = "https://[2001:db8::1]/x?y=1", status = 204 },
    { http = "http://example.net:8080" }, { dns = "example.net", server = "192.0.2.1" },
    { command = ["/bin/check", "a \\"b\\""] },
]

[[gateway]]
prefix = "0.0.0.0/0"

[web]
hosts = ["mesh.example"]
"""
# Keys with a default that need not stand there: an empty list, what the kernel or chance decides, another way to say
# the same, and what depends on the type of an interface that is left open.
UNSAID = {
    "node.leaf-networks", "peer.leaf-addresses", "babel.local-readwrite", "babel.ipv6-subtrees", "babel.router-id",
    "babel.shutdown-delay-ms", "babel.interface.faraway", "babel.interface.rxcost", "babel.interface.max-rtt-penalty",
}  # fmt: skip
BABELD = f"key id lan type hmac-sha256 value {SECRET}\ninterface eth0 type wired key lan\nin eq 0 deny\n"


@pytest.fixture
def toml(tmp_path: Path) -> Path:
    (tmp_path / "node.key").write_text(OWN)
    (tmp_path / "node.key").chmod(0o600)
    path = tmp_path / "babelwg.toml"
    path.write_text(TOML)
    return path


@pytest.fixture
def babeld(tmp_path: Path) -> Path:
    path = tmp_path / "babeld.conf"
    path.write_text(BABELD)
    return path


def validate(document: dict[str, object], definition: str) -> None:
    """Raise ValidationError unless a document follows the schema and its data one definition of it."""
    Draft202012Validator(SCHEMA).validate(document)
    Draft202012Validator({"$ref": f"#/$defs/{definition}", "$defs": SCHEMA["$defs"]}).validate(
        document["data"]
    )


def test_config_show_prints_toml_without_secrets(run: Run, toml: Path) -> None:
    result = run("config", "show", "-c", str(toml))
    assert (result.exit_code, result.stderr) == (0, "")
    assert '[tunnels]\nbackend = "auto"\nlisten-port = 51820\n' in result.stdout
    assert "hello-interval = 4\n# update-interval = 16\n" in result.stdout
    assert 'in = ["deny"]\n' in result.stdout
    assert "# implicit: install allow\n" in result.stdout
    assert SECRET not in result.stdout
    assert OWN not in result.stdout


def test_config_show_prints_toml_that_loads(run: Run, toml: Path) -> None:
    config = load(toml)
    written = run("config", "show", "-c", str(toml)).stdout
    toml.write_text(written.replace("# value left out", f'value = "{SECRET}"'))
    again = load(toml)
    assert (again.node, again.tunnels, again.peers) == (config.node, config.tunnels, config.peers)
    assert again.babel.babeld is not None
    assert config.babel.babeld is not None
    assert again.babel.babeld.in_filters == config.babel.babeld.in_filters
    assert again.babel.interfaces[0].keys == config.babel.interfaces[0].keys


def test_config_show_prints_every_table_of_the_reference(run: Run, toml: Path) -> None:
    toml.write_text(f"{TOML}\n{GATEWAYS}")
    config = load(toml)
    written = run("config", "show", "-c", str(toml)).stdout
    unsaid: set[str] = set()
    for section in SECTIONS:
        assert f"\n{section.heading}\n" in f"\n{written}"
        said = "".join(part.partition("\n[")[0] for part in written.split(f"{section.heading}\n")[1:])
        names = set(re.findall(r"^(?:# )?([a-z0-9-]+) = ", said, re.MULTILINE))
        unsaid |= {f"{section.name}.{key.name}" for key in section.keys if key.default is not None} - {
            f"{section.name}.{name}" for name in names
        }
    assert unsaid == UNSAID
    toml.write_text(written.replace("# value left out", f'value = "{SECRET}"'))
    again = load(toml)
    assert again.gateways == config.gateways
    assert (len(config.gateways), len(config.gateways[0].checks)) == (2, 6)
    assert again.web == config.web is not None


def test_config_show_has_gateways_and_the_page_in_json(run: Run, toml: Path) -> None:
    toml.write_text(f"{TOML}\n{GATEWAYS}")
    document = json.loads(run("config", "show", "-c", str(toml), "--json").stdout)
    validate(document, "config_show")
    first, second = document["data"]["gateways"]
    assert (first["prefix"], first["require"], first["interval_s"]) == ("::/0 from 2001:db8::/48", "any", 7)
    assert first["checks"][:2] == [{"ping": "2001:db8::1"}, {"tcp": "[2001:db8::1]:53"}]
    assert (second["prefix"], second["checks"]) == ("0.0.0.0/0", [])
    assert document["data"]["web"]["hosts"] == ["mesh.example"]


def test_config_show_prints_babelds_language_without_secrets(run: Run, babeld: Path) -> None:
    result = run("config", "show", "--babeld-conf", str(babeld))
    assert (result.exit_code, result.stderr) == (0, "")
    assert "# key id lan type hmac-sha256  (value left out)\n" in result.stdout
    assert (
        "\nin eq 0 deny\n# implicit: redistribute local allow\n# implicit: install allow\n" in result.stdout
    )
    assert SECRET not in result.stdout
    (interface,) = [line for line in result.stdout.splitlines() if line.startswith("interface ")]
    assert interface.startswith("interface eth0 type wired link-quality false split-horizon true rxcost 96 ")
    assert interface.endswith(" key lan")
    again = parse_babeld(result.stdout.replace(" key lan\n", "\n"), "x")
    assert (again.interfaces[0].kind, again.interfaces[0].hello_interval) == ("wired", 4.0)


def test_config_show_of_toml_prints_what_the_schema_says(run: Run, toml: Path) -> None:
    document = json.loads(run("config", "show", "-c", str(toml), "--json").stdout)
    validate(document, "config_show")
    assert document["node"] == "alpha"
    data = document["data"]
    assert (data["language"], data["file"]) == ("toml", str(toml))
    assert data["babel"]["update_interval_s"] == 16.0
    assert data["filters"] == {"in": ["deny"], "out": [], "redistribute": [], "install": []}
    assert data["implicit"] == ["redistribute deny", "install allow"]
    assert data["keys"] == [{"id": "lan", "type": "blake2s128"}]
    assert (data["interfaces"][0]["keys"], data["interfaces"][0]["detects_wireless"]) == (["lan"], True)
    assert (data["peers"][0]["interface"], data["peers"][0]["file"]) == ("bw-bravo", str(toml))
    assert SECRET not in json.dumps(document)


def test_config_show_of_babelds_language_prints_what_the_schema_says(run: Run, babeld: Path) -> None:
    document = json.loads(run("--json", "config", "show", "--babeld-conf", str(babeld)).stdout)
    validate(document, "config_show")
    data = document["data"]
    assert (document["node"], data["language"], data["node"], data["peers"]) == (None, "babeld", None, [])
    assert (data["settings"]["protocol-port"], data["settings"]["router-id"]) == ("6696", None)
    assert data["settings"]["kernel-priority"] == "0"
    assert data["import_tables"] == [254]
    assert data["implicit"] == ["redistribute local allow", "install allow"]
    assert SECRET not in json.dumps(document)


def test_schema_refuses_the_value_of_a_key(run: Run, babeld: Path) -> None:
    document = json.loads(run("config", "show", "--babeld-conf", str(babeld), "--json").stdout)
    document["data"]["keys"][0]["value"] = SECRET
    with pytest.raises(ValidationError):
        validate(document, "config_show")


def test_config_show_of_a_wrong_file_is_exit_5_with_every_complaint(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "babeld.conf"
    path.write_text("interface eth0\nbogus\nin gee 4\n")
    result = run("config", "show", "--babeld-conf", str(path))
    assert (result.exit_code, result.stdout) == (5, "")
    assert result.stderr == (
        f'{path}:2:1: unknown directive "bogus", {DIRECTIVES}\n'
        f'{path}:3:4: unknown selector or action "gee"; did you mean "ge"?\n'
    )


def test_config_show_without_a_file_is_exit_5(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "none.toml"
    result = run("config", "show", "-c", str(path), "--json")
    assert (result.exit_code, result.stdout, result.stderr) == (5, "", f"{path}: no such file\n")


def test_config_show_of_two_files_is_wrong_usage(run: Run) -> None:
    result = run("config", "show", "-c", "a", "--babeld-conf", "b")
    assert result.exit_code == 2
    assert "--config and --babeld-conf exclude each other" in result.stderr


def test_config_path_says_where_it_is_read_from(run: Run, tmp_path: Path) -> None:
    lonely = ["--socket", str(tmp_path / "none")]
    assert run(*lonely, "config", "path").stdout == "/etc/babelwg/babelwg.toml\n/etc/babelwg/peers.d\n"
    document = json.loads(run("config", "path", "-c", str(tmp_path / "x.toml"), "--json").stdout)
    validate(document, "config_path")
    assert document["data"] == {"config": f"{tmp_path}/x.toml", "peers_directory": f"{tmp_path}/peers.d"}
