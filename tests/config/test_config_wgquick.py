"""Files of wg-quick: what is read, what is left out and why, what is wrong and where."""

import pytest

from babelwg.config import ConfigErrors, Endpoint, Key, load, node_address
from babelwg.config.addresses import host_prefix, parse_prefix
from babelwg.config.leaves import allowed_ips, free_addresses
from babelwg.config.wgquick import Leaf, WgPeer, leaf_text, parse_wg_quick, unique_names

PRIVATE, A, B, PSK = ("ERER" * 10 + "ERE=", "IiIi" * 10 + "IiI=", "MzMz" * 10 + "MzM=", "RERE" * 10 + "REQ=")
TEXT = f"""\
# my old tunnel
[Interface]
PrivateKey = {PRIVATE}   # secret
address = 10.9.0.1/24, fd00:9::1/64
Address = 10.8.0.1/32
ListenPort = 51000
MTU=1380
FwMark = 0x1234
DNS = 10.9.0.53
PostUp = iptables -A FORWARD -i %i -j ACCEPT

[Peer]
# Name = Bravo Home
PublicKey = {A}
PresharedKey = {PSK}
Endpoint = bravo.example.net:51820
PersistentKeepalive = 25
AllowedIPs = 10.9.0.2/32, fd00:9::2/128

[peer]
publickey = {B}
Endpoint = [2001:db8::7]:443
PersistentKeepalive = off
"""


def test_all_that_a_node_can_use_is_read() -> None:
    found = parse_wg_quick(TEXT, "wg0.conf")
    assert str(found.private_key) == PRIVATE
    assert [str(a) for a in found.addresses] == ["10.9.0.1/24", "fd00:9::1/64", "10.8.0.1/32"]
    assert (found.listen_port, found.mtu, found.fwmark) == (51000, 1380, 0x1234)
    bravo, other = found.peers
    assert (str(bravo.public_key), str(bravo.preshared_key), bravo.keepalive) == (A, PSK, 25)
    assert (str(bravo.endpoint), str(other.endpoint)) == ("bravo.example.net:51820", "[2001:db8::7]:443")
    assert (str(other.public_key), other.preshared_key, other.keepalive) == (B, None, 0)


def test_what_has_no_equivalent_is_listed_with_its_line() -> None:
    left = parse_wg_quick(TEXT, "wg0.conf").left_out
    assert [(entry.line, entry.key) for entry in left] == [(9, "DNS"), (10, "PostUp"), (18, "AllowedIPs")]
    assert left[1].value == "iptables -A FORWARD -i %i -j ACCEPT"
    assert "not run" in left[1].reason


def test_peers_are_named_by_comment_by_host_or_by_number() -> None:
    text = TEXT + f"[Peer]\nPublicKey = {PRIVATE}\nEndpoint = bravo-home.example:1\n"
    peers = parse_wg_quick(text, "wg0.conf").peers
    assert unique_names(peers, {"alpha"}) == ["bravo-home", "peer2", "bravo-home-2"]
    assert unique_names(peers[:1], {"bravo-home"}) == ["bravo-home-2"]
    above = parse_wg_quick(f"[Interface]\nPrivateKey={PRIVATE}\n# name = x\n[Peer]\nPublicKey={A}\n", "w")
    assert unique_names(above.peers, ()) == ["x"]


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        (f"PrivateKey = {PRIVATE}", "# none", "wg0.conf: there is no PrivateKey"),
        (PRIVATE, PRIVATE[1:], "wg0.conf:3: PrivateKey: a key has 44 characters"),
        ("10.9.0.1/24", "10.9.0.1/99", "wg0.conf:4: address: the length after the /"),
        ("MTU=1380", "MTU=80", "wg0.conf:7: MTU: 80 is not 1280-65535"),
        ("ListenPort = 51000", "ListenPort = x", 'wg0.conf:6: ListenPort: "x" is not a number'),
        ("ListenPort", "ListenProt", 'wg0.conf:6: unknown key "ListenProt"; did you mean "listenport"?'),
        ("bravo.example.net:51820", "bravo", "wg0.conf:16: Endpoint: "),
        (f"publickey = {B}", "", "wg0.conf:20: this [Peer] has no PublicKey"),
        ("[Peer]", "[Pear]", 'wg0.conf:12: "[Pear]" is neither'),
        ("MTU=1380", "MTU", 'wg0.conf:7: "MTU" is not KEY = VALUE'),
    ],
)
def test_a_mistake_is_told_with_its_line_and_without_keys(old: str, new: str, complaint: str) -> None:
    with pytest.raises(ConfigErrors) as caught:
        parse_wg_quick(TEXT.replace(old, new, 1), "wg0.conf")
    assert complaint in str(caught.value)
    assert PRIVATE[2:] not in str(caught.value)


