"""Configurations written out with every value: read again they give what they came from."""

from dataclasses import fields, replace
from ipaddress import ip_address
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from babelwg.babel.wire.prefix import Prefix
from babelwg.config import BabeldConfig, Config, Key, load, parse_babeld
from babelwg.config.addresses import mask
from babelwg.config.babeld import Filter, InterfaceOptions
from babelwg.config.babeld.filter_text import filter_text
from babelwg.config.babeld.model import BabelInterface
from babelwg.config.babeld.text import NOT_DIRECTIVES, PARAMETERS, babeld_text, directives, parameters
from babelwg.config.toml import parse
from babelwg.config.toml.text import toml_text

ROLES = sorted((Path(__file__).parent.parent.parent / "babeld-conf").glob("*.conf"))
BRAVO = "IiIi" * 10 + "IiI="
CHARLIE = "MzMz" * 10 + "MzM="
NODE = '[node]\nname = "alpha"\nprivate-key-file = "node.key"\n'


def line(kind: str, text: str) -> Filter:
    """Return the one filter of a text in babeld's language."""
    config = parse_babeld(f"{kind} {text}\n", "x")
    (found,) = config.in_filters + config.out_filters + config.filters + config.install_filters
    return found


def settled(config: BabeldConfig) -> tuple[BabeldConfig, ...]:
    """Return all that a configuration means: as read, and after the kernel has told of wireless interfaces.

    Which of the words were written is left out, because a text with every value writes all of them.
    """
    views = (
        config.interfaces,
        *(tuple(i.detected(wireless) for i in config.interfaces) for wireless in (True, False)),
    )
    return tuple(
        replace(config, interfaces=tuple(replace(i, options=InterfaceOptions()) for i in view))
        for view in views
    )


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("in", "", "in allow"),
        ("in", "deny metric 7", "in metric 7"),
        ("out", "metric 65535", "out deny"),
        ("in", "ip default", "in ip ::/0 allow"),
        ("in", "ge 0", "in ge 0 allow"),
        ("in", "le 0x18 ge 010 ip 10.1.2.3/8", "in ip 10.0.0.0/8 ge 8 le 24 allow"),
        ("in", "eq 48 deny", "in eq 48 deny"),
        ("in", "eq 8 le 4", "in ge 8 le 4 allow"),
        ("in", "src-le 48 src-ip 2001:db8::/32", "in src-ip 2001:db8::/32 src-le 48 allow"),
        ("in", "src-eq 0", "in src-eq 0 allow"),
        ("in", "neigh FE80::1 id 02-00-00-00-00-0a", "in neigh fe80::1 id 02:00:00:ff:fe:00:00:0a allow"),
        ("redistribute", "local proto 4 if eth0", "redistribute proto 4 if eth0 allow"),
        ("redistribute", "proto 4 local deny", "redistribute local deny"),
        (
            "redistribute",
            "src-prefix 2001:db8::/48 metric 128 eq 0",
            "redistribute eq 0 src-prefix 2001:db8::/48 metric 128",
        ),
        ("install", "pref-src 10.0.0.1 table 7", "install table 7 pref-src 10.0.0.1 allow"),
        ("in", r'if "a \"b\" \\ # c"', r'in if "a \"b\" \\ # c" allow'),
        ("in", 'if ""', 'in if "" allow'),
    ],
)
def test_filter_is_written_in_one_form(kind: str, text: str, expected: str) -> None:
    found = line(kind, text)
    assert filter_text(kind, found) == expected
    assert line("", expected) == found


@st.composite
def prefixes(draw: st.DrawFn, family: int) -> Prefix:
    octets = 4 if family == 4 else 16
    plen = draw(st.integers(0, 8 * octets))
    return Prefix(family, mask(draw(st.binary(min_size=octets, max_size=octets)), plen), plen)


