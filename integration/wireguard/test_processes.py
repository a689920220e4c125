"""The data plane as a process: many tunnels, shared ports, and what others do to it."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from babelwg.lab.netns.node import connect

HUB = "10.9.{}.254"


@pytest.fixture
def star(bench):
    """Our data plane with three tunnels on one port, each to a wireguard-go of its own."""
    hub = bench.end("embedded", "hub", 9)
    hub.start()
    assert hub.control("remove=wg0\n\n") == "errno=0\n\n"
    spokes = []
    for number in (1, 2, 3):
        spoke = bench.end("wireguard-go", f"spoke{number}", number - 1)
        connect(
            hub.node, spoke.node, f"to{number}", "under", [f"10.9.{number}.254/24"], [f"10.9.{number}.1/24"]
        )
        spoke.start()
        spoke.set("private-key", "/run/key", "peer", hub.public, "allowed-ips", "0.0.0.0/0,::/0")
        spoke.set("peer", hub.public, "endpoint", f"10.9.{number}.254:5182")
        name = f"wg{number}"
        assert hub.control(f"create={name}\nmtu=1420\n\n") == "errno=0\n\n"
        hub.wg("set", name, "private-key", "/run/key", "listen-port", "5182", "fwmark", hex(number))
        hub.wg("set", name, "peer", spoke.public, "allowed-ips", "0.0.0.0/0,::/0")
        hub.node.ip(f"address add 10.7.{number}.254/24 dev {name}", f"link set {name} up")
        spoke.node.ip(f"address add 10.7.{number}.1/24 dev wg0", "link set wg0 up")
        spokes.append(spoke)
    return hub, spokes


def pings(spoke, number, count=3):
    text = spoke.node.run("ping", f"-c{count}", "-i0.05", "-W3", f"10.7.{number}.254", check=False)
    return f" {count} received" in text


def udp_sockets(end):
    return end.node.run("ss", "-Huln").count(":5182")


def test_three_tunnels_share_one_port(star):
    hub, spokes = star
    for number, spoke in enumerate(spokes, 1):
        assert pings(spoke, number)
        assert hub.wg("show", f"wg{number}", "listen-port") == "5182\n"
        assert hub.wg("show", f"wg{number}", "peers") == f"{spoke.public}\n"
    assert udp_sockets(hub) == 2  # IPv4 and IPv6


def test_removing_one_tunnel_leaves_the_others_alone(star):
    hub, spokes = star
    assert all(pings(spoke, number) for number, spoke in enumerate(spokes, 1))
    assert hub.control("remove=wg2\n\n") == "errno=0\n\n"
    assert "wg2" not in hub.node.run("ip", "link")
    assert not hub.path("wireguard/wg2.sock").exists()
    assert pings(spokes[0], 1)
    assert pings(spokes[2], 3)
    assert hub.control("remove=wg2\n\n").endswith("errno=-2\n\n")


def test_tunnel_whose_port_changes_leaves_the_shared_one(star):
    hub, spokes = star
    assert all(pings(spoke, number) for number, spoke in enumerate(spokes, 1))
    hub.wg("set", "wg1", "listen-port", "6001")
    hub.node.run("ping", "-c1", "-W3", "10.7.1.1")  # the spoke learns where we are
    assert all(pings(spoke, number) for number, spoke in enumerate(spokes, 1))
    assert spokes[0].show("endpoints") == "10.9.1.254:6001"
    for name in ("wg2", "wg3"):
        hub.wg("set", name, "listen-port", "6001")
    assert udp_sockets(hub) == 0


def test_interface_that_somebody_deletes_is_reported_and_the_rest_goes_on(star, until):
    hub, spokes = star
    hub.node.ip("link delete wg2")
    lost = "interface=wg2\nstate=lost\nreason=the interface was removed by another program\n"
    until(lambda: lost in hub.control("list=1\n\n"))
    assert not hub.path("wireguard/wg2.sock").exists()
    assert pings(spokes[0], 1)
    assert hub.control("create=wg2\nmtu=1400\n\n") == "errno=0\n\n"
    assert lost not in hub.control("list=1\n\n")


def test_interface_that_somebody_renames_is_made_anew_when_it_is_asked_for(star):
    hub, spokes = star
    hub.node.ip("link set wg2 name other")
    assert hub.control("create=wg2\nmtu=1400\n\n") == "errno=0\n\n"
    assert " wg2: " in hub.node.run("ip", "link")
    assert " other: " not in hub.node.run("ip", "link")
    assert pings(spokes[0], 1)
    hub.node.ip("link set wg2 name other")
    hub.node.ip("link add wg2 type veth peer name beside")
    assert "is taken by something" in hub.control("create=wg2\nmtu=1400\n\n")
    hub.node.ip("link del beside")
    assert hub.control("create=wg2\nmtu=1400\n\n") == "errno=0\n\n"


def test_flood_of_garbage_stops_nothing(star, until):
    hub, spokes = star
    assert pings(spokes[0], 1)
    program = (
        "import os, socket, sys, time\n"
        "s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.connect((sys.argv[1], 5182))\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        # A thousand a second: more than one core can read would be lost in the kernel, with good packets among it.
        "    time.sleep(0.005)\n"
        "    for kind in (1, 2, 3, 4, 7):\n"
        "        s.send(bytes([kind, 0, 0, 0]) + os.urandom(144))\n"
    )
    flood = spokes[1].node.popen(
        sys.executable, "-c", program, "10.9.2.254", stdout=subprocess.PIPE, text=True
    )
    with flood:
        try:
            assert flood.stdout.readline() == "ready\n"
            assert pings(spokes[0], 1, 20)
            refused = ("wrong-mac1", "malformed", "unknown-index")
            until(lambda: all(hub.stats().get(what, 0) > 100 for what in refused))
        finally:
            flood.kill()


def test_sigterm_leaves_the_interfaces_and_removes_the_sockets(bench):
    a, _ = bench.pair("embedded", "wireguard-go")
    a.process.send_signal(signal.SIGTERM)
    assert a.process.wait(60) == 0
    assert "wg0" in a.node.run("ip", "link")
    assert not a.path("wireguard/wg0.sock").exists()
    assert not a.path("control.sock").exists()


def test_killed_data_plane_is_replaced_and_takes_the_interfaces_up(bench, inner):
    a, b = bench.pair("embedded", "wireguard-go")
    a.node.run("ping", "-c1", "-W3", inner[4][1])
    index = a.node.run("ip", "-o", "link", "show", "wg0").partition(":")[0]
    a.process.kill()
    a.process.wait(60)
    a.path("control.sock").unlink()  # only so that the start below can wait for the new one
    a.start()
    a.set("private-key", "/run/key", "listen-port", "5182")
    a.set("peer", b.public, "allowed-ips", "0.0.0.0/0,::/0", "endpoint", "10.9.0.2:5182")
    assert a.node.run("ip", "-o", "link", "show", "wg0").partition(":")[0] == index
    assert "3 received" in a.node.run("ping", "-c3", "-i0.1", "-W3", inner[4][1])


def test_stale_sockets_of_a_killed_process_are_replaced(bench, until, question):
    a, _ = bench.pair("embedded", "wireguard-go")
    a.process.kill()
    a.process.wait(60)
    with a.log.open("ab") as log:
        a.process = a.node.popen(
            sys.executable, "-m", "babelwg.dataplane", "--control", "/run/control.sock", stderr=log
        )

    def answers():
        try:
            return question(a.path("control.sock"), "create=wg0\n\n")
        except ConnectionRefusedError:
            return None

    assert until(answers) == "errno=0\n\n"
    assert a.wg("show", "interfaces") == "wg0\n"


def test_second_process_on_the_same_control_socket_ends_with_one_sentence(bench):
    a, _ = bench.pair("embedded", "wireguard-go")
    argv = [*a.node.entry(), sys.executable, "-m", "babelwg.dataplane", "--control", "/run/control.sock"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 1
    assert done.stderr == "babelwg data plane: /run/control.sock is served by a program that is running\n"
    assert a.control("list=1\n\n").endswith("errno=0\n\n")


def test_sockets_belong_to_their_user_alone(bench):
    a, _ = bench.pair("embedded", "wireguard-go")
    for name in ("control.sock", "wireguard/wg0.sock"):
        assert a.path(name).stat().st_mode & 0o777 == 0o600


def test_taken_names_are_refused_with_the_reason(bench):
    a, _ = bench.pair("embedded", "wireguard-go")
    assert a.control("create=under\n\n") == (
        "message=the interface name under is taken by something that is not a TUN device\nerrno=-17\n\n"
    )
    go = a.node.popen("env", "WG_I_PREFER_BUGGY_USERSPACE_TO_POLISHED_KMOD=1", "wireguard-go", "-f", "wg7")
    with go:
        while not a.path("wireguard/wg7.sock").exists():
            assert go.poll() is None
        answer = a.control("create=wg7\n\n")
        go.kill()
    assert answer == "message=/run/wireguard/wg7.sock is served by a program that is running\nerrno=-17\n\n"
    assert a.control("create=bad name\n\n").endswith("errno=-22\n\n")
    assert a.control("create=../../x\n\n").endswith("errno=-22\n\n")


def test_missing_tun_device_is_one_sentence(bench):
    a, _ = bench.pair("embedded", "wireguard-go")
    a.node.run("mount", "-t", "tmpfs", "none", "/dev/net")
    assert a.control("create=wg5\n\n") == (
        "message=/dev/net/tun is missing: load the kernel module `tun`, or give the container this device\n"
        "errno=-19\n\n"
    )
    assert not a.path("wireguard/wg5.sock").exists()


def test_without_the_right_to_make_interfaces_it_says_so(bench):
    a, _ = bench.pair("embedded", "wireguard-go")
    process = a.node.popen(
        *("setpriv", "--bounding-set", "-net_admin", "--inh-caps", "-net_admin"),
        *(sys.executable, "-m", "babelwg.dataplane", "--control", "/run/other.sock"),
        stderr=subprocess.DEVNULL,
    )
    with process:
        while not a.path("other.sock").exists():
            assert process.poll() is None
        client = "import socket,sys; s=socket.socket(socket.AF_UNIX); s.connect('/run/other.sock')\n"
        client += "s.sendall(b'create=wg6\\n\\n'); print(s.recv(999).decode())"
        answer = a.node.run(sys.executable, "-c", client)
        process.kill()
    assert answer == (
        "message=not allowed to make the TUN device wg6: CAP_NET_ADMIN is missing\nerrno=-1\n\n\n"
    )


def test_interface_is_point_to_point_and_multicast(bench):
    a, _ = bench.pair("embedded", "wireguard-go")
    text = a.node.run("ip", "link", "show", "wg0")
    assert "POINTOPOINT,MULTICAST,NOARP" in text
    assert "mtu 1420" in text


def test_broken_underlay_is_counted_and_survived(bench, inner, until):
    a, _ = bench.pair("embedded", "wireguard-go")
    a.node.run("ping", "-c1", "-W3", inner[4][1])
    a.node.ip("link set under down")
    a.node.run("ping", "-c2", "-i0.1", "-W1", inner[4][1], check=False)
    assert a.stats()["send-unreachable"] >= 2
    a.node.ip("link set under up")
    until(lambda: " 1 received" in a.node.run("ping", "-c1", "-W1", inner[4][1], check=False))


def test_firewall_that_denies_sending_is_counted_and_survived(bench, inner):
    a, _ = bench.pair("embedded", "wireguard-go")
    a.node.run("ping", "-c1", "-W3", inner[4][1])
    rules = "table ip deny { chain output { type filter hook output priority 0; udp dport 5182 drop; }; }"
    a.node.run("nft", "-f", "-", stdin=rules)
    a.node.run("ping", "-c2", "-i0.1", "-W1", inner[4][1], check=False)
    assert a.stats()["send-denied"] >= 2
    a.node.run("nft", "delete", "table", "ip", "deny")
    assert "2 received" in a.node.run("ping", "-c2", "-i0.1", "-W2", inner[4][1])


def test_descriptors_that_run_out_are_one_sentence_and_no_spin(bench, question):
    a, _ = bench.pair("embedded", "wireguard-go")
    pid = next(p for p in a.node.pids() if b"babelwg.dataplane" in Path(f"/proc/{p}/cmdline").read_bytes())
    used = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    subprocess.run(["prlimit", f"--pid={pid}", f"--nofile={used + 3}:"], check=True)
    answer = a.control("create=wg8\n\n")
    assert answer.endswith("errno=-24\n\n")
    assert "message=" in answer
    subprocess.run(["prlimit", f"--pid={pid}", "--nofile=1024:"], check=True)
    assert a.control("create=wg8\n\n") == "errno=0\n\n"


def test_shutdown_ends_the_process_and_leaves_the_interface(bench):
    a, _ = bench.pair("embedded", "wireguard-go")
    assert a.control("shutdown=1\n\n") == "errno=0\n\n"
    assert a.process.wait(60) == 0
    assert "wg0" in a.node.run("ip", "link")


def test_interface_left_by_a_dead_process_can_be_removed_by_the_next(bench):
    a, _ = bench.pair("embedded", "wireguard-go")
    a.process.kill()
    a.process.wait(60)
    assert "wg0" in a.node.run("ip", "link")
    a.node.run("rm", "/run/control.sock")
    process = a.node.popen(
        sys.executable, "-m", "babelwg.dataplane", "--control", "/run/control.sock", stderr=subprocess.DEVNULL
    )
    with process:
        while not a.path("control.sock").exists():
            assert process.poll() is None
        assert a.control("remove=wg0\n\n") == "errno=0\n\n"
        assert "wg0" not in a.node.run("ip", "link")
        process.kill()
