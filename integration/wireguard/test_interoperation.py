"""Our data plane against wireguard-go, in each role and each family."""

import hashlib
import re
import subprocess

import pytest

ROLES = [("embedded", "wireguard-go"), ("wireguard-go", "embedded"), ("embedded", "embedded")]


def received(text):
    sent, came = re.search(r"(\d+) packets transmitted, (\d+) received", text).groups()
    return int(sent), int(came)


def handshake(end):
    return int(end.show("latest-handshakes"))


def psk():
    return subprocess.run(["wg", "genpsk"], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("with_psk", [False, True], ids=["plain", "psk"])
@pytest.mark.parametrize("outer", [4, 6], ids=["over-4", "over-6"])
@pytest.mark.parametrize("roles", ROLES[:2], ids=["we-initiate", "they-initiate"])
def test_tunnel_carries_both_families(bench, inner, roles, outer, with_psk):
    a, b = bench.pair(*roles, outer=outer, psk=psk() if with_psk else None)
    for family in (4, 6):
        text = a.node.run("ping", "-c5", "-i0.02", "-W3", inner[family][1])
        assert received(text) == (5, 5)
        assert received(b.node.run("ping", "-c2", "-i0.02", "-W3", inner[family][0])) == (2, 2)
    assert handshake(a) > 0
    assert handshake(b) > 0


@pytest.mark.parametrize("roles", ROLES[:2], ids=["we-initiate", "they-initiate"])
def test_different_preshared_keys_pass_nothing(bench, inner, roles):
    a, b = bench.pair(*roles, psk=psk())
    b.node.run("sh", "-c", "cat > /run/psk", stdin=psk())
    b.set("peer", a.public, "preshared-key", "/run/psk")
    text = a.node.run("ping", "-c3", "-i0.1", "-W1", inner[4][1], check=False)
    assert received(text)[1] == 0


@pytest.mark.parametrize("other", ["wireguard-go", "embedded"])
def test_no_packet_is_lost_while_we_renew_the_session(bench, inner, other):
    timers = "rekey_after_time=1,rekey_timeout=0.5,rekey_jitter=0.05"
    a, b = bench.pair("embedded", other, timers=timers)
    a.node.run("ping", "-c1", "-W3", inner[4][1])
    first = handshake(b)
    with a.node.popen(
        "ping", "-i0.01", "-c400", "-W3", inner[4][1], stdout=subprocess.PIPE, text=True
    ) as ping:
        text = ping.stdout.read()
    assert received(text) == (400, 400)
    assert handshake(b) >= first + 3
    log = a.log.read_text()
    assert log.count("handshake-completed") >= 4


@pytest.mark.slow
def test_no_packet_is_lost_while_wireguard_go_renews_the_session(bench, inner):
    a, b = bench.pair("wireguard-go", "embedded")
    a.node.run("ping", "-c1", "-W3", inner[4][1])
    first = handshake(b)
    text = a.node.run("ping", "-i0.1", "-c1300", "-W3", inner[4][1], timeout=160)
    assert received(text) == (1300, 1300)
    assert 118 <= handshake(b) - first <= 126


TRANSLATION = """
table ip translation {
    chain out {
        type filter hook postrouting priority raw;
        udp sport 5182 ip saddr set 10.9.0.77
    }
    chain in {
        type filter hook prerouting priority raw;
        udp dport 5182 ip daddr 10.9.0.77 ip daddr set 10.9.0.1
    }
}
"""


@pytest.mark.parametrize("roles", ROLES, ids=["they-follow", "we-follow", "both-ours"])
def test_tunnel_follows_an_end_whose_translated_address_changes(bench, inner, roles):
    a, b = bench.pair(*roles)
    a.node.run("ping", "-c1", "-W3", inner[4][1])
    assert b.show("endpoints") == "10.9.0.1:5182"
    before = handshake(b)
    a.node.ip("address add 10.9.0.77/24 dev under")
    a.node.run("nft", "-f", "-", stdin=TRANSLATION)
    assert received(a.node.run("ping", "-c3", "-i0.1", "-W2", inner[4][1])) == (3, 3)
    assert b.show("endpoints") == "10.9.0.77:5182"
    assert handshake(b) == before  # the session went on
    assert received(b.node.run("ping", "-c3", "-i0.1", "-W2", inner[4][0])) == (3, 3)


@pytest.mark.parametrize("family", [4, 6])
@pytest.mark.parametrize("other", ["wireguard-go", "embedded"])
def test_we_go_on_from_a_new_address_when_the_old_one_goes(bench, inner, until, other, family):
    a, b = bench.pair("embedded", other, outer=family)
    a.node.run("ping", "-c1", "-W3", inner[4][1])
    before = handshake(b)
    if family == 4:
        a.node.ip("address del 10.9.0.1/24 dev under", "address add 10.9.0.77/24 dev under")
    else:
        a.node.ip("address del fd00:9::1/64 dev under", "address add fd00:9::77/64 dev under nodad")
    until(lambda: received(a.node.run("ping", "-c1", "-W1", inner[4][1], check=False)) == (1, 1))
    assert b.show("endpoints") == {4: "10.9.0.77:5182", 6: "[fd00:9::77]:5182"}[family]
    assert handshake(b) == before


@pytest.mark.parametrize("roles", ROLES[:2], ids=["we-answer", "they-answer"])
def test_tunnel_follows_an_end_that_changes_its_port(bench, inner, roles):
    a, b = bench.pair(*reversed(roles))
    a.node.run("ping", "-c1", "-W3", inner[4][1])
    a.set("listen-port", "6000")
    assert received(a.node.run("ping", "-c3", "-i0.1", "-W2", inner[4][1])) == (3, 3)
    assert b.show("endpoints") == "10.9.0.1:6000"


@pytest.mark.parametrize("roles", ROLES, ids=["we-initiate", "they-initiate", "both-ours"])
def test_flood_of_pings_comes_back_whole(bench, inner, roles):
    a, _ = bench.pair(*roles)
    for family in (4, 6):
        text = a.node.run(
            "ping", "-f", "-c2000", "-s1300", "-p", "a55a", "-W3", inner[family][1], timeout=160
        )
        assert received(text) == (2000, 2000)
        assert "wrong data byte" not in text


def checksum_errors(end):
    lines = [
        line.split() for line in end.node.run("cat", "/proc/net/snmp").splitlines() if line.startswith("Tcp:")
    ]
    return int(dict(zip(*lines, strict=True))["InCsumErrors"])


@pytest.mark.parametrize("roles", ROLES, ids=["we-initiate", "they-initiate", "both-ours"])
def test_streams_arrive_uncorrupted(bench, inner, iperf, roles):
    a, b = bench.pair(*roles)
    for family in (4, 6):
        for direction in ((), ("-R",)):
            report = iperf(b, a, inner[family][1], "-t", "1.5", *direction)
            assert report["end"]["sum_received"]["bytes"] > 0
    assert checksum_errors(a) == checksum_errors(b) == 0


def test_file_arrives_with_the_same_digest(bench, inner, tmp_path):
    a, b = bench.pair("embedded", "wireguard-go")
    content = hashlib.shake_256(b"babelwg").digest(20_000_000)
    (tmp_path / "sent").write_bytes(content)
    program = (
        "import socket, sys\n"
        "with socket.create_server((sys.argv[1], 9000)) as listener:\n"
        "    print('ready', flush=True)\n"
        "    client, _ = listener.accept()\n"
        "    with client, open(sys.argv[2], 'wb') as out:\n"
        "        while data := client.recv(1 << 16):\n"
        "            out.write(data)\n"
    )
    python = "/usr/bin/env", "python3", "-c"
    with b.node.popen(
        *python, program, inner[4][1], str(tmp_path / "came"), stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout.readline() == "ready\n"
        sender = "import socket,sys; s=socket.create_connection((sys.argv[1],9000)); s.sendfile(open(sys.argv[2],'rb'))"
        a.node.run(*python, sender, inner[4][1], str(tmp_path / "sent"))
        assert server.wait(120) == 0
    came = (tmp_path / "came").read_bytes()
    assert hashlib.sha256(came).hexdigest() == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("family", [4, 6])
def test_reply_leaves_from_the_address_the_peer_knows(bench, inner, family):
    a, b = bench.pair("wireguard-go", "embedded")
    second = {4: "10.9.0.200", 6: "fd00:9::200"}[family]
    length = {4: "24", 6: "64 nodad"}[family]
    b.node.ip(f"address add {second}/{length} dev under")
    endpoint = f"[{second}]:5182" if family == 6 else f"{second}:5182"
    a.set("peer", b.public, "endpoint", endpoint)
    assert received(a.node.run("ping", "-c3", "-i0.1", "-W2", inner[4][1])) == (3, 3)
    assert a.show("endpoints") == endpoint


def test_handshakes_are_marked_af41_and_data_is_not(bench, inner):
    a, b = bench.pair("embedded", "wireguard-go")
    b.node.run(
        "nft",
        "-f",
        "-",
        stdin="""table ip count { chain input { type filter hook input priority 0;
        udp dport 5182 ip dscp af41 counter
        udp dport 5182 ip dscp cs0 counter; }; }""",
    )
    a.node.run("ping", "-c4", "-i0.05", "-W2", inner[4][1])
    counted = [
        int(n)
        for n in re.findall(r"counter packets (\d+)", b.node.run("nft", "list", "table", "ip", "count"))
    ]
    assert counted == [1, 4]


def test_firewall_mark_goes_with_every_datagram(bench, inner):
    a, _ = bench.pair("embedded", "wireguard-go")
    a.set("fwmark", "0x6277")
    a.node.run(
        "nft",
        "-f",
        "-",
        stdin="""table ip count { chain output { type filter hook output priority 0;
        udp dport 5182 meta mark 0x6277 counter
        udp dport 5182 meta mark != 0x6277 counter; }; }""",
    )
    a.node.run("ping", "-c4", "-i0.05", "-W2", inner[4][1])
    counted = [
        int(n)
        for n in re.findall(r"counter packets (\d+)", a.node.run("nft", "list", "table", "ip", "count"))
    ]
    assert counted == [5, 0]
