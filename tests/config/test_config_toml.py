"""The TOML file: what it gives, and every complaint with its line."""

from pathlib import Path

import pytest

from babelwg.config import Config, ConfigErrors, Key, TunnelsConfig, load, public_of
from babelwg.config.addresses import Endpoint, parse_prefix

OWN = Key(b"\x11" * 32)
BRAVO = "IiIi" * 10 + "IiI="
CHARLIE = "MzMz" * 10 + "MzM="
NODE = '[node]\nname = "alpha"\nprivate-key-file = "node.key"\n'


def write(directory: Path, text: str, **peers: str) -> Path:
    """Write a configuration with its key and the files of peers.d; return its path."""
    key = directory / "node.key"
    key.write_text(f"{OWN}\n")
    key.chmod(0o600)
    if peers:
        (directory / "peers.d").mkdir()
    for name, peer in peers.items():
        (directory / "peers.d" / f"{name}.toml").write_text(peer)
    path = directory / "babelwg.toml"
    path.write_text(text)
    return path


def complaints(path: Path) -> list[str]:
    """Return the complaints about a configuration, each without the directory."""
    with pytest.raises(ConfigErrors) as caught:
        load(path)
    lines = [str(error) for error in caught.value.errors]
    assert str(caught.value).split("\n") == lines
    return [line.replace(f"{path.parent}/", "") for line in lines]


def test_whole_example_gives_every_value(tmp_path: Path) -> None:
    psk = tmp_path / "bravo.psk"
    psk.write_text(CHARLIE)
    psk.chmod(0o600)
    path = write(
        tmp_path,
        f"""\
[node]
name = "alpha"
private-key-file = "node.key"
addresses = ["fd5a:8c21:77::1/128", "10.23.0.1/32"]
announce = ["fd5a:8c21:77:1::/64", "10.23.1.0/24"]
sysctls = false

[tunnels]
backend = "wireguard-go"
listen-port = 4000
mtu = 1380
fwmark = 0x1234

[babel]
hello-interval = 2
update-interval = 10.5
override = ["::/0"]
table = "main"

[[peer]]
name = "bravo"
public-key = "{BRAVO}"
endpoint = ["bravo.example.net:51820", "[2001:db8::2]:4000"]
preshared-key-file = "bravo.psk"
keepalive = 25
cost = 10
interface = "wg0"
backend = "kernel"
""",
    )
    config = load(path)
    assert isinstance(config, Config)
    assert config.source == path
    assert (config.node.name, config.node.private_key, config.node.sysctls) == ("alpha", OWN, False)
    assert config.node.private_key_file == tmp_path / "node.key"
    assert [str(address) for address in config.node.addresses] == ["fd5a:8c21:77::1/128", "10.23.0.1/32"]
    assert [str(prefix) for prefix in config.node.announce] == ["fd5a:8c21:77:1::/64", "10.23.1.0/24"]
    assert config.tunnels == TunnelsConfig("wireguard-go", 4000, 1380, 0x1234)
    babel = config.babel
    assert (babel.hello_interval, babel.update_interval, babel.table) == (2.0, 10.5, 254)
    assert babel.override == (parse_prefix("::/0"),)
    (peer,) = config.peers
    assert (peer.name, str(peer.public_key), peer.interface) == ("bravo", BRAVO, "wg0")
    assert peer.endpoints == (Endpoint("bravo.example.net", 51820), Endpoint("2001:db8::2", 4000))
    assert str(peer.preshared_key) == CHARLIE
    assert (peer.keepalive, peer.cost, peer.backend) == (25, 10, "kernel")


def test_short_file_gets_the_defaults(tmp_path: Path) -> None:
    config = load(write(tmp_path, NODE + f'[[peer]]\nname = "bravo"\npublic-key = "{BRAVO}"\n'))
    tunnels, babel = config.tunnels, config.babel
    assert tunnels == TunnelsConfig("auto", 51820, 1420, 0x6277)
    assert (babel.hello_interval, babel.update_interval, babel.table, babel.override) == (4.0, None, 6696, ())
    assert (babel.config, babel.babeld, babel.interfaces) == (None, None, ())
    (peer,) = config.peers
    assert (peer.interface, peer.endpoints, peer.keepalive, peer.cost) == ("bw-bravo", (), 0, 0)
    assert (peer.preshared_key, peer.backend) == (None, None)


