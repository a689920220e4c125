"""Peers changed on a running node, tunnels switched, and a phone that knows nothing of Babel."""

import subprocess
from collections.abc import Callable

from babelwg.lab.netns.mesh import Mesh

PHONE6, PHONE4 = "fd00:77::99", "10.23.0.99"


def say(mesh: Mesh, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command in a node and return what it said."""
    argv = [*mesh.nodes[name].entry(), *mesh.command(), "--socket", str(mesh.home(name) / "control.sock")]
    return subprocess.run([*argv, *words], capture_output=True, text=True, check=False, timeout=120)


def config_of(mesh: Mesh, name: str) -> list[str]:
    return ["-c", str(mesh.home(name) / "babelwg.toml")]


def test_a_peer_goes_and_comes_by_command(mesh: Callable[..., Mesh], needs: Callable[..., None]) -> None:
    needs("ip")
    m = mesh("a b", "a-b")
    m.wait("a reaches b", m.converged)
    tunnel, path = m.tunnel("a", "b"), m.home("a") / "babelwg.toml"
    written = path.read_text()
    key = m.ask("a", "peers")[0]["public_key"]
    endpoint = m.ask("a", "peers")[0]["endpoint"]
    result = say(m, "a", "peer", "remove", "b", *config_of(m, "a"))
    assert (result.returncode, "the daemon has taken it" in result.stdout) == (0, True), result.stderr
    m.wait("the tunnel is gone", lambda: tunnel not in m.nodes["a"].run("ip", "-o", "link"))
    result = say(m, "a", "peer", "add", "b", "--public-key", key, "--endpoint", endpoint, *config_of(m, "a"))
    assert result.returncode == 0, result.stderr
    m.wait("a reaches b again", m.converged)
    changed = path.read_text()
    result = say(m, "a", "peer", "set", "b", "keepalive=-1", *config_of(m, "a"))
    assert (result.returncode, "nothing is changed" in result.stderr) == (5, True)
    assert path.read_text() == changed
    assert written.partition("[[peer]]")[0] == changed.partition("[[peer]]")[0]


def test_a_tunnel_is_taken_down_and_traffic_goes_round(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("ip")
    m = mesh("a b c", "a-b b-c a-c", hello=30)
    ab, ac, ba = m.tunnel("a", "b"), m.tunnel("a", "c"), m.tunnel("b", "a")
    m.wait("all is direct", lambda: m.kernel_device("a", "10.23.0.2") == ab)
    m.wait("all is direct", lambda: m.kernel_device("b", "10.23.0.1") == ba)
    m.wait("c reaches both", m.converged)
    result = say(m, "a", "down", "b")
    assert (result.returncode, result.stdout) == (0, "b is down until `babelwg up`.\n"), result.stderr
    # With Hellos every 30 s only a retraction can be so fast.
    m.wait("a goes round", lambda: m.kernel_device("a", "10.23.0.2") == ac)
    m.wait("b goes round", lambda: m.kernel_device("b", "10.23.0.1") == m.tunnel("b", "c"))
    assert ab not in m.nodes["a"].run("ip", "-o", "link")
    m.ask("a", "reload")
    peers = {peer["name"]: peer["state"] for peer in m.ask("a", "peers")}
    assert peers == {"b": "disabled", "c": "up"}
    assert say(m, "a", "up", "b").stdout == "b is up.\n"
    m.wait("all is direct again", lambda: m.kernel_device("a", "10.23.0.2") == ab)
    result = say(m, "a", "restart", "bb")
    assert (result.returncode, 'did you mean "b"?' in result.stderr) == (1, True)


def test_a_phone_reaches_the_mesh_and_is_reached(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("ip", "ping", "wg", "wireguard-go")
    m = mesh("a b p", "a-b a-p", without_daemon=frozenset("p"))
    m.wait("a reaches b", lambda: m.kernel_device("a", "fd00:77::2") == m.tunnel("a", "b"))
    assert say(m, "a", "peer", "remove", "p", *config_of(m, "a")).returncode == 0
    host = m.links[frozenset("ap")].addresses["a"]
    words = ["export", "phone", "--wg-quick", "--endpoint", host, "--address", PHONE6, "--address", PHONE4]
    result = say(m, "a", *words, *config_of(m, "a"))
    assert result.returncode == 0, result.stderr
    assert f"Address = {PHONE6}/128, {PHONE4}/32\n" in result.stdout
    become_a_phone(m, "p", result.stdout)
    for address in ("fd00:77::2", "10.23.0.2"):
        m.wait(f"the phone pings {address}", lambda address=address: pings(m, "p", address))  # type: ignore[misc]
    for address in (PHONE6, PHONE4):
        assert m.kernel_device("b", address) == m.tunnel("b", "a")
        m.wait(f"b pings {address}", lambda address=address: pings(m, "b", address))  # type: ignore[misc]
    states = {peer["name"]: (peer["state"], peer["reason"]) for peer in m.ask("a", "peers")}
    assert states["phone"] == ("up", None)
    assert {x["prefix"] for x in m.ask("a", "xroutes") if x["origin"] == "leaf"} == {
        f"{PHONE6}/128",
        f"{PHONE4}/32",
    }
    assert say(m, "a", "down", "phone").returncode == 0
    m.wait("b knows that it is gone", lambda: m.kernel_device("b", PHONE6) is None)
    assert say(m, "a", "restart", "phone").returncode == 0
    # Where it is we have forgotten, and it calls again when nothing answers what it sends.
    m.wait("the phone is back", lambda: pings(m, "p", "10.23.0.2"))
    m.wait("b pings it", lambda: pings(m, "b", PHONE4))


def become_a_phone(mesh: Mesh, name: str, text: str) -> None:
    """Do what an app does with the file: wireguard-go, the key, the addresses, the routes."""
    node = mesh.nodes[name]
    apart = ("Address", "MTU", "DNS")
    values = dict(line.split(" = ", 1) for line in text.splitlines() if " = " in line)
    node.run("wireguard-go", "wg0")
    bare = "".join(f"{line}\n" for line in text.splitlines() if not line.startswith(apart))
    node.run("sh", "-c", "umask 077; cat > /run/wg0.conf", stdin=bare)
    node.run("wg", "setconf", "wg0", "/run/wg0.conf")
    for address in values["Address"].split(", "):
        node.run("ip", "address", "add", address, "dev", "wg0")
    node.run("ip", "link", "set", "wg0", "mtu", values["MTU"], "up")
    for prefix in values["AllowedIPs"].split(", "):
        node.run("ip", "route", "add", prefix, "dev", "wg0")


def pings(mesh: Mesh, name: str, address: str) -> bool:
    """Return whether one packet is answered."""
    argv = [*mesh.nodes[name].entry(), "ping", "-c", "1", "-W", "1", address]
    return subprocess.run(argv, capture_output=True, check=False).returncode == 0
