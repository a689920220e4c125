"""What goes wrong is said in one sentence, and the rest of the node keeps running."""

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from babelwg.config.keys import generate_private, generate_psk, public_of
from babelwg.lab.netns.mesh import Mesh
from babelwg.lab.netns.node import Node

B6, B4 = "fd00:77::2", "10.23.0.2"
INITIATION_SIZE = 148  # octets
REKEY_TIMEOUT = 5.0  # seconds


def peer(name: str, **fields: str) -> str:
    """Return a [[peer]] table with a fresh key."""
    lines = [f'name = "{name}"', f'public-key = "{public_of(generate_private())}"']
    return (
        "\n[[peer]]\n"
        + "\n".join([*lines, *(f'{k.replace("_", "-")} = "{v}"' for k, v in fields.items())])
        + "\n"
    )


def add_to(mesh: Mesh, name: str, text: str) -> None:
    with (mesh.home(name) / "babelwg.toml").open("a") as file:
        file.write(text)


def state_of(mesh: Mesh, name: str, of: str) -> tuple[str, str | None]:
    """Return what a node says about a peer: the state, and the reason."""
    found = next(p for p in mesh.ask(name, "status")["peers"] if p["name"] == of)
    return found["state"], found["reason"]


def reaches_b(mesh: Mesh) -> bool:
    return {mesh.kernel_device("a", x) for x in (B6, B4)} == {mesh.tunnel("a", "b")}


def daemon(mesh: Mesh, node: Node, name: str, *words: str, **more: Any) -> subprocess.CompletedProcess[str]:
    """Run a daemon of a node to its end; return its status and what it said."""
    home = mesh.home(name)
    argv = [
        *mesh.command(),
        "daemon",
        "--config",
        str(home / "babelwg.toml"),
        "--state-dir",
        str(home / "state"),
    ]
    argv = [*node.entry(), *more.get("prefix", ()), *argv, "--socket", str(home / "control.sock"), *words]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)