def test_peers_also_come_from_the_directory_in_both_forms(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        NODE,
        bravo=f'name = "bravo"\npublic-key = "{BRAVO}"\n',
        others=f'[[peer]]\nname = "charlie"\npublic-key = "{CHARLIE}"\nendpoint = "192.0.2.1:51820"\n',
    )
    (tmp_path / "peers.d" / "notes.txt").write_text("not a peer")
    (tmp_path / "peers.d" / ".hidden.toml").write_text("not a peer")
    assert [peer.name for peer in load(path).peers] == ["bravo", "charlie"]


def test_all_complaints_come_at_once_each_with_its_line(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        f"""\
[node]
name = "Alpha"
private-key-file = "node.key"
addresses = [
    "10.23.0.1/32",
    "10.23.0.300",
    7,
]
anounce = []

[tunnels]
mtu = 500
listen-port = "51820"

[[peer]]
name = "bravo"
public-key = "short"
keepalive = 65536

[[peer]]
public-key = "{BRAVO}"
""",
        zulu='name = "zulu"\npublic-key = 3\n',
    )
    assert complaints(path) == [
        'babelwg.toml:2: "name": "Alpha" is not 1-63 characters of a-z, 0-9 and -',
        'babelwg.toml:6: "addresses": "10.23.0.300" is not an IPv4 or IPv6 address',
        'babelwg.toml:7: "addresses" must be a list of strings, but holds an integer',
        'babelwg.toml:9: unknown key "anounce"; did you mean "announce"?',
        'babelwg.toml:12: "mtu" must be 1280-65535',
        'babelwg.toml:13: "listen-port" must be an integer, not a string',
        'babelwg.toml:17: "public-key": a key has 44 characters, this one has 5',
        'babelwg.toml:18: "keepalive" must be 0-65535',
        'babelwg.toml:20: "name" is missing',
        'peers.d/zulu.toml:2: "public-key" must be a string, not an integer',
    ]


def test_peers_that_collide_point_at_each_other(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        NODE + f'[[peer]]\nname = "bravo"\npublic-key = "{BRAVO}"\n',
        again=f'name = "bravo"\npublic-key = "{BRAVO}"\n',
        other=f'name = "charlie"\npublic-key = "{CHARLIE}"\ninterface = "bw-bravo"\n',
        self=f'name = "alpha"\npublic-key = "{public_of(OWN)}"\n',
    )
    assert complaints(path) == [
        'peers.d/again.toml:1: "name": bravo is that of peer bravo already (babelwg.toml:5)',
        f'peers.d/again.toml:2: "public-key": {BRAVO} is that of peer bravo already (babelwg.toml:6)',
        'peers.d/other.toml:3: "interface": bw-bravo is that of peer bravo already (babelwg.toml:4)',
        'peers.d/self.toml:1: "name": alpha is the name of this node itself',
        'peers.d/self.toml:2: "public-key": this is the key of this node itself',
    ]


