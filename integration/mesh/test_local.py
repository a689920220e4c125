"""babeld's local protocol in a living mesh: a strict reader follows us as it follows stock babeld."""

import json
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest

from babelwg.lab.netns.mesh import Mesh
from integration.reader import Picture, Reader
from integration.stock import PROGRAMS, BabeldNode

SOCKET = "/run/babelwg-local.sock"
NETWORKS = [f"2001:db8:{number:x}::/48" for number in range(1, 101)]
ROUNDS = 5
OTHERS = ("fd00:77::2/128", "10.23.0.2/32", "fd00:77::3/128", "10.23.0.3/32")


@pytest.fixture
def readers() -> Iterator[Callable[[Path], Reader]]:
    """Connect readers that are closed after the test."""
    with ExitStack() as stack:
        yield lambda path: stack.enter_context(closing(Reader.at(path)))


def path_to(mesh: Mesh, name: str) -> Path:
    """Return a way from here to the socket in a node's own /run."""
    return Path(f"/proc/{mesh.nodes[name].pid}/root{SOCKET}")


def announce(mesh: Mesh, name: str, networks: list[str]) -> None:
    """Have a node announce these networks and no others."""
    path = mesh.home(name) / "babelwg.toml"
    path.write_text(re.sub(r"announce = \[.*\]", f"announce = {json.dumps(networks)}", path.read_text()))
    mesh.ask(name, "reload")


def in_use(picture: Picture) -> dict[str, str]:
    """Return the interface that packets for each prefix take, but for those that are held unreachable."""
    found = {}
    for text in picture.of("route"):
        words = text.split()
        if " installed yes " in text and " metric 65535 " not in text:
            found[words[words.index("prefix") + 1]] = words[-1]
    return found


def settled(picture: Picture) -> set[str]:
    """Return what a picture says but for the Hellos of neighbours, which go on."""
    return {re.sub(r" reach .*", "", text) for text in picture.entries.values()}


@pytest.mark.parametrize("kind", ["babelwg", pytest.param("babeld", marks=pytest.mark.slow)])
@pytest.mark.conformance("LP-8", "LP-9", "LP-10", "LP-12", "LP-17")
def test_a_strict_reader_follows_a_node_through_churn(
    kind: str, mesh: Callable[..., Mesh], needs: Callable[..., None], readers: Callable[[Path], Reader]
) -> None:
    needs("ping", *(PROGRAMS if kind == "babeld" else ()))
    settings = {"babel": f'local-path = "{SOCKET}"\n'}
    without = frozenset("a") if kind == "babeld" else frozenset("")
    m = mesh("a b c", "a-b b-c a-c", start=False, settings=settings, without_daemon=without)
    babeld = BabeldNode(m, "a", options="hello-interval 0.5") if kind == "babeld" else None
    m.start()
    if babeld is not None:
        babeld.start()
    path = babeld.socket if babeld is not None else path_to(m, "a")
    m.wait("a serves its socket", path.exists)
    reader = readers(path)
    reader.monitor()
    direct, roundabout = m.tunnel("a", "c"), m.tunnel("a", "b")
    reader.follow(lambda: in_use(reader.picture).keys() >= set(OTHERS))
    for _ in range(ROUNDS):
        announce(m, "c", NETWORKS)
        reader.follow(lambda: in_use(reader.picture).keys() >= set(NETWORKS))
        announce(m, "c", [])
        reader.follow(lambda: in_use(reader.picture).keys().isdisjoint(NETWORKS))
    announce(m, "c", NETWORKS)
    # babeld takes half a minute to leave a path for a better one.
    reader.follow(lambda: in_use(reader.picture).get(NETWORKS[-1]) == direct)
    m.cut("a", "c")
    reader.follow(lambda: set(in_use(reader.picture).values()) == {roundabout})
    m.restore("a", "c")
    reader.follow(lambda: in_use(reader.picture).get(NETWORKS[-1]) == direct)
    m.stop_daemon("b", signal.SIGKILL)
    reader.follow(lambda: set(in_use(reader.picture).values()) == {direct})
    m.start_daemon("b")
    reader.follow(lambda: roundabout in in_use(reader.picture).values())
    assert reader.picture.lines >= 1000
    other = readers(path)
    reader.follow(lambda: settled(reader.picture) == settled(other.dump()))
    if babeld is not None:
        babeld.stop()


@pytest.mark.conformance("LP-14", "LP-19")
def test_a_node_is_changed_over_its_socket_and_moves_it_with_a_reload(
    mesh: Callable[..., Mesh], needs: Callable[..., None], readers: Callable[[Path], Reader]
) -> None:
    needs("ping")
    m = mesh("a b", "a-b", settings={"babel": f'local-path = "{SOCKET}"\nlocal-readwrite = true\n'})
    m.wait("a reaches b", lambda: m.kernel_device("a", "10.23.0.2") == m.tunnel("a", "b"))
    reader = readers(path_to(m, "a"))
    reader.monitor()
    m.nodes["a"].ip("link add e0 type veth peer name e1", "link set e0 up", "link set e1 up")
    assert reader.ask("interface e0 type wired hello-interval 0.5") == "ok"
    reader.follow(
        lambda: any(text.startswith("interface e0 up true") for text in reader.picture.of("interface"))
    )
    assert "e0" in {i["name"] for i in m.ask("a", "interfaces")}
    assert reader.ask(f"flush interface {m.tunnel('a', 'b')}") == "no Couldn't flush interface"
    assert reader.ask("flush interface e0") == "ok"
    assert not any(" e0 " in text for text in reader.picture.of("interface"))
    assert m.kernel_device("a", "10.23.0.2") == m.tunnel("a", "b")
    config = m.home("a") / "babelwg.toml"
    config.write_text(config.read_text().replace(SOCKET, f"{SOCKET}.new"))
    m.ask("a", "reload")
    assert not path_to(m, "a").exists()
    moved = readers(path_to(m, "a").with_name(f"{Path(SOCKET).name}.new"))
    assert moved.ask("dump") == "ok"
    counters = m.ask("a", "stats")["counters"]
    assert counters["local.client_served"] == 2
    assert m.ask("a", "status")["problems"] == []


def test_a_script_with_nc_gets_its_dump(mesh: Callable[..., Mesh], needs: Callable[..., None]) -> None:
    needs("nc", "ping")
    m = mesh("a b", "a-b", settings={"babel": "local-port = 33123\n"})
    m.wait("a reaches b", lambda: m.kernel_device("a", "10.23.0.2") == m.tunnel("a", "b"))
    said = m.nodes["a"].run("sh", "-c", "echo dump | nc -q 1 ::1 33123", check=False).splitlines()
    assert said[0] == "BABEL 1.0"
    assert said[-1] == "ok"
    picture = Picture()
    for line in said[5:-1]:
        picture.take(line)
    assert "10.23.0.2/32" in in_use(picture)