def test_the_file_of_a_device_is_one_that_we_read_too() -> None:
    leaf = Leaf(
        Key.parse(PRIVATE),
        ("fd00:9::5/128", "10.9.0.5/32"),
        1420,
        ("10.9.0.53",),
        Key.parse(A),
        Endpoint("gate.example", 51820),
        ("fd00:9::/48",),
        25,
    )
    text = leaf_text(leaf)
    found = parse_wg_quick(text, "x")
    assert (str(found.private_key), len(found.addresses), found.mtu) == (PRIVATE, 2, 1420)
    assert (str(found.peers[0].endpoint), found.peers[0].keepalive) == ("gate.example:51820", 25)
    assert {entry.key for entry in found.left_out} == {"DNS", "AllowedIPs"}
    assert "# PrivateKey = the device has it already\n" in leaf_text(leaf._replace(private_key=None))


def test_a_device_gets_the_first_free_address_of_each_network(tmp_path) -> None:  # type: ignore[no-untyped-def]
    (tmp_path / "node.key").write_text(PRIVATE)
    (tmp_path / "node.key").chmod(0o600)
    path = tmp_path / "babelwg.toml"
    text = f"""[node]
name = "alpha"
private-key-file = "node.key"
addresses = ["10.9.0.1/24"]
announce = ["10.9.0.0/16"]
leaf-networks = ["fd00:9::/64", "10.9.0.0/29"]
[[peer]]
name = "phone"
public-key = "{A}"
leaf-addresses = ["10.9.0.2/32", "fd00:9::1/128", "10.9.0.4/31"]
"""
    path.write_text(text)
    config = load(path)
    assert [str(p) for p in free_addresses(config, Key.parse(B))] == ["fd00:9::2/128", "10.9.0.3/32"]
    path.write_text(text.replace("10.9.0.4/31", "10.9.0.3/32").replace("10.9.0.0/29", "10.9.0.0/30"))
    with pytest.raises(ValueError, match=r"no address is free in 10\.9\.0\.0/30"):
        free_addresses(load(path), Key.parse(B))
    path.write_text(text.replace('leaf-networks = ["fd00:9::/64", "10.9.0.0/29"]\n', ""))
    assert free_addresses(load(path), Key.parse(B)) == [host_prefix(node_address(Key.parse(B)))]


def test_a_device_sends_what_the_mesh_has_in_as_few_networks_as_hold_just_that() -> None:
    prefixes = ["10.0.0.0/25", "10.0.0.128/25", "10.0.0.7/32", "::/0", "fd00::1/128", "fd00::5/128"]
    prefixes += ["2001:db8::/32 from fd00::/8", "0.0.0.0/0"]
    assert allowed_ips(prefixes, [parse_prefix("fd00::5/128")]) == ["fd00::1/128", "10.0.0.0/24"]


@pytest.mark.parametrize("end", ["\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_what_an_editor_shows_in_a_comment_stays_in_the_comment(end: str) -> None:
    # wg-quick ends a line at a line feed and nowhere else.
    hidden = f"# a gift{end}[Peer]{end}PublicKey = {A}{end}Endpoint = evil.example:1\n"
    found = parse_wg_quick(f"{hidden}[Interface]\nPrivateKey = {PRIVATE}\n", "wg0.conf")
    assert (found.peers, found.left_out) == ([], [])


def test_lines_of_windows_are_read() -> None:
    assert parse_wg_quick(TEXT.replace("\n", "\r\n"), "wg0.conf") == parse_wg_quick(TEXT, "wg0.conf")


def test_many_peers_with_one_name_are_numbered() -> None:
    peers = [WgPeer(1, label="x" * 70)] * 12
    names = unique_names(peers, ["x" * 57 + "-3"])
    assert names[:3] == ["x" * 60, "x" * 57 + "-2", "x" * 57 + "-4"]
    assert len(set(names)) == 12
    assert max(map(len, names)) == 60