def test_addresses_that_overlap_are_refused(tmp_path: Path) -> None:
    text = NODE + 'addresses = ["10.0.0.1/24", "10.0.0.2"]\n'
    text += 'announce = ["10.0.0.1", "10.9.0.0/16", "10.9.0.0/16"]\n'
    assert complaints(write(tmp_path, text)) == [
        'babelwg.toml:4: "addresses": 10.0.0.2/32 overlaps with 10.0.0.1/24',
        'babelwg.toml:5: "announce": 10.0.0.1/32 is announced already because it is one of "addresses"',
        'babelwg.toml:5: "announce": 10.9.0.0/16 is there twice',
    ]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("[tunnels]\nfwmark = 0", '5: "fwmark" must be 1-4294967295'),
        ("[tunnels]\nmtu = true", '5: "mtu" must be an integer, not true or false'),
        ('[tunnels]\nbackend = "kernal"', '5: "backend": "kernal" is not a back end; did you mean "kernel"?'),
        ('[tunnels]\nbackend = "a b"', '5: "backend": "a b" is not auto, kernel, embedded or the name'),
        ("[babel]\nhello-interval = 0", '5: "hello-interval" must be 0.01-655 seconds'),
        ("[babel]\ndead-after = -1", '5: "dead-after" must be 0-60 seconds'),
        ("[babel]\nhello-interval = nan", '5: "hello-interval" must be 0.01-655 seconds'),
        ("[babel]\nhello-interval = inf", '5: "hello-interval" must be 0.01-655 seconds'),
        ('[babel]\ntable = "mane"', '5: "table" must be "main" or 1-4294967295, and not 255 (local)'),
        ("[babel]\ntable = 255", '5: "table" must be "main" or 1-4294967295, and not 255 (local)'),
        ('[babel]\noverride = "10.1.2.3/8"', '5: "override": "10.1.2.3/8" has bits set beyond its length'),
        ('announce = ["fe80::/64"]', '4: "announce": "fe80::/64" is local or multicast'),
        ("[peer]\n", "4: peer must be a list of tables, written [[peer]]"),
        ("[peers]\n", '4: unknown key "peers"; did you mean "peer"?'),
        ("history = 99", '4: "history" must be 100-100000'),
        ('history-file = "log/"', '4: "history-file": "log/" is not the name of a file'),
        ('history-file = "a\\u0000b"', '4: "history-file": '),
        ("sysctls = 1", '4: "sysctls" must be true or false, not an integer'),
        ("announce = 2024-01-01", '4: "announce" must be a list of strings, but holds a date or time'),
    ],
)
def test_each_wrong_value_has_its_sentence(tmp_path: Path, line: str, message: str) -> None:
    (complaint,) = complaints(write(tmp_path, NODE + line + "\n"))
    assert complaint.startswith(f"babelwg.toml:{message}")


def test_key_that_others_may_read_is_refused_with_the_command_that_helps(tmp_path: Path) -> None:
    path = write(tmp_path, NODE)
    key = tmp_path / "node.key"
    key.chmod(0o640)
    with pytest.raises(ConfigErrors) as caught:
        load(path)
    (error,) = caught.value.errors
    assert error.line == 3
    assert error.message.endswith(f"has mode 0640, so others may use the key; run: chmod 600 {key}")


def test_key_that_is_missing_or_no_key_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, NODE)
    key = tmp_path / "node.key"
    key.write_text("nonsense\n")
    assert complaints(path) == [
        'babelwg.toml:3: "private-key-file": node.key: a key has 44 characters, this one has 8'
    ]
    key.unlink()
    assert complaints(path) == ['babelwg.toml:3: "private-key-file": node.key: no such file']


def test_empty_file_says_how_to_begin(tmp_path: Path) -> None:
    assert complaints(write(tmp_path, "")) == [
        "babelwg.toml:1: [node] is missing; `babelwg init` writes a first configuration"
    ]


def test_syntax_error_has_line_and_column(tmp_path: Path) -> None:
    (complaint,) = complaints(write(tmp_path, NODE + "addresses = [\n  10.0.0.1\n]\n"))
    assert complaint.startswith("babelwg.toml:5:")
    (complaint,) = complaints(write(tmp_path, NODE + 'announce = ["::/0"'))
    assert complaint.startswith("babelwg.toml:4: ")


def test_file_that_cannot_be_read_is_one_sentence(tmp_path: Path) -> None:
    assert complaints(tmp_path / "none.toml") == ["none.toml: no such file"]
    directory = tmp_path / "directory.toml"
    directory.mkdir()
    assert complaints(directory) == ["directory.toml: is a directory, expected a file"]
    wrong = tmp_path / "latin1.toml"
    wrong.write_bytes(b'[node]\nname = "\xe4"\n')
    assert complaints(wrong) == ["latin1.toml:2: octet 0xe4 is not UTF-8 text"]
    large = tmp_path / "large.toml"
    large.write_bytes(b"#" * (10 << 20))
    assert complaints(large) == ["large.toml: is 10.0 MiB, larger than 1 MiB"]
    deep = tmp_path / "deep.toml"
    deep.write_text("a = " + "[" * 100_000)
    assert len(complaints(deep)) == 1


