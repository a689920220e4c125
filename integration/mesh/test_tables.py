"""What `status` and the tables tell of a live mesh, and what `show kernel` finds in a real kernel."""

import json
from collections.abc import Callable
from typing import Any

from babelwg.lab.netns.mesh import Mesh

STRAY = "10.99.0.0/24"


def run(mesh: Mesh, *words: str) -> tuple[int, str]:
    """Return the exit code and the output of a command at node a."""
    home = mesh.home("a")
    process = mesh.nodes["a"].popen(
        *mesh.command(), "--socket", str(home / "control.sock"), *words, stdout=-1, stderr=-1, text=True
    )
    with process:
        out, complaint = process.communicate(timeout=120)
    assert "Traceback" not in complaint, complaint
    return process.returncode, out


def data(mesh: Mesh, *words: str) -> Any:
    """Return the data of a command's JSON at node a."""
    return json.loads(run(mesh, *words, "--json")[1])["data"]


def test_far_nodes_have_names_and_the_kernel_is_compared(mesh: Callable[..., Mesh]) -> None:
    m = mesh("a b c", "a-b b-c")
    m.wait("every node has a route to every other", m.converged)
    (peer,) = data(m, "status")["peers"]
    assert (peer["state"], peer["path"]) == ("up", "direct")
    text = run(m, "status")[1]
    assert "1 of 1 up" in text
    assert f"direct {peer['endpoint']}" in text
    assert max(map(len, text.splitlines())) <= 80

    assert {row["origin"] for row in data(m, "show", "routes", "10.23.0.3")} == {None}
    (m.home("a") / "hosts").write_text("# far nodes\nfd00:77::3 charlie\nnonsense\n10.23.0.2 house cottage\n")
    (route,) = data(m, "show", "routes", "10.23.0.3")
    assert (route["origin"], route["peer"], route["state"], route["table"]) == (
        "charlie",
        "b",
        "selected",
        6696,
    )
    (problem,) = data(m, "status")["problems"]
    assert problem["reason"].startswith('line 3: "nonsense" is neither')
    assert {row["prefix"] for row in data(m, "show", "routes", "charlie")} == {
        "10.23.0.3/32",
        "fd00:77::3/128",
    }

    # The first names the peer whose address it is, the second stands for the first.
    for name in ("house", "cottage"):
        assert [row["name"] for row in data(m, "show", "peers", name)] == ["b"]
        assert [row["peer"] for row in data(m, "show", "neighbours", name)] == ["b"]
        assert [row["peer"] for row in data(m, "show", "interfaces", name)] == ["b"]
        assert {row["peer"] for row in data(m, "show", "kernel", name)["routes"]} == {"b"}
        assert {row["peer"] for row in data(m, "show", "routes", name)} == {"b"}

    # Nothing may be under way when the two are compared.
    m.wait("the kernel has what is wanted", lambda: run(m, "show", "kernel")[0] == 0)
    # Two nodes with two addresses each, and the throw route for the link that carries the tunnel.
    assert "the kernel has all 5 routes and 5 rules that are wanted" in run(m, "show", "kernel")[1]

    def is_told() -> bool:
        # Again each time: the daemon may have removed it before the command began.
        m.nodes["a"].ip(f"route replace unreachable {STRAY} table 6696 proto 42")
        code, text = run(m, "show", "kernel")
        return (code, STRAY in text, "not wanted" in text) == (1, True, True)

    m.wait("the stray route is told", is_told)
    m.wait("the stray route is removed", lambda: run(m, "show", "kernel")[0] == 0)


def test_filters_tell_what_they_decided(mesh: Callable[..., Mesh]) -> None:
    m = mesh("a b", "a-b", settings={"babel": 'in = ["ip 10.23.0.2/32 metric 5", "ip 10.99.0.0/16 deny"]\n'})
    m.wait("every node has a route to every other", m.converged)
    rows = {(row["kind"], row["filter"]): row["matches"] for row in data(m, "show", "filters")}
    assert rows["in", "ip 10.23.0.2/32 metric 5"] >= 1
    assert rows["in", "ip 10.99.0.0/16 deny"] == 0
    assert rows["in", "no match: allow"] >= 1
    assert rows["redistribute", "no match: deny"] is None or rows["redistribute", "no match: deny"] >= 0
