"""The stock `wg` program on our data plane."""

import errno
import re
import subprocess


def test_wg_shows_what_was_set(bench, inner):
    a, b = bench.pair("embedded", "embedded")
    a.node.run("ping", "-c1", "-W3", inner[4][1])
    text = a.wg("show")
    assert f"public key: {a.public}" in text
    assert "listening port: 5182" in text
    assert f"peer: {b.public}" in text
    assert "endpoint: 10.9.0.2:5182" in text
    assert "allowed ips: 0.0.0.0/0, ::/0" in text
    assert re.search(r"latest handshake: (Now|\d+ seconds? ago)", text)
    # One initiation and one ping left; one response and one ping came.
    assert a.show("transfer") == str(148 + 128)
    assert a.wg("show", "wg0", "transfer").split("\t")[1:] == [str(92 + 128), f"{148 + 128}\n"]
    dump = a.wg("show", "all", "dump").splitlines()
    assert dump[0].split("\t") == ["wg0", a.key, a.public, "5182", "off"]
    assert "[Interface]\nListenPort = 5182\n" in a.wg("showconf", "wg0")


def test_wg_changes_every_setting(bench, inner):
    a, b = bench.pair("embedded", "embedded")
    psk = subprocess.run(["wg", "genpsk"], capture_output=True, text=True, check=True).stdout.strip()
    a.node.run("sh", "-c", "cat > /run/psk", stdin=psk)
    a.set(
        "peer",
        b.public,
        "preshared-key",
        "/run/psk",
        "persistent-keepalive",
        "7",
        "endpoint",
        "[fd00:9::2]:1",
    )
    assert a.show("preshared-keys") == psk
    assert a.show("persistent-keepalive") == "7"
    assert a.show("endpoints") == "[fd00:9::2]:1"
    a.set("peer", b.public, "persistent-keepalive", "off", "allowed-ips", "10.7.0.0/24,fd00:7::/64")
    assert a.show("persistent-keepalive") == "off"
    assert a.show("allowed-ips") == "10.7.0.0/24 fd00:7::/64"
    a.set("fwmark", "0x77")
    assert a.show("fwmark") == "0x77"
    a.set("listen-port", "7000")
    assert a.show("listen-port") == "7000"
    a.set("peer", b.public, "remove")
    assert a.wg("show", "wg0", "peers") == ""


def test_new_private_key_is_used_at_once(bench, inner, until):
    a, b = bench.pair("embedded", "wireguard-go")
    a.node.run("ping", "-c1", "-W3", inner[4][1])
    key = subprocess.run(["wg", "genkey"], capture_output=True, text=True, check=True).stdout
    public = subprocess.run(
        ["wg", "pubkey"], input=key, capture_output=True, text=True, check=True
    ).stdout.strip()
    a.node.run("sh", "-c", "cat > /run/key", stdin=key)
    b.set("peer", a.public, "remove", "peer", public, "allowed-ips", "0.0.0.0/0,::/0")
    a.set("private-key", "/run/key")
    assert a.show("public-key") == public
    assert "1 received" in a.node.run("ping", "-c1", "-W3", inner[4][1])


def test_new_preshared_key_holds_from_the_next_handshake(bench, inner):
    a, b = bench.pair(
        "embedded", "wireguard-go", timers="rekey_timeout=0.5,rekey_jitter=0.05,rekey_after_time=1.5"
    )
    a.node.run("ping", "-c1", "-W3", inner[4][1])
    psk = subprocess.run(["wg", "genpsk"], capture_output=True, text=True, check=True).stdout
    for end, other in ((a, b), (b, a)):
        end.node.run("sh", "-c", "cat > /run/psk", stdin=psk)
        end.set("peer", other.public, "preshared-key", "/run/psk")
    first = int(b.show("latest-handshakes"))
    assert "200 received" in a.node.run("ping", "-c200", "-i0.02", "-W3", inner[4][1])
    assert int(b.show("latest-handshakes")) > first