def test_file_in_babelds_language_adds_interfaces_but_not_the_hosts_addresses(tmp_path: Path) -> None:
    path = write(tmp_path, NODE + '[babel]\nconfig = "babeld.conf"\n')
    (tmp_path / "babeld.conf").write_text("interface eth1 type wired\n")
    babel = load(path).babel
    assert [interface.name for interface in babel.interfaces] == ["eth1"]
    assert babel.babeld is not None
    assert babel.babeld.redistribute == ()


def test_mistakes_in_babelds_language_come_with_the_others(tmp_path: Path) -> None:
    path = write(tmp_path, NODE + 'colour = "red"\n[babel]\nconfig = "babeld.conf"\n')
    (tmp_path / "babeld.conf").write_text("interface eth1\ninterfac eth2\n")
    assert complaints(path) == [
        'babelwg.toml:4: unknown key "colour"',
        'babeld.conf:2:1: unknown directive "interfac"; did you mean "interface"?',
    ]


def test_tunnel_and_lan_cannot_share_an_interface(tmp_path: Path) -> None:
    peer = f'[[peer]]\nname = "bravo"\npublic-key = "{BRAVO}"\n'
    path = write(tmp_path, NODE + '[babel]\nconfig = "babeld.conf"\n' + peer)
    (tmp_path / "babeld.conf").write_text("interface bw-bravo\n")
    (complaint,) = complaints(path)
    assert complaint.startswith('babelwg.toml:6: "interface": bw-bravo is named in ')


FILE = """\
smoothing-half-life 8
key id old type hmac-sha256 value 00ff
interface eth0 type wired key old
in ip 10.0.0.0/8 deny
redistribute proto 4 ip 10.1.0.0/16 metric 256
"""
SAME = """
[babel]
smoothing-half-life = 8
in = ["ip 10.0.0.0/8 deny"]
redistribute = ["proto 4 ip 10.1.0.0/16 metric 256"]
[[babel.key]]
id = "old"
type = "hmac-sha256"
value = "00ff"
[[babel.interface]]
name = "eth0"
type = "wired"
keys = ["old"]
"""


def test_toml_states_the_same_settings_as_babelds_language(tmp_path: Path) -> None:
    (tmp_path / "babeld.conf").write_text(FILE)
    by_file = load(write(tmp_path, NODE + '[babel]\nconfig = "babeld.conf"\n')).babel.babeld
    in_toml = load(write(tmp_path, NODE + SAME)).babel.babeld
    assert by_file == in_toml
    assert in_toml is not None
    assert [key.id for key in in_toml.interfaces[0].keys] == ["old"]


