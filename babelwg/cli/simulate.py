"""`simulate`: what would move if a link or a node failed or a cost changed, played by real speakers in virtual time."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from babelwg.cli.client import Answer
from babelwg.cli.exits import CONFIGURATION, NEGATIVE, USAGE, Failure, nearest
from babelwg.cli.group import Reader, reading
from babelwg.cli.render.layout import line_width

if TYPE_CHECKING:
    from babelwg.lab.simulator.known import KnownMesh
    from babelwg.lab.simulator.whatif import Change, Move, Outcome

MAX_NODES = 120  # a mesh of this size takes a minute or two
SLOW_NODES = 30
FILE = click.Path(path_type=Path, readable=False)


@click.command()
@click.option(
    "--fail-link", "links", multiple=True, metavar="A-B", help="A link falls silent; may be repeated."
)
@click.option("--fail-node", "nodes", multiple=True, metavar="NODE", help="A node vanishes; may be repeated.")
@click.option(
    "--cost", "costs", multiple=True, metavar="A-B=COST", help="A link costs this; may be repeated."
)
@click.option("--restore", is_flag=True, help="Undo it afterwards, and tell what that moves.")
@click.option("--from", "sources", multiple=True, metavar="NODE", help="Whose ways; this node's by default.")
@click.option("--all", "everybody", is_flag=True, help="The ways of all nodes.")
@click.option("--topology", type=FILE, metavar="FILE", help="A network as the lab describes it, in TOML.")
@click.option("--netjson", type=FILE, metavar="FILE", help="A NetworkGraph of NetJSON.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed gives the same answer.")
@click.option(
    "--hello-interval",
    type=click.FloatRange(0.05, 60),
    default=4.0,
    show_default=True,
    help="Seconds between Hellos; without traffic they tell that a link is dead.",
)
@click.option(
    "--max-nodes",
    type=click.IntRange(1),
    default=MAX_NODES,
    show_default=True,
    metavar="N",
    help="Refuse to play a larger mesh: the time grows faster than the mesh.",
)
@reading
def simulate(reader: Reader, **options: Any) -> None:
    """Tell what would move if links or nodes failed, or costs changed.

    The mesh as this node knows it, or one from a file, is played by the real protocol in virtual time: once at rest,
    then with the change. Nothing happens to the real one.
    """
    from babelwg.cli.render.simulate import render_simulation
    from babelwg.lab.simulator.whatif import WhatIf

    mesh, node, answer = _mesh(reader, options)
    changes = _changes(mesh, options)
    sources = _sources(mesh, changes, options)
    if (count := len(mesh.topology.nodes)) > SLOW_NODES:
        click.echo(f"Playing a mesh of {count} nodes, which takes a while.", err=True)
    network = WhatIf(mesh.topology, sources, options["seed"], options["hello_interval"])
    notes = [*_notes(mesh), *_differences(network.ways(), mesh, answer)]
    phases = [_phase(", ".join(map(str, changes)), network.apply(changes), mesh)]
    if options["restore"]:
        phases.append(_phase("all is as before", network.undo(), mesh))
    if any(move["gap_s"] != 0 for phase in phases for move in phase["moves"]):
        notes.append("Times are those of an idle mesh: where packets flow, a dead tunnel is found sooner.")
    data: Any = {"sources": list(sources), "seed": options["seed"], "phases": phases, "notes": notes}
    if reader.output == "tsv":
        data = [{"change": phase["change"], **_flat(move)} for phase in phases for move in phase["moves"]]
    reader.print(Answer(node, data), lambda data: render_simulation(data, line_width(reader.wide)))


def _mesh(reader: Reader, options: dict[str, Any]) -> "tuple[KnownMesh, str | None, Any]":
    """Return the mesh to play, the node that knows it, and its answer where it was asked."""
    from babelwg.lab.simulator.known import from_answer, from_description, from_netjson
    from babelwg.lab.topology import Topology, TopologyError

    description, netjson = options["topology"], options["netjson"]
    if description is not None and netjson is not None:
        raise click.UsageError("--topology and --netjson exclude each other")
    answer = None
    try:
        if description is not None:
            mesh, node = from_description(Topology.load(description)), None
        elif netjson is not None:
            mesh, node = from_netjson(netjson.read_text(), str(netjson)), None
        else:
            answer = reader.ask("topology")
            mesh, node = from_answer(answer.data), answer.node
    except (TopologyError, UnicodeDecodeError) as error:
        raise Failure(str(error), CONFIGURATION) from None
    except OSError as error:
        raise Failure(f"cannot read {error.filename}: {error.strerror}", CONFIGURATION) from None
    if (count := len(mesh.topology.nodes)) > options["max_nodes"]:
        limit = f"more than {options['max_nodes']} are not played unasked, because it takes minutes"
        raise Failure(f"this mesh has {count} nodes; {limit}: --max-nodes {count} plays it", NEGATIVE)
    return mesh, node, answer.data if answer else None


def _changes(mesh: "KnownMesh", options: dict[str, Any]) -> "list[Change]":
    from babelwg.lab.simulator.whatif import Change

    changes = [Change("fail-link", *_link(mesh, text)) for text in options["links"]]
    changes += [Change("fail-node", _node(mesh, text)) for text in options["nodes"]]
    for text in options["costs"]:
        link, equals, cost = text.rpartition("=")
        if not equals or not cost.isascii() or not cost.isdigit() or not 1 <= int(cost) <= 65534:
            raise Failure(f'--cost "{text}" is not A-B=COST, with a cost of 1-65534', USAGE)
        changes.append(Change("cost", *_link(mesh, link), int(cost)))
    if not changes:
        raise Failure("nothing is to happen: give --fail-link, --fail-node or --cost", USAGE)
    return changes


def _sources(mesh: "KnownMesh", changes: "list[Change]", options: dict[str, Any]) -> tuple[str, ...]:
    """Return whose ways are looked at; a node that fails has none."""
    failing = {change.a for change in changes if change.kind == "fail-node"}
    names = [node.name for node in mesh.topology.nodes]
    if options["everybody"] or (not options["sources"] and mesh.own is None):
        return tuple(name for name in names if name not in failing)
    chosen = [_node(mesh, text) for text in options["sources"]] or [mesh.own or names[0]]
    for name in chosen:
        if name in failing:
            raise Failure(f"{name} is to fail, so that it has no ways afterwards; see --from", USAGE)
    return tuple(dict.fromkeys(chosen))


def _node(mesh: "KnownMesh", text: str) -> str:
    names = [node.name for node in mesh.topology.nodes]
    if text not in names:
        raise Failure(f'there is no node "{text}" in this mesh{nearest(text, names)}', NEGATIVE)
    return text


def _link(mesh: "KnownMesh", text: str) -> tuple[str, str]:
    """Return the ends of a link; names may have hyphens themselves."""
    pairs = [(link.a, link.b) for link in mesh.topology.links]
    for a, b in pairs:
        if text in (f"{a}-{b}", f"{b}-{a}"):
            return a, b
    names = [f"{a}-{b}" for a, b in pairs] + [f"{b}-{a}" for a, b in pairs]
    hint = nearest(text, names)
    if {text, "-".join(reversed(text.split("-", 1)))} & set(mesh.dead):
        hint = ": it carries nothing now"
    raise Failure(f'there is no link "{text}" in this mesh{hint}', NEGATIVE)


def _notes(mesh: "KnownMesh") -> list[str]:
    notes = []
    if mesh.guesses:
        count, total = len(mesh.guesses), len(mesh.topology.links)
        verb = "link is" if total == 1 else "links are"
        notes.append(
            f"{count} of {total} {verb} inferred, which is a guess: what depends on them is one too."
        )
    if mesh.dead:
        notes.append(f"Left out, because they carry nothing now: {', '.join(mesh.dead)}.")
    return notes


def _differences(ways: Any, mesh: "KnownMesh", answer: Any) -> list[str]:
    """Return where the simulation at rest goes other ways than the node that was asked."""
    if answer is None or mesh.own is None:
        return []
    names = {node["id"]: node["name"] or node["id"] for node in answer["nodes"]}
    real = {names[node["id"]]: names.get(node["via"]) for node in answer["nodes"] if node["via"]}
    played = {mesh.titles.get(p): way.via for (source, p), way in ways.items() if source == mesh.own}
    other = sorted(name for name, via in real.items() if name in played and played[name] != via)
    if not other:
        return []
    return [f"Before the change this node goes another way than the simulation to: {', '.join(other)}."]


def _phase(what: str, outcome: "Outcome", mesh: "KnownMesh") -> dict[str, Any]:
    return {
        "change": what,
        "moves": [_move(move, mesh) for move in outcome.moves],
        "destinations": outcome.ways,
        "duration_s": round(outcome.seconds, 3),
        "seqno_requests": outcome.seqno_requests,
        "datagrams": outcome.datagrams,
        "calm": outcome.calm,
    }


def _move(move: "Move", mesh: "KnownMesh") -> dict[str, Any]:
    return {
        "source": move.source,
        "destination": mesh.titles.get(move.prefix, str(move.prefix)),
        "prefix": str(move.prefix),
        "before": move.before._asdict() if move.before else None,
        "after": move.after._asdict() if move.after else None,
        "gap_s": None if move.gap is None else round(move.gap, 3),
    }


def _flat(move: dict[str, Any]) -> dict[str, Any]:
    """Return a move as one row of single values."""
    row = {key: value for key, value in move.items() if key not in ("before", "after")}
    for when in ("before", "after"):
        way = move[when] or {"via": None, "metric": None}
        row |= {f"{when}_via": way["via"], f"{when}_metric": way["metric"]}
    return row