@st.composite
def clauses(draw: st.DrawFn) -> str:
    """Return the selectors and actions of a line in any order, some of them several times."""
    family = draw(st.sampled_from([4, 6]))
    prefix = prefixes(family).map(str)
    address = st.binary(min_size=4 if family == 4 else 16, max_size=4 if family == 4 else 16)
    name = st.text(st.characters(codec="ascii", exclude_characters="\n"), max_size=6)
    plen = st.integers(0, 128).map(str)
    values = {
        **dict.fromkeys(("ip", "src-ip", "src-prefix"), prefix),
        **dict.fromkeys(("eq", "le", "ge", "src-eq", "src-le", "src-ge"), plen),
        **dict.fromkeys(("allow", "deny", "local"), st.just("")),
        "neigh": st.binary(min_size=16, max_size=16).map(ip_address).map(str),
        "pref-src": address.map(ip_address).map(str),
        "id": st.binary(min_size=8, max_size=8)
        .filter(lambda octets: octets not in (bytes(8), b"\xff" * 8))
        .map(lambda octets: octets.hex(":")),
        "proto": st.integers(0, 255).map(str),
        "if": name.map(lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'),
        "metric": st.integers(1, 65535).map(str),
        "table": st.integers(1, 65535).map(str),
    }
    names = draw(st.lists(st.sampled_from(sorted(values)), max_size=6))
    return " ".join(f"{word} {draw(values[word])}".strip() for word in names)


@settings(max_examples=300)
@given(st.sampled_from(["in", "out", "redistribute", "install"]), clauses())
def test_filter_read_again_is_the_same(kind: str, text: str) -> None:
    found = line(kind, text)
    written = filter_text(kind, found)
    assert line("", written) == found
    assert filter_text(kind, line("", written)) == written


def thousandths(low: int, high: int) -> st.SearchStrategy[str]:
    """Return numbers with up to three decimals, given in thousandths."""
    return st.integers(low, high).map(lambda number: f"{number // 1000}.{number % 1000:03}")


BOOLEANS = st.sampled_from(["true", "false", "auto"])
OPTIONS = {
    **dict.fromkeys(
        (
            "link-quality",
            "split-horizon",
            "enable-timestamps",
            "unicast",
            "rfc6126-compatible",
            "v4-via-v6",
            "probe-mtu",
            "accept-bad-signatures",
            "wired",
        ),
        BOOLEANS,
    ),
    "type": st.sampled_from(["auto", "wired", "wireless", "tunnel"]),
    **dict.fromkeys(("rxcost", "max-rtt-penalty"), st.integers(1, 65535).map(str)),
    **dict.fromkeys(("hello-interval", "update-interval"), thousandths(10, 655_350)),
    **dict.fromkeys(("rtt-min", "rtt-max"), thousandths(1, 10_000_000)),
    "rtt-decay": st.integers(1, 256).map(str),
}
DIRECTIVES = {
    **dict.fromkeys(
        ("random-id", "ipv6-subtrees", "link-detect", "reflect-kernel-metric", "skip-kernel-setup"), BOOLEANS
    ),
    **dict.fromkeys(
        ("import-table", "export-table", "kernel-priority", "protocol-port", "allow-duplicates"),
        st.integers(1, 65534).map(str),
    ),
    **dict.fromkeys(("local-port", "local-port-readwrite"), st.integers(1, 65534).map(str)),
    **dict.fromkeys(
        ("local-path", "local-path-readwrite"), st.sampled_from(["/run/x", '"/run/a b#c"', '"5"'])
    ),
    **dict.fromkeys(("log-file", "pid-file", "state-file"), st.sampled_from(["/var/x", '""', '"a \\"b"'])),
    "protocol-group": st.just("ff02::1:7"),
    "router-id": st.just("02:00:00:00:00:00:00:0a"),
    "kernel-check-interval": thousandths(1, 10_000_000),
    "smoothing-half-life": thousandths(0, 10_000_000),
    "shutdown-delay-ms": st.integers(0, 10_000_000).map(str),
    "debug": st.integers(0, 9).map(str),
}


@st.composite
def files(draw: st.DrawFn) -> str:
    """Return whole files in babeld's language, without keys."""
    lines = [
        f"{name} {draw(DIRECTIVES[name])}"
        for name in draw(st.lists(st.sampled_from(sorted(DIRECTIVES)), max_size=6))
    ]
    for start in draw(st.lists(st.sampled_from(["default", "interface eth0", "interface eth1"]), max_size=4)):
        names = draw(st.lists(st.sampled_from(sorted(OPTIONS)), max_size=5))
        lines.append(" ".join((start, *(f"{name} {draw(OPTIONS[name])}" for name in names))))
    for kind in draw(st.lists(st.sampled_from(["in", "out", "redistribute", "install"]), max_size=4)):
        lines.append(f"{kind} {draw(clauses())}")
    return "\n".join(lines)


@settings(max_examples=200)
@given(files())
def test_babelds_language_read_again_is_the_same(text: str) -> None:
    config = parse_babeld(text, "x")
    written = babeld_text(config)
    again = parse_babeld(written, "y")
    assert settled(again) == settled(config)
    assert babeld_text(again) == written


@pytest.mark.parametrize("path", ROLES, ids=lambda path: path.name)
def test_a_role_written_out_is_the_same_but_for_its_keys(path: Path) -> None:
    lines = path.read_text().splitlines()
    text = "\n".join(text.partition(" key ")[0] for text in lines if not text.startswith("key "))
    config = parse_babeld(text, "x")
    assert settled(parse_babeld(babeld_text(config), "y")) == settled(config)


def test_long_hello_interval_leaves_what_cannot_be_said_to_the_rule() -> None:
    config = parse_babeld("interface eth0 type wired hello-interval 200 rtt-min 10000\n", "x")
    written = babeld_text(config)
    assert "# update-interval: 800\n# rtt-max: 10.01\n" in written
    assert settled(parse_babeld(written, "y")) == settled(config)


def test_every_field_is_written() -> None:
    written = {setting.name.replace("-", "_") for setting in directives(BabeldConfig())}
    written = {
        {"import_table": "import_tables", "shutdown_delay_ms": "shutdown_delay"}.get(n, n) for n in written
    }
    assert written | NOT_DIRECTIVES == {field.name for field in fields(BabeldConfig)}
    parameter_names = {name.replace("-", "_") for name in PARAMETERS} | {"name", "kind", "keys", "options"}
    assert parameter_names == {field.name for field in fields(BabelInterface)}
    interface = BabelInterface.settle("eth0", InterfaceOptions())
    assert [setting.name for setting in parameters(interface)] == ["type", *PARAMETERS]


def test_values_of_keys_are_left_out() -> None:
    text = "key id k type hmac-sha256 value 00ffaa\ninterface eth0 key k\n"
    written = babeld_text(parse_babeld(text, "x"))
    assert "# key id k type hmac-sha256  (value left out)\n" in written
    assert written.count(" key k\n") == 1
    assert "00ffaa" not in written


def write(directory: Path, text: str, **files: str) -> Path:
    """Write a configuration with its key and other files; return its path."""
    for name, content in {"node.key": "ERER" * 10 + "ERE=", "peer.psk": CHARLIE, **files}.items():
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_text(content)
        (directory / name).chmod(0o600)
    path = directory / "babelwg.toml"
    path.write_text(text)
    return path


def meaning(config: Config) -> tuple[object, ...]:
    """Return all that a configuration means, without the files that it was written in."""
    babeld = config.babel.babeld
    babel = replace(config.babel, config=None, babeld=None)
    return (
        config.node,
        config.tunnels,
        babel,
        config.web,
        config.peers,
        None if babeld is None else settled(babeld),
    )


def read_again(config: Config, directory: Path) -> Config:
    return parse(toml_text(config), directory / "elsewhere" / "babelwg.toml")


@pytest.mark.parametrize(
    "text",
    [
        NODE,
        NODE
        + "sysctls = false\n[tunnels]\nbackend = 'wireguard-go'\nfwmark = 7\nmtu = 1300\nlisten-port = 1\n",
        NODE + "history = 500\nhistory-file = 'log/history.jsonl'\n",
        NODE + "[babel]\ndead-after = 0\nupdate-interval = 3\ntable = 'main'\noverride = ['::/0']\n",
        NODE + "[babel]\ntable = 7\nimport-table = [254, 12]\nlocal-path = '/run/x'\nrouter-id = '02:0:0'\n",
        NODE + "[babel]\nin = ['ip 10.0.0.0/8 ge 16 deny', 'if \"a b\" allow']\nout = 'deny'\n",
        NODE
        + "[babel]\nredistribute = ['local allow']\ninstall = ['table 7', 'deny']\nshutdown-delay-ms = 5\n",
        NODE
        + "[[babel.interface]]\nname = 'eth0'\nhello-interval = 0.5\n[[babel.interface]]\nname = 'eth1'\n",
        NODE + "[web]\n",
        NODE + "[web]\nlisten = '[::]:80'\ntoken-file = 'web.token'\nhosts = ['Mesh.example.net.', 'm']\n",
        NODE
        + f'[[peer]]\nname = "bravo"\npublic-key = "{BRAVO}"\nendpoint = ["b.example:1", "[fe80::1%e]:2"]\n',
        NODE
        + f'[[peer]]\nname = "bravo"\npublic-key = "{BRAVO}"\ncost = 9\nkeepalive = 25\nbackend = "kernel"\n',
    ],
)
def test_toml_read_again_is_the_same(text: str, tmp_path: Path) -> None:
    config = load(write(tmp_path, text.replace("02:0:0", "02:00:00:00:00:00:00:0a")))
    again = read_again(config, tmp_path)
    assert meaning(again) == meaning(config)
    assert meaning(read_again(again, tmp_path)) == meaning(config)


def test_toml_of_several_files_says_what_all_of_them_say(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        NODE + "[babel]\nconfig = 'babeld.conf'\nin = ['metric 5']\n",
        **{
            "babeld.conf": "default hello-interval 2\ninterface eth0 type wired\nin deny\ndebug 3\n",
            "peers.d/bravo.toml": f'name = "bravo"\npublic-key = "{BRAVO}"\npreshared-key-file = "../peer.psk"\n',
        },
    )
    config = load(path)
    written = toml_text(config)
    assert f'# config = "{tmp_path}/babeld.conf": what it says is below\n' in written
    assert f"[[peer]]\n# from {tmp_path}/peers.d/bravo.toml\n" in written
    assert 'in = [\n    "deny",\n    "metric 5",\n]\n' in written
    assert "# only babeld's language can say: debug 3\n" in written
    assert "hello-interval = 2\n" in written
    assert CHARLIE not in written
    again = read_again(config, tmp_path)
    assert again.peers == config.peers
    assert again.peers[0].preshared_key == Key.parse(CHARLIE)
    assert again.babel.babeld is not None
    assert config.babel.babeld is not None
    assert settled(replace(again.babel.babeld, debug=3)) == settled(config.babel.babeld)


def test_toml_leaves_the_values_of_keys_out(tmp_path: Path) -> None:
    key = "[[babel.key]]\nid = 'k'\ntype = 'blake2s128'\nvalue = '00ffaa'\n"
    interface = "[[babel.interface]]\nname = 'eth0'\nkeys = ['k']\n"
    written = toml_text(load(write(tmp_path, NODE + key + interface)))
    assert '[[babel.key]]\nid = "k"\ntype = "blake2s128"\n# value left out\n' in written
    assert 'keys = ["k"]\n' in written
    assert "00ffaa" not in written
    assert "ERER" not in written