def test_toml_comes_after_the_file_it_names(tmp_path: Path) -> None:
    (tmp_path / "babeld.conf").write_text(FILE)
    text = """[babel]
config = "babeld.conf"
link-detect = true
import-table = [254, 12]
router-id = "02:00:00:00:00:00:00:0a"
out = ["if eth0 deny", "metric 5"]
[[babel.key]]
id = "new"
type = "blake2s128"
value-file = "new.key"
[[babel.interface]]
name = "eth0"
hello-interval = 0.5
rxcost = 200
unicast = true
keys = ["new"]
[[babel.interface]]
name = "eth*"
"""
    (tmp_path / "new.key").write_text("0011\n")
    (tmp_path / "new.key").chmod(0o600)
    babeld = load(write(tmp_path, NODE + text)).babel.babeld
    assert babeld is not None
    first, second = babeld.interfaces
    assert ([k.id for k in first.keys], first.kind, first.rxcost, first.unicast) == (
        ["old", "new"],
        "wired",
        200,
        True,
    )
    assert (first.hello_interval, second.name, second.kind) == (0.5, "eth*", "auto")
    assert (babeld.link_detect, babeld.import_tables, babeld.smoothing_half_life) == (True, (254, 12), 8.0)
    assert [line.metric for line in babeld.out_filters] == [65535, 5]
    assert len(babeld.in_filters) == 1
    assert babeld.keys[1].value == b"\0\x11"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('in = ["ip 10.0.0.0/8 deni"]', '5:22: unknown selector or action "deni"; did you mean "deny"?'),
        ('in = [\n"deny",\n"ip"]', "7:4: expected a prefix at the end of the line"),
        ('out = ["deny\\ninterface eth0"]', '5: "out": this is more than one line'),
        ("out = [5]", '5: "out" must be a list of strings, but holds an integer'),
        ("link-detect = 5", '5:15: "5" is not true, false or default'),
        ('link-detect = "true deny"', '5: "link-detect": "true deny" is not a single word'),
        ("import-table = [254, 0]", '5:22: "0" is not an integer 1-65534'),
        ("local-path = {}", '5: "local-path" must be a string, a number, true or false, not a table'),
        ("local-readwrite = 1", '5: "local-readwrite" must be true or false, not an integer'),
        ("local-readwrite = true\nlocal-port = 0", '6:14: "0" is not an integer 1-65534'),
        ("export-table = 5", '5: unknown key "export-table"'),
        ("[[babel.interface]]", '5: "name" is missing'),
        (
            '[[babel.interface]]\nname = "eth0"\nrxkost = 5',
            '7:1: unknown interface parameter "rxkost"; did you mean "rxcost"?',
        ),
        ('[[babel.interface]]\nname = "eth0"\nrxcost = 0', '7:10: "0" is not an integer 1-65535'),
        (
            '[[babel.interface]]\nname = "eth0"\ntype = "bridge"',
            '7:9: "bridge" is not wired, wireless, tunnel or auto',
        ),
        ('in = ["foo"]', '5:8: unknown selector or action "foo", expected ip, '),
        ("in = 'foo'", '5:7: unknown selector or action "foo", expected ip, '),
        ('[[babel.interface]]\nname = "a/b"', '6:9: "a/b" cannot be the name of an interface'),
        ('[[babel.interface]]\nname = "eth0"\nkeys = ["k"]', '7:10: key "k" is not defined above'),
        ('[[babel.key]]\nid = "k"\ntype = "x"\nvalue = "00"', '6:1: "x" is no type of key'),
        ('[[babel.key]]\nid = "k"\ntype = "blake2s128"', '5: a key has either "value" or "value-file"'),
        (
            '[[babel.key]]\nid = "k"\ntype = "blake2s128"\nvalue = "5ec2e7 5ec"',
            '8: "value": this is not a word of hexa',
        ),
        ('[[babel.key]]\nid = "k"\ntype = "blake2s128"\nvalue-file = "no"', '8: "value-file": '),
        ('[[babel.key]]\nid = "k"\ntype = "blake2s128"\nvalue = "00"\nvalues = 1', '9: unknown key "values"'),
    ],
)
def test_mistakes_of_the_same_settings_have_the_place_of_their_key(
    tmp_path: Path, text: str, message: str
) -> None:
    found = complaints(write(tmp_path, NODE + "[babel]\n" + text + "\n"))
    assert found[0].startswith(f"babelwg.toml:{message}"), found
    assert len(found) == 1
    assert "5ec2e7" not in found[0]


def test_what_is_announced_may_be_for_some_sources_only(tmp_path: Path) -> None:
    text = NODE + 'announce = ["::/0 from 2001:db8:1::/48", "10.1.0.0/16", "10.1.0.0/16 from 0.0.0.0/0"]\n'
    assert complaints(write(tmp_path, text)) == ['babelwg.toml:4: "announce": 10.1.0.0/16 is there twice']
    node = load(write(tmp_path, text.replace(', "10.1.0.0/16 from 0.0.0.0/0"', ""))).node
    assert [str(prefix) for prefix in node.announce] == ["::/0 from 2001:db8:1::/48", "10.1.0.0/16"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("::/0 from 10.0.0.0/8", "::/0 from 10.0.0.0/8 mixes address families"),
        ("::/0 from 2001:db8::1/48", '"2001:db8::1/48" has bits set beyond its length'),
        ("::/0 from ", '"" is not an IPv4 or IPv6 address'),
        ("::/0 form 2001:db8::/48", "the length after the / of"),
    ],
)
def test_sources_that_cannot_be_are_refused(tmp_path: Path, text: str, message: str) -> None:
    (found,) = complaints(write(tmp_path, NODE + f'announce = ["{text}"]\n'))
    assert found.startswith(f'babelwg.toml:4: "announce": {message}')