def test_syncconf_with_the_same_configuration_disturbs_nothing(bench, inner):
    a, _ = bench.pair("embedded", "wireguard-go")
    a.node.run("ping", "-c1", "-W3", inner[4][1])
    before = a.show("latest-handshakes")
    a.node.run("sh", "-c", "wg showconf wg0 > /run/conf && wg syncconf wg0 /run/conf")
    assert a.show("latest-handshakes") == before
    assert "3 received" in a.node.run("ping", "-c3", "-i0.05", "-W2", inner[4][1])
    a.node.run("wg", "setconf", "wg0", "/run/conf")
    assert "3 received" in a.node.run("ping", "-c3", "-i0.05", "-W3", inner[4][1])


def test_busy_port_is_refused_and_the_old_one_goes_on(bench, inner):
    a, _ = bench.pair("embedded", "wireguard-go")
    a.node.run("ping", "-c1", "-W3", inner[4][1])
    program = (
        "import socket, sys\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "s.bind(('', 7777))\n"
        "print(1, flush=True)\n"
        "sys.stdin.read()\n"
    )
    with a.node.popen(
        "/usr/bin/env", "python3", "-c", program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "1\n"
        text = a.node.run("sh", "-c", "wg set wg0 listen-port 7777 2>&1; echo status $?")
        assert "Address already in use" in text
        assert "status 1" in text
        assert a.show("listen-port") == "5182"
        assert "2 received" in a.node.run("ping", "-c2", "-i0.05", "-W2", inner[4][1])
        holder.stdin.close()
        holder.wait(60)
    a.set("listen-port", "7777")
    assert "2 received" in a.node.run("ping", "-c2", "-i0.05", "-W2", inner[4][1])


def test_requests_that_are_wrong_are_answered_as_wireguard_go_does(bench, question):
    a, b = bench.pair("embedded", "wireguard-go")
    key = "ab" * 32
    for text in (
        "set=1\nlisten_port\n\n",
        "set=1\nlisten_port=x\n\n",
        f"set=1\npublic_key={key}\nlisten_port=5\n\n",
        f"set=1\npublic_key={key}\nprotocol_version=2\n\n",
        f"set=1\npublic_key={key}\nupdate_only=true\nallowed_ip=10.0.0.1\n\n",
        f"set=1\npublic_key={key}\nremove=true\n\n",
        "set=1\nnonsense=1\n\n",
        "nonsense\n\n",
        "set=1\n\n",
    ):
        answers = [question(end.path("wireguard/wg0.sock"), text) for end in (a, b)]
        assert answers[0] == answers[1], text
    assert question(a.path("wireguard/wg0.sock"), "get=1\nx\n\n").startswith(f"errno=-{errno.EINVAL}\n")


def test_get_answers_have_the_same_keys_in_the_same_order_as_wireguard_go(bench, inner, question):
    a, b = bench.pair("embedded", "wireguard-go")
    a.node.run("ping", "-c1", "-W3", inner[4][1])
    keys = [
        [
            line.partition("=")[0]
            for line in question(end.path("wireguard/wg0.sock"), "get=1\n\n").splitlines()
        ]
        for end in (a, b)
    ]
    assert keys[0] == keys[1]


def test_several_requests_are_answered_on_one_connection(bench, question):
    a, _ = bench.pair("embedded", "embedded")
    answer = a.control("create=wg1\nmtu=1300\n\n")
    assert answer == "errno=0\n\n"
    assert "mtu 1300" in a.node.run("ip", "link", "show", "wg1")
    assert a.control("create=wg1\nmtu=1280\n\n") == "errno=0\n\n"
    assert "mtu 1280" in a.node.run("ip", "link", "show", "wg1")
    text = a.control("list=1\n\n")
    assert text == (
        "interface=wg0\nstate=open\nmtu=1420\nlisten_port=5182\n"
        "interface=wg1\nstate=open\nmtu=1280\nlisten_port=0\nerrno=0\n\n"
    )
