"""The lab's hosts: apart from each other and from the machine, and gone when they should be."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from babelwg.lab.netns.node import CommandError, Node, connect, disconnect
from babelwg.linux.netns import network_namespace, network_namespace_id


def wait_until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "condition not met in time"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def programs(needs):
    needs("unshare", "nsenter", "ip", "ping")


def test_node_has_its_own_interfaces_and_run_directory(nodes):
    a, b = nodes.add("a"), nodes.add("b")
    a.run("sh", "-c", "echo here > /run/wireguard/mark")
    assert a.run("cat", "/run/wireguard/mark") == "here\n"
    assert b.run("ls", "/run/wireguard") == ""
    assert not Path("/run/wireguard/mark").exists()
    assert "LOOPBACK,UP" in a.run("ip", "link", "show", "lo")
    assert network_namespace_id(a.pid) != network_namespace_id(b.pid) != network_namespace_id(os.getpid())


def test_connected_nodes_ping_each_other_in_both_families(nodes):
    a, b = nodes.add("a"), nodes.add("b")
    connect(a, b, "to-b", "to-a", ["10.9.0.1/24", "fd00:9::1/64"], ["10.9.0.2/24", "fd00:9::2/64"], mtu=1400)
    a.run("ping", "-c1", "-W2", "10.9.0.2")
    b.run("ping", "-c1", "-W2", "fd00:9::1")
    assert "mtu 1400" in b.run("ip", "link", "show", "to-a")
    disconnect(b, "to-a")
    assert "to-b" not in a.run("ip", "link")


def test_failed_command_says_where_and_why(nodes):
    node = nodes.add("alone")
    with pytest.raises(CommandError, match=r"alone: ip link show nosuch: status 1: .*nosuch"):
        node.run("ip", "link", "show", "nosuch")
    assert node.run("sh", "-c", "echo out; exit 3", check=False) == "out\n"


def test_command_that_takes_too_long_is_ended(nodes):
    node = nodes.add("slow")
    with pytest.raises(CommandError, match=r"not done after 0\.2 s"):
        node.run("sleep", "60", timeout=0.2)
    wait_until(lambda: node.pids() == [])


def test_program_runs_in_the_callers_directory_and_with_its_input(nodes, tmp_path):
    node = nodes.add("a")
    assert node.run("pwd") == f"{Path.cwd()}\n"
    assert node.run("pwd", cwd=tmp_path) == f"{tmp_path}\n"
    assert node.run("cat", stdin="told") == "told"


def test_close_kills_what_runs_in_the_node_even_with_a_session_of_its_own(nodes):
    node = nodes.add("a")
    process = node.popen("setsid", "sh", "-c", "trap '' TERM HUP; sleep 1000 & sleep 1000")
    wait_until(lambda: len(node.pids()) >= 3)
    pids = node.pids()
    node.close()
    process.wait(60)
    assert node.closed
    wait_until(lambda: not any(Path(f"/proc/{pid}").exists() for pid in pids))


def test_nothing_survives_the_kill_of_the_program_that_made_it():
    program = (
        "import subprocess, sys, time\n"
        "from babelwg.lab.netns.node import Node\n"
        "node = Node('doomed')\n"
        "node.popen('setsid', 'sleep', '1000')\n"
        "while len(node.pids()) != 1: time.sleep(0.01)\n"
        "print(node.pid, *node.pids(), flush=True)\n"
        "time.sleep(1000)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    with process:
        assert process.stdout is not None
        pids = [int(word) for word in process.stdout.readline().split()]
        lived = [_lives(pid) for pid in pids]
        process.send_signal(signal.SIGKILL)
    assert lived == [True, True]
    wait_until(lambda: not any(_lives(pid) for pid in pids))


def _lives(pid: int) -> bool:
    try:
        return ") Z " not in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_socket_made_inside_the_namespace_stays_there(nodes):
    a, b = nodes.add("a"), nodes.add("b")
    connect(a, b, "x", "x", ["10.9.0.1/24"], ["10.9.0.2/24"])
    with network_namespace(a.pid), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.bind(("10.9.0.1", 0))
        assert s.getsockname()[0] == "10.9.0.1"
    home = Path("/proc/thread-self/ns/net").stat().st_ino
    assert home == network_namespace_id(os.getpid())


@pytest.mark.usefixtures("_tun_for_all")
def test_nodes_work_in_a_user_namespace_without_root(skip):
    program = (
        "from babelwg.linux.netns import enter_user_namespace\n"
        "from babelwg.lab.netns.node import Node, connect\n"
        "enter_user_namespace()\n"
        "with Node('a') as a, Node('b') as b:\n"
        "    connect(a, b, 'x', 'y', ['10.9.0.1/24'], ['10.9.0.2/24'])\n"
        "    a.run('ping', '-c1', '-W2', '10.9.0.2')\n"
        "    a.run('ip', 'tuntap', 'add', 'dev', 'tun7', 'mode', 'tun')\n"
        "    print('tun7' in a.run('ip', 'link'))\n"
    )
    done = _as_ordinary_user(program, skip)
    if "no network namespaces here" in done.stderr:
        skip("user namespaces", done.stderr.strip().splitlines()[-1])
    assert done.stdout == "True\n", done.stderr


def _as_ordinary_user(program, skip):
    prefix = []
    if os.geteuid() == 0:
        prefix = ["setpriv", "--reuid", "65534", "--regid", "65534", "--clear-groups", "--inh-caps=-all"]
    # Our own interpreter may live in a directory that only root may enter.
    for python in (sys.executable, "/usr/bin/python3"):
        argv = [*prefix, "unshare", "-Ur", python, "-c", "import sys; sys.exit(sys.version_info < (3, 11))"]
        if subprocess.run(argv, capture_output=True, timeout=120, check=False).returncode == 0:
            argv = [*prefix, python, "-c", program]
            return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)
    return skip("user namespaces", "no Python 3.11 that another user may run in one")


def test_node_that_cannot_be_made_says_why(monkeypatch, tmp_path):
    fake = tmp_path / "unshare"
    fake.write_text("#!/bin/sh\necho 'unshare: not allowed' >&2\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    with pytest.raises(CommandError, match="cannot make node x: unshare: not allowed"):
        Node("x")
