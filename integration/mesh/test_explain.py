"""`route explain`, `trace` and `ping` in a live mesh, also after somebody has meddled with the kernel."""

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from babelwg.cli.schema import definitions
from babelwg.lab.netns.mesh import Mesh

TABLE = "6696"


def add(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def explain(mesh: Mesh, name: str, prefix: str) -> dict[str, Any]:
    data: dict[str, Any] = mesh.ask(name, "route_explain", prefix=prefix)
    Draft202012Validator({"$ref": "#/$defs/route_explain", "$defs": definitions()}).validate(data)
    return data


def say(mesh: Mesh, name: str, *words: str) -> subprocess.CompletedProcess[str]:
    argv = [
        *mesh.nodes[name].entry(), *mesh.command(), "--socket", str(mesh.home(name) / "control.sock"), *words,
    ]  # fmt: skip
    return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)


def test_explain_tells_of_filters_sessions_and_of_what_somebody_did_to_the_kernel(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    #   a --- b --- c     d is a peer of a, and does not run
    needs("ping")
    m = mesh("a b c d", "a-b b-c a-d", start=False, without_daemon=frozenset("d"))
    add(
        m.home("a") / "babelwg.toml",
        "[babel]\n",
        '[babel]\nin = ["ip fd00:77::3/128 metric 50", "ip 10.61.0.0/16 deny"]\n',
    )
    add(
        m.home("c") / "babelwg.toml",
        "announce = []",
        'announce = ["10.50.0.0/16", "10.60.0.0/16", "10.61.0.0/16"]',
    )
    add(m.home("b") / "babelwg.toml", "[babel]\n", '[babel]\nout = ["ip 10.60.0.0/16 deny"]\n')
    (m.home("a") / "hosts").write_text("fd00:77::3 c\n")
    m.start()
    for address in ("fd00:77::3", "10.23.0.3", "10.50.0.1"):
        m.wait(f"a has {address}", lambda a=address: m.kernel_device("a", a) == m.tunnel("a", "b"))  # type: ignore[misc]

    data = explain(m, "a", "10.23.0.3")
    metric = data["route"]["metric"]  # delays of a busy machine are in it
    assert data["answer"] == f"10.23.0.3/32 goes via b, metric {metric}, because it is the only route"
    assert sum(data["candidates"][0]["parts"].values()) == metric >= 192
    assert (data["agrees"], data["kernel"]["prefix"], data["kernel"]["table"]) == (True, "10.23.0.3/32", 6696)
    assert explain(m, "a", "c")["prefix"] in ("fd00:77::3/128", "10.23.0.3/32")

    data = explain(m, "a", "fd00:77::3/128")
    (candidate,) = data["candidates"]
    assert candidate["metric"] == sum(candidate["parts"].values()) >= 242
    assert candidate["parts"]["filter"] == 50
    (line,) = candidate["filters"]
    assert line["line"] == "in ip fd00:77::3/128 metric 50"
    assert line["place"].startswith(str(m.home("a") / "babelwg.toml:"))

    m.wait("a heard of it", lambda: explain(m, "a", "10.61.0.0/16")["candidates"])
    data = explain(m, "a", "10.61.0.0/16")
    assert (data["outcome"], data["has_route"]) == ("filtered", False)
    assert "filtered by `in ip 10.61.0.0/16 deny` (" in data["answer"]

    data = explain(m, "b", "10.60.0.0/16")
    told = {t["peer"]: (t["metric"], [line["line"] for line in t["filters"]]) for t in data["told"]}
    assert told["a"] == (None, ["out ip 10.60.0.0/16 deny"])
    data = explain(m, "a", "10.60.0.0/16")
    assert (data["outcome"], data["has_route"]) == ("unknown", False)
    assert data["answer"].endswith("no neighbour announces it; no Babel session with d")

    # Longer destinations of the operator's take packets away.
    m.nodes["a"].ip(
        "link add lan type veth peer name other", "link set lan up", "route add 10.50.7.0/24 dev lan"
    )
    m.wait("a sees it", lambda: [t["by"] for t in explain(m, "a", "10.50.0.0/16")["takers"]] == ["main"])
    assert explain(m, "a", "10.50.0.0/16")["agrees"] is True

    # Somebody sets a route before ours, and somebody else forbids what it is for.
    device = m.tunnel("a", "d")
    m.nodes["a"].ip(f"route add 10.50.0.0/16 dev {device} table {TABLE} proto 42 metric 5")
    data = explain(m, "a", "10.50.0.0/16")
    assert data["agrees"] is False
    assert f"but the kernel goes on {device} table 6696" in data["answer"]
    result = say(m, "a", "route", "explain", "10.50.0.0/16")
    assert result.stdout.startswith("10.50.0.0/16 should go via b, metric ")
    assert f"the kernel goes on {device}" in " ".join(result.stdout.split())
    assert "agrees" not in say(m, "a", "route", "get", "10.50.0.1").stdout.replace("(Babel", "")
    m.nodes["a"].run("ip", "rule", "add", "to", "10.23.0.3", "prohibit", "pref", "100")
    data = explain(m, "a", "10.23.0.3")
    assert (data["agrees"], data["has_route"]) == (False, False)
    assert say(m, "a", "route", "explain", "10.23.0.3").returncode == 1


def test_a_lost_prefix_is_explained_while_it_is_held(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("ping")
    m = mesh("a b c", "a-b b-c")
    m.wait("every node has a route to every other", m.converged)
    m.cut("b", "c")
    m.wait("a has lost c", lambda: explain(m, "a", "10.23.0.3/32")["route"] is None)
    data = explain(m, "a", "10.23.0.3/32")
    assert data["outcome"] in ("retracted", "expired", "unknown")
    assert data["has_route"] is False
    assert explain(m, "b", "10.23.0.3/32")["answer"].startswith("10.23.0.3/32 has no route: ")


def test_trace_and_ping_follow_the_mesh_by_name(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("ping")
    m = mesh("a b c", "a-b b-c", start=False)
    (m.home("a") / "hosts").write_text("fd00:77::3 c\n10.23.0.3 c\n")
    m.start()
    m.wait("every node has a route to every other", m.converged)
    m.wait("packets pass", lambda: m.ask("a", "trace", target="10.23.0.3")["end"] == "reached")
    for target, address in (("c", "fd00:77::3"), ("10.23.0.3", "10.23.0.3")):
        data = m.ask("a", "trace", target=target)
        Draft202012Validator({"$ref": "#/$defs/trace", "$defs": definitions()}).validate(data)
        assert (data["address"], data["name"], data["end"]) == (address, "c", "reached")
        assert [hop["name"] for hop in data["hops"]] == ["b", "c"]
        first, second = data["hops"]
        assert 96 <= first["metric"] < second["metric"]
        assert (first["onward"] >= 96, second["onward"]) == (True, None)
    result = say(m, "a", "ping", "b", "-c", "2", "-i", "0.25")
    assert (result.returncode, result.stderr) == (0, "")
    assert "b: 2 sent, 2 answered, 0% lost" in result.stdout
    lines = [
        json.loads(line)["data"] for line in say(m, "a", "ping", "c", "-c", "1", "--json").stdout.splitlines()
    ]
    assert [line.get("seq") for line in lines] == [1, None]
    m.cut("b", "c")
    assert say(m, "a", "ping", "c", "-c", "1").returncode == 1
    unknown = say(m, "a", "ping", "bb")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert 'did you mean "b"?' in unknown.stderr
