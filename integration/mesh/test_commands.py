"""Every command against a live mesh: as text, compared with golden files, and as JSON, against the schema.

Golden files of 80 columns stand beside the tests of the command line; these are of what a living node says.

GOLDEN=write writes the golden files anew; read the difference before you keep it.
"""

import json
import os
import select
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from babelwg.cli.schema import compose
from babelwg.lab.netns.mesh import Mesh
from integration.golden import normalise
from tests.cli.invocations import INVOCATIONS

GOLDEN = Path(__file__).with_name("golden")
READING = [name for name, how in INVOCATIONS.items() if how.asks and not how.changes and not how.streams]
STREAMING = [name for name, how in INVOCATIONS.items() if how.streams]
# What they print depends on how long the mesh has run and on what it met.
UNSTEADY = {"show stats", "history", "metrics", "show sources", "doctor"}

FOR_MACHINES = {"metrics"}

Say = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Mesh]:
    """A calm triangle of a, b and c."""
    from integration.mesh.conftest import topology

    settings = {"babel": "hello-interval = 0.5\n"}
    with Mesh(topology("a b c", "a-b b-c a-c"), tmp_path_factory.mktemp("live"), settings=settings) as mesh:
        for name, costs in COSTS.items():
            mesh.write_config(name, {peer: f"cost = {cost}\n" for peer, cost in costs.items()})
        mesh.start()
        mesh.wait("every node has a route to every other", mesh.converged)
        mesh.wait("every way is the direct one", lambda: is_calm(mesh))
        yield mesh


# What the delay of a busy machine adds to a link changes nothing of which way is best, and which is not feasible.
COSTS = {"a": {"b": 1000, "c": 1000}, "b": {"a": 1000, "c": 1200}, "c": {"a": 1000, "b": 1200}}


def is_calm(mesh: Mesh) -> bool:
    """Return whether a knows two ways to each other node's addresses, and may use the direct one only."""
    paths = [peer["path"] for peer in mesh.ask("a", "status")["peers"]]
    states = sorted(route["state"] for route in mesh.ask("a", "routes"))
    return all("direct" in str(path) for path in paths) and states == 4 * ["selected"] + 4 * ["unfeasible"]


@pytest.fixture
def say(live: Mesh) -> Say:
    """Run a command in the node a, as a user would: without colours, 80 columns wide."""

    def run(*words: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        argv = [*live.nodes["a"].entry(), *live.command(), "--socket", str(live.home("a") / "control.sock")]
        return subprocess.run(
            [*argv, *words], capture_output=True, text=True, check=False, timeout=120, input=stdin or ""
        )

    return run


@pytest.mark.parametrize("name", READING)
def test_a_reading_command_speaks_text(name: str, say: Say) -> None:
    result = say(*name.split(), *INVOCATIONS[name].arguments)
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.strip()
    if name not in FOR_MACHINES:
        assert [line for line in result.stdout.splitlines() if len(line) > 80] == []
    assert "\x1b" not in result.stdout
    if name not in UNSTEADY:
        # Which columns fit depends on the lengths of numbers; wide, all are there.
        compare(name, normalise(say(*name.split(), *INVOCATIONS[name].arguments, "--wide").stdout))


def compare(name: str, said: str) -> None:
    """Compare what a command said with its golden file, or write that."""
    path = GOLDEN / f"{name.replace(' ', '-')}.txt"
    if os.environ.get("GOLDEN") == "write":
        path.parent.mkdir(exist_ok=True)
        path.write_text(said)
    assert said == path.read_text()


@pytest.mark.parametrize("name", [n for n in READING if INVOCATIONS[n].answer])
def test_a_reading_command_speaks_json_that_follows_its_schema(name: str, say: Say) -> None:
    result = say(*name.split(), *INVOCATIONS[name].arguments, "--json")
    assert (result.returncode, result.stderr) == (0, "")
    document = json.loads(result.stdout)
    Draft202012Validator(compose(INVOCATIONS[name].answer)).validate(document)
    assert document["node"] == "a"


@pytest.mark.parametrize("name", [n for n in READING if INVOCATIONS[n].answer])
def test_a_reading_command_speaks_tsv(name: str, say: Say) -> None:
    result = say(*name.split(), *INVOCATIONS[name].arguments, "-o", "tsv")
    assert (result.returncode, result.stderr) == (0, "")
    assert len({line.count("\t") for line in result.stdout.splitlines()}) <= 1


@pytest.mark.parametrize("name", [n for n, how in INVOCATIONS.items() if not how.asks and not how.changes])
def test_a_command_without_a_daemon_speaks(name: str, say: Say, live: Mesh) -> None:
    how = INVOCATIONS[name]
    words = [*name.split(), *how.arguments]
    if name in ("check-config", "config show", "config path", "peer list"):
        words += ["-c", str(live.home("a") / "babelwg.toml")]
    result = say(*words, stdin=f"{live.keys['a']}\n")
    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.strip()
    if how.answer:
        Draft202012Validator(compose(how.answer)).validate(json.loads(say(*words, "--json").stdout))


@pytest.mark.parametrize("name", STREAMING)
def test_a_streaming_command_goes_on_until_it_is_interrupted(name: str, live: Mesh) -> None:
    argv = [*live.command(), "--socket", str(live.home("a") / "control.sock"), *name.split()]
    process = live.nodes["a"].popen(
        *argv, *INVOCATIONS[name].arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout is not None
        try:
            # What happens before the command listens it does not tell.
            live.wait(
                "it says something", lambda: provoke(live) or select.select([process.stdout], [], [], 0.2)[0]
            )
            assert process.stdout.readline().strip()
            process.send_signal(signal.SIGINT)
            _, complaints = process.communicate(timeout=60)
        finally:
            process.kill()
    assert "Traceback" not in complaints
    # A ping that is interrupted before its first answer has had none.
    assert process.returncode in ((0, 1, 130) if name == "ping" else (0, 130))


def provoke(mesh: Mesh) -> None:
    """Have something happen at a: b announces one address less, and again."""
    path = mesh.home("b") / "babelwg.toml"
    text = path.read_text()
    path.write_text(text.replace('"fd00:77::2/128", ', ""))
    mesh.ask("b", "reload")
    mesh.wait("a sees it go", lambda: mesh.kernel_device("a", "fd00:77::2") is None)
    path.write_text(text)
    mesh.ask("b", "reload")
    mesh.wait("a sees it return", lambda: mesh.kernel_device("a", "fd00:77::2") is not None)
