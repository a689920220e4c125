"""A change of identity, of place or of the file: the node stays one node, and leaves no tunnel behind."""

from collections.abc import Callable
from pathlib import Path

from babelwg.config.keys import generate_private, public_of
from babelwg.lab.netns.mesh import Mesh

B6 = "fd00:77::2"


def reaches_b(mesh: Mesh) -> bool:
    return mesh.kernel_device("a", B6) == mesh.tunnel("a", "b")


def interfaces(mesh: Mesh, name: str) -> set[str]:
    lines = mesh.nodes[name].run("ip", "-o", "link").splitlines()
    return {line.split(": ")[1] for line in lines if line.split(": ")[1].startswith("bw-")}


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_new_private_key_takes_the_old_tunnels_along(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("wg")
    m = mesh("a b c", "a-b a-c")
    m.wait("a reaches b", lambda: reaches_b(m))
    m.stop_daemon("a")
    old, m.keys["a"] = m.keys["a"], generate_private()
    m.write_config("a")
    for name in "bc":
        change(m.home(name) / "babelwg.toml", str(public_of(old)), str(public_of(m.keys["a"])))
        m.ask(name, "reload")
    m.start_daemon("a")
    m.wait("a reaches b under its new key", lambda: reaches_b(m))
    addresses = m.nodes["a"].run("ip", "-6", "-o", "address", "show", "dev", m.tunnel("a", "b"))
    assert addresses.count("fe80::") == 1, addresses
    m.stop_daemon("a")
    path = m.home("a") / "babelwg.toml"
    path.write_text(
        path.read_text().split("[[peer]]")[0] + "[[peer]]" + path.read_text().split("[[peer]]")[1]
    )
    m.start_daemon("a")
    m.wait("the tunnel to the peer that is gone is gone", lambda: interfaces(m, "a") == {m.tunnel("a", "b")})


def test_another_socket_path_finds_the_same_data_plane(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("ip")
    m = mesh("a b", "a-b", backend="embedded")
    m.wait("a reaches b", lambda: reaches_b(m))
    m.stop_daemon("a")
    elsewhere = m.home("a") / "elsewhere.sock"
    m.start_daemon("a", "--socket", str(elsewhere))
    m.wait("a reaches b again", lambda: elsewhere.exists() and reaches_b(m) and up(m, elsewhere))


def up(mesh: Mesh, socket: Path) -> bool:
    said = mesh.nodes["a"].run(*mesh.command(), "--socket", str(socket), "status", check=False)
    return " up " in said


def test_addresses_and_sources_follow_a_reload(mesh: Callable[..., Mesh], needs: Callable[..., None]) -> None:
    needs("ping")
    m = mesh("a b", "a-b")
    m.wait("a reaches b", lambda: reaches_b(m))
    change(
        m.home("a") / "babelwg.toml", '"fd00:77::1/128", "10.23.0.1/32"', '"fd00:77::11/64", "10.23.0.11/24"'
    )
    m.ask("a", "reload")
    m.wait("b learns the new addresses", lambda: m.kernel_device("b", "10.23.0.11") == m.tunnel("b", "a"))
    assert "src fd00:77::11" in m.nodes["a"].run("ip", "-6", "route", "get", B6)
    assert "src 10.23.0.11" in m.nodes["a"].run("ip", "route", "get", "10.23.0.2")
    assert "1 received" in m.nodes["a"].run("ping", "-c1", "-W2", "10.23.0.2")
    # The length that people write for an interface makes nothing else local on lo.
    assert "local" not in m.nodes["a"].run("ip", "route", "get", "10.23.0.77", check=False)