def test_peers_that_cannot_be_reached_are_told_and_hurt_no_other(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("ping")
    m = mesh("a b", "a-b", start=False)
    add_to(m, "a", peer("silent", endpoint="192.0.2.77:9999"))
    add_to(m, "a", peer("nameless", endpoint="no-such-host.invalid:51820"))
    add_to(m, "a", peer("caller"))
    add_to(m, "a", peer("squatter", interface="to-b"))
    m.start()
    m.wait("a reaches b", lambda: reaches_b(m))
    m.wait("the name is known not to resolve", lambda: state_of(m, "a", "nameless")[0] == "unresolved")
    assert "no-such-host.invalid does not resolve" in str(state_of(m, "a", "nameless")[1])
    assert state_of(m, "a", "silent") == ("connecting", "no answer to the handshake yet")
    assert state_of(m, "a", "caller")[0] == "no-endpoint"
    assert state_of(m, "a", "squatter") == (
        "failed",
        "the interface name to-b is taken by something that is not ours",
    )
    assert state_of(m, "a", "b") == ("up", None)
    problems = {problem["subject"] for problem in m.ask("a", "status")["problems"]}
    assert problems >= {"silent", "nameless", "caller", "squatter"}


def test_what_others_put_in_the_way_of_packets_is_told(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("ip")
    m = mesh("a b", "a-b")
    m.wait("the mesh has converged", m.converged)

    def told() -> dict[str, str]:
        return {problem["subject"]: problem["reason"] for problem in m.ask("a", "status")["problems"]}

    m.wait("nothing is wrong", lambda: not told())
    tunnel = m.tunnel("a", "b")
    m.nodes["a"].sysctl("net.ipv4.conf.all.rp_filter", "1")
    ip = m.nodes["a"].run
    ip("ip", "-6", "route", "add", f"{B6}/128", "dev", "lo", "table", "6696", "metric", "5")
    ip("ip", "-6", "route", "add", "fd00:77::/64", "dev", "lo", "table", "999")
    ip("ip", "-6", "rule", "add", "priority", "100", "lookup", "999")
    m.wait("all three are told", lambda: {"node", "rule 100", tunnel} <= told().keys())
    reasons = told()
    assert "with a smaller metric in table 6696" in reasons["node"]
    assert 'the rule "100: from all lookup 999" of another program' in reasons["rule 100"]
    assert "the reverse path check is strict" in reasons[tunnel]
    (hint,) = {problem["hint"] for problem in m.ask("a", "status")["problems"]}
    assert hint == "doctor"
    (beaten,) = [route for route in m.ask("a", "kernel")["routes"] if route["state"] != "ok"]
    assert (beaten["prefix"], beaten["state"], beaten["present"]["priority"]) == (f"{B6}/128", "beaten", 5)


def test_a_data_plane_that_hangs_holds_up_no_status(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("ping")
    m = mesh("a b", "a-b", backend="embedded")
    m.wait("a reaches b", lambda: reaches_b(m))
    m.wait("the state is of now", lambda: m.ask("a", "peers")[0]["tunnel_age_s"] == 0)
    (before,) = m.ask("a", "status")["peers"]
    assert before["latest_handshake_s"] is not None
    assert m.ask("a", "stats")["dataplane_age_s"] == 0
    plane = next(p for p in m.nodes["a"].pids() if "babelwg.dataplane" in cmdline(p))

    def told() -> list[str]:
        return [problem["reason"] for problem in m.ask("a", "status")["problems"]]

    os.kill(plane, signal.SIGSTOP)
    try:
        m.wait("its age is told", lambda: [r for r in told() if "what is told of" in r and "s old" in r])
        # Its counters are older than what else is counted, and nobody waits for them.
        start = time.monotonic()
        stats, figures = m.ask("a", "stats"), m.ask("a", "metrics")["text"]
        assert time.monotonic() - start < 1.5  # either would wait for two seconds
        assert stats["dataplane_age_s"] > 0
        assert re.search(r"^babelwg_dataplane_age_seconds [0-9.]+$", figures, re.MULTILINE)
        # What it said last is still told, with its age.
        (peer,) = m.ask("a", "status")["peers"]
        assert (peer["endpoint"], peer["tunnel_age_s"] > 0) == (before["endpoint"], True)
        m.wait("its failure is told", lambda: [r for r in told() if "gave no proper answer" in r])
        assert any("what is told of it is " in reason for reason in told())
    finally:
        os.kill(plane, signal.SIGCONT)
    m.wait("the state is of now again", lambda: m.ask("a", "peers")[0]["tunnel_age_s"] == 0)
    m.wait("nothing is wrong", lambda: not m.ask("a", "status")["problems"])


def test_a_preshared_key_that_changes_holds_at_once(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("ping")
    m = mesh("a b", "a-b")
    m.wait("a reaches b", lambda: reaches_b(m))
    psk = generate_psk()
    for name, other in ("ab", "ba"):
        key, path = m.home(name) / "peer.psk", m.home(name) / "babelwg.toml"
        key.write_text(f"{psk}\n")
        key.chmod(0o600)
        line = f'name = "{other}"\n'
        path.write_text(path.read_text().replace(line, f'{line}preshared-key-file = "peer.psk"\n'))
    m.ask("a", "reload")
    # The old session would have gone on for minutes with the old key.
    m.wait("the session is over", lambda: state_of(m, "a", "b")[0] == "connecting")
    m.ask("b", "reload")
    m.wait("both have the new key", lambda: reaches_b(m) and state_of(m, "a", "b") == ("up", None))
    causes = [record["cause"] for record in m.ask("a", "history", about="b")["records"]]
    assert "its preshared key changed, and its session begins anew" in causes


def test_a_wrong_key_is_a_peer_that_does_not_answer(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("ping")
    m = mesh("a b", "a-b", start=False)
    path = m.home("a") / "babelwg.toml"
    right, wrong = str(public_of(m.keys["b"])), str(public_of(generate_private()))
    path.write_text(path.read_text().replace(right, wrong))
    m.start()
    m.wait(
        "a waits for an answer",
        lambda: state_of(m, "a", "b") == ("connecting", "no answer to the handshake yet"),
    )
    path.write_text(path.read_text().replace(wrong, right))
    m.ask("a", "reload")
    m.wait("a reaches b after the mistake is mended", lambda: reaches_b(m))


def test_a_busy_listen_port_is_named_and_taken_when_it_is_free(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("ping")
    m = mesh("a b", "a-b", start=False)
    squatter = m.nodes["a"].popen(
        "python3",
        "-c",
        "import socket,time\n"
        "held=[]\n"
        "for f,a in ((socket.AF_INET,'0.0.0.0'),(socket.AF_INET6,'::')):\n"
        "  s=socket.socket(f,socket.SOCK_DGRAM)\n"
        "  if f==socket.AF_INET6: s.setsockopt(41,26,1)\n"
        "  s.bind((a,51820)); held.append(s)\n"
        "print('held',flush=True); time.sleep(600)",
        stdout=subprocess.PIPE,
    )
    assert squatter.stdout is not None
    assert squatter.stdout.readline() == b"held\n"
    m.start()
    m.wait(
        "a says so", lambda: state_of(m, "a", "b") == ("failed", "UDP port 51820 is taken by another program")
    )
    squatter.kill()
    squatter.wait()
    squatter.stdout.close()
    m.wait("a reaches b once the port is free", lambda: reaches_b(m))


def test_a_second_daemon_and_a_running_babeld_are_one_sentence(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("babeld")
    m = mesh("a b", "a-b")
    second = daemon(m, m.nodes["a"], "a")
    assert second.returncode == 1
    assert second.stderr.splitlines()[-1].startswith("babelwg: another daemon uses ")
    elsewhere = daemon(m, m.nodes["a"], "a", "--state-dir", str(m.home("a") / "other"))
    assert elsewhere.returncode == 1
    assert "UDP port 6696 is held by python" in elsewhere.stderr.splitlines()[-1]
    with Node("lonely") as node:
        (m.directory / "babeld.conf").write_text("interface lo\n")
        files = ["-S", str(m.directory / "bs"), "-I", str(m.directory / "bp")]
        babeld = node.popen("babeld", "-c", str(m.directory / "babeld.conf"), *files)
        m.wait("babeld holds its port", lambda: ":1A28 " in node.run("cat", "/proc/net/udp6"))
        beside = daemon(
            m, node, "b", "--state-dir", str(m.home("b") / "other"), "--socket", str(m.directory / "s")
        )
        babeld.terminate()
        babeld.wait()
    assert beside.returncode == 1
    assert "UDP port 6696 is held by babeld" in beside.stderr.splitlines()[-1]


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_tunnels_and_routes_outlive_the_daemon_and_are_adopted(
    how: signal.Signals, mesh: Callable[..., Mesh], probes: Callable[..., Any], needs: Callable[..., None]
) -> None:
    needs("ping")
    m = mesh("a b c", "a-b b-c", hello=2.0)
    m.wait("every node has a route to every other", m.converged)
    running = probes(m, "a", "c")
    before = m.ask("b", "status")
    m.stop_daemon("b", how)
    # Nobody tells the others: within the Hello hold time b forwards as before.
    running_on = time.monotonic() + 0.5
    m.wait("b still forwards", lambda: running.heard_since(running_on))
    m.start_daemon("b")
    m.wait("b answers again", lambda: m.answers("b"))
    m.wait("its neighbours are up", lambda: {p["state"] for p in m.ask("b", "status")["peers"]} == {"up"})
    after = m.ask("b", "status")
    assert after["router_id"] == before["router_id"]
    assert [p["interface"] for p in after["peers"]] == [p["interface"] for p in before["peers"]]
    m.wait("every node has a route to every other", m.converged)
    assert "routes-adopted" in (m.home("b") / "daemon.log").read_text()


def test_a_killed_data_plane_comes_back_with_its_tunnels(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("ping")
    m = mesh("a b", "a-b", backend="embedded")
    m.wait("a reaches b", lambda: reaches_b(m))
    victim = next(pid for pid in m.nodes["a"].pids() if "babelwg.dataplane" in cmdline(pid))
    os.kill(victim, signal.SIGKILL)
    m.wait(
        "another one runs",
        lambda: any("babelwg.dataplane" in cmdline(p) for p in m.nodes["a"].pids() if p != victim),
    )
    m.wait(
        "b answers pings again",
        lambda: "1 received" in m.nodes["a"].run("ping", "-c1", "-W1", B6, check=False),
    )
    assert "neighbour-lost" not in (m.home("a") / "daemon.log").read_text()


def test_a_data_plane_killed_while_its_links_are_cut_need_not_wait_for_its_next_initiation(
    mesh: Callable[..., Mesh],
) -> None:
    m = mesh("a b", "a-b", backend="embedded")

    def tunnel() -> dict[str, Any]:
        (peer,) = m.ask("a", "status")["peers"]
        assert isinstance(peer, dict)
        return peer

    m.wait("b may begin another handshake", lambda: (tunnel()["latest_handshake_s"] or 0.0) > REKEY_TIMEOUT)
    m.cut("a", "b")
    victim = next(pid for pid in m.nodes["a"].pids() if "babelwg.dataplane" in cmdline(pid))
    os.kill(victim, signal.SIGKILL)
    m.wait(
        "the next one has sent its first initiation in vain",
        lambda: tunnel()["tx_bytes"] >= INITIATION_SIZE and tunnel()["latest_handshake_s"] is None,
    )
    m.restore("a", "b")
    # The next one comes five seconds after the first; b, which keeps its session, is asked to begin.
    m.wait("there is a session", lambda: tunnel()["latest_handshake_s"] is not None, REKEY_TIMEOUT - 2.0)


def cmdline(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""


def test_without_the_right_or_the_device_it_says_so(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("setpriv")
    m = mesh("a b", "a-b", start=False, backend="embedded")
    powerless = daemon(m, m.nodes["a"], "a", prefix=("setpriv", "--bounding-set=-net_admin"))
    assert powerless.returncode == 4
    assert powerless.stderr.splitlines()[-1] == "babelwg: needs CAP_NET_ADMIN: run it as root"
    m.nodes["a"].run("mount", "-t", "tmpfs", "tmpfs", "/dev/net")
    m.start()
    m.wait("a misses the device", lambda: state_of(m, "a", "b")[0] == "failed")
    assert "/dev/net/tun" in str(state_of(m, "a", "b")[1])


def test_routes_and_rules_that_somebody_removes_come_back(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("ping")
    m = mesh("a b", "a-b")
    m.wait("a reaches b", lambda: reaches_b(m))
    m.nodes["a"].run("ip", "-6", "route", "flush", "table", "6696")
    m.nodes["a"].run("ip", "-4", "route", "flush", "table", "6696")
    m.wait("the routes are back", lambda: reaches_b(m))
    m.nodes["a"].run("ip", "-6", "rule", "del", "priority", "6696")
    m.wait("the rule is back", lambda: "6696:" in m.nodes["a"].run("ip", "-6", "rule"))
    m.nodes["a"].ip(f"link set {m.tunnel('a', 'b')} down")
    m.wait("a takes note", lambda: not reaches_b(m))
    m.nodes["a"].ip(f"link set {m.tunnel('a', 'b')} up")
    m.wait("address and routes are back", lambda: reaches_b(m))
    m.nodes["a"].run("ip", "link", "del", m.tunnel("a", "b"))
    m.wait("the tunnel is back", lambda: reaches_b(m))


def test_an_address_that_somebody_removes_comes_back_at_once_and_routes_with_it(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("ping")
    m = mesh("a b", "a-b")
    a = m.nodes["a"]

    def sources() -> set[str]:
        lines = [a.run("ip", v, "route", "show", "table", "6696", x) for v, x in (("-6", B6), ("-4", B4))]
        return {words[words.index("src") + 1] for line in lines if "src" in (words := line.split())}

    own = {"fd00:77::1", "10.23.0.1"}
    m.wait("a's packets carry its addresses", lambda: reaches_b(m) and sources() == own)
    for number in (1, 2):
        a.ip("address del fd00:77::1/128 dev lo", "address del 10.23.0.1/32 dev lo")
        # Long before the next comparison with the kernel.
        m.wait(
            f"addresses and sources are back, the {number}. time",
            lambda: (
                own <= set(a.run("ip", "address", "show", "lo").replace("/", " ").split())
                and sources() == own
            ),
            deadline=5.0,
        )
    assert reaches_b(m)
    assert "route-refused" not in (m.home("a") / "daemon.log").read_text()


def test_ipv4_routes_over_a_tunnel_that_loses_its_last_ipv4_address_are_set_again_at_once(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("ping")
    m = mesh("a b", "a-b")
    m.wait("a reaches b", lambda: reaches_b(m))
    a, tunnel, daemon = m.nodes["a"], m.tunnel("a", "b"), m.daemons["a"]
    daemon.send_signal(signal.SIGSTOP)
    a.ip(f"address add 192.0.2.9/32 dev {tunnel}", f"address del 192.0.2.9/32 dev {tunnel}")
    dropped = a.run("ip", "-4", "route", "show", "table", "6696")
    daemon.send_signal(signal.SIGCONT)
    assert B4 not in dropped, "the kernel drops what leads over the interface"
    m.wait("the route is back", lambda: reaches_b(m), deadline=5.0)
    # An address that comes and goes as fast as somebody can do it ends with all as it should be.
    for _ in range(50):
        a.ip(f"address add 192.0.2.9/32 dev {tunnel}", f"address del 192.0.2.9/32 dev {tunnel}")
    m.wait("the route is back for good", lambda: reaches_b(m), deadline=5.0)
    assert "routes-repaired" not in (m.home("a") / "daemon.log").read_text()


def test_a_tunnel_whose_name_another_interface_has_at_the_next_look_is_missed_at_once(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("ping")
    m = mesh("a b", "a-b", backend="embedded")
    m.wait("a reaches b", lambda: reaches_b(m))
    tunnel, daemon = m.tunnel("a", "b"), m.daemons["a"]
    daemon.send_signal(signal.SIGSTOP)
    m.nodes["a"].ip(f"link del {tunnel}", f"link add {tunnel} type veth peer name beside")
    daemon.send_signal(signal.SIGCONT)
    # Long before the next look at all tunnels.
    log = m.home("a") / "daemon.log"
    m.wait("it is missed", lambda: "tunnel-vanished" in log.read_text(), deadline=5.0)
    m.nodes["a"].ip("link del beside")
    m.wait("the tunnel is back", lambda: reaches_b(m))


@pytest.mark.parametrize("backend", ["embedded", "wireguard-go"])
def test_a_renamed_tunnel_gets_its_name_back(
    mesh: Callable[..., Mesh], needs: Callable[..., None], backend: str
) -> None:
    needs("ping", *[backend] * (backend != "embedded"))
    m = mesh("a b", "a-b", backend=backend)
    m.wait("a reaches b", lambda: reaches_b(m))
    a, tunnel, log = m.nodes["a"], m.tunnel("a", "b"), m.home("a") / "daemon.log"
    for number, rename in enumerate(
        (f"link set {tunnel} name other", f"link set {tunnel} down name other"), 1
    ):
        a.ip(rename)
        m.wait("it is noticed", lambda n=number: log.read_text().count("tunnel-renamed") == n)
        m.wait("the name and the routes are back", lambda: reaches_b(m))
        if number == 1:  # it stayed up, and nobody lost a route
            assert "1 received" in a.run("ping", "-c1", "-W1", B6, check=False)
            assert "neighbour-lost" not in log.read_text()
    m.wait("packets go", lambda: "1 received" in a.run("ping", "-c1", "-W1", B6, check=False))
    assert "other" not in a.run("ip", "link")
    assert "tunnel-vanished" not in log.read_text()
    # Also where nobody was there to see it, and where something else has the name for a while.
    m.stop_daemon("a", signal.SIGKILL)
    a.ip(f"link set {tunnel} name other")
    a.ip(f"link add {tunnel} type veth peer name beside")
    m.start_daemon("a")
    m.wait("the reason is told", lambda: "renamed" in str(m.answers("a") and state_of(m, "a", "b")[1]))
    assert "taken meanwhile" in str(state_of(m, "a", "b")[1])
    a.ip("link del beside")
    m.wait("the name and the routes are back again", lambda: reaches_b(m))
    m.wait("the tunnel has a session again", lambda: state_of(m, "a", "b") == ("up", None))


def test_a_route_that_somebody_replaces_is_put_back_at_once(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("ping")
    m = mesh("a b", "a-b")
    m.wait("a reaches b", lambda: reaches_b(m))
    for family, prefix in (("-6", "fd00:77::2/128"), ("-4", "10.23.0.2/32")):
        place = ["metric", "1024", "table", "6696"]
        for protocol in ("boot", "babel"):
            m.nodes["a"].run(
                "ip", family, "route", "replace", "unreachable", prefix, *place, "proto", protocol
            )
            tables = ["ip", family, "route", "show", "table", "6696"]
            # Long before the next comparison with the kernel.
            m.wait(
                "our route is back",
                lambda tables=tables: "unreachable" not in m.nodes["a"].run(*tables),
                deadline=5.0,
            )
    assert reaches_b(m)


def test_an_interface_that_had_no_ipv6_for_a_moment_is_heard_again(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("ping")
    m = mesh("a b", "a-b")
    m.wait("a reaches b", lambda: reaches_b(m))
    tunnel = m.tunnel("a", "b")
    m.nodes["a"].ip(f"link set {tunnel} mtu 1000", f"link set {tunnel} mtu 1420")

    def is_member() -> bool:
        lines = m.nodes["a"].run("cat", "/proc/net/igmp6").splitlines()
        groups = [line.split()[2] for line in lines if line.split()[1] == tunnel]
        return "ff020000000000000000000000010006" in groups

    m.wait("a is in Babel's group again", is_member)
    m.wait("a reaches b again", lambda: reaches_b(m))


@pytest.mark.parametrize("fault", ["full", "read-only"])
def test_a_node_starts_where_its_state_cannot_be_written(
    mesh: Callable[..., Mesh], needs: Callable[..., None], fault: str
) -> None:
    needs("mount", "dd")
    m = mesh("a b", "a-b", start=False)
    a, state = m.nodes["a"], m.home("a") / "state"
    state.mkdir()
    a.run("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(state))
    m.start()
    m.wait("the mesh has converged", m.converged)
    before = m.ask("a", "status")["router_id"]

    def problem() -> str:
        problems = m.ask("a", "status")["problems"]
        return "; ".join(p["reason"] for p in problems if p["subject"] == "state-directory")

    def restart() -> None:
        m.start_daemon("a")
        m.wait("a answers", lambda: m.answers("a"))
        m.wait("the mesh has converged again", m.converged)

    m.stop_daemon("a", signal.SIGKILL)
    if fault == "full":
        a.run("dd", "if=/dev/zero", f"of={state / 'filler'}", "bs=4k", check=False)
    else:
        a.run("mount", "-o", "remount,ro", str(state))
    restart()
    during = m.ask("a", "status")["router_id"]
    assert during != before
    assert "cannot be written: " in problem()
    doctor = [*m.command(), "doctor", "--socket", str(m.home("a") / "control.sock")]
    assert "FAIL  state-directory" in a.run(*doctor, check=False)
    assert m.ask("a", "stats")["counters"]["store.store_failed.state"] >= 1
    if fault == "full":
        a.run("rm", str(state / "filler"))
    else:
        a.run("mount", "-o", "remount,rw", str(state))
    a.ip("rule add priority 100 lookup main")  # has the daemon look after things now, and not in a minute
    m.wait("all can be written", lambda: "cannot be written" not in problem())
    m.stop_daemon("a", signal.SIGKILL)
    restart()
    assert m.ask("a", "status")["router_id"] == during
    assert not problem()


def test_what_wg_set_changes_is_put_back(mesh: Callable[..., Mesh], needs: Callable[..., None]) -> None:
    needs("wg")
    m = mesh("a b", "a-b")
    m.wait("a reaches b", lambda: reaches_b(m))
    tunnel, key = m.tunnel("a", "b"), str(public_of(m.keys["b"]))
    m.nodes["a"].run(
        "wg", "set", tunnel, "peer", key, "persistent-keepalive", "17", "allowed-ips", "10.0.0.0/8"
    )
    stranger = str(public_of(generate_private()))
    m.nodes["a"].run("wg", "set", tunnel, "peer", stranger, "allowed-ips", "10.23.0.2/32")
    m.wait("the stranger is gone", lambda: stranger not in m.nodes["a"].run("wg", "show", tunnel, "peers"))
    m.wait("the keepalive is off again", lambda: "every 17" not in m.nodes["a"].run("wg", "show", tunnel))
    assert "::/0" in m.nodes["a"].run("wg", "show", tunnel, "allowed-ips")
    m.wait("a reaches b", lambda: reaches_b(m))
    assert "tunnel-changed-by-another" in (m.home("a") / "daemon.log").read_text()
