"""One way to call every command, for tests that go through all of them."""

from typing import NamedTuple

import click

from babelwg.cli.commands import cli

KEY = "IiIi" * 10 + "IiI="


class Invocation(NamedTuple):
    """How a command is called in a mesh of the nodes a, b and c, seen from a.

    `answer` names its schema where it takes --json; `asks` says whether it needs a daemon; `changes` whether it alters
    the node or its files; `streams` whether it goes on until it is interrupted.
    """

    arguments: tuple[str, ...] = ()
    answer: str | None = None
    asks: bool = True
    changes: bool = False
    streams: bool = False


def offline(*arguments: str, answer: str | None = None, changes: bool = False) -> Invocation:
    """Return how a command is called that needs no daemon."""
    return Invocation(arguments, answer, asks=False, changes=changes)


def reading(answer: str, *arguments: str) -> Invocation:
    """Return how a command is called that asks the daemon and takes --json."""
    return Invocation(arguments, answer)


INVOCATIONS: dict[str, Invocation] = {
    "status": reading("status"),
    "show peers": reading("peers"),
    "show neighbours": reading("neighbours"),
    "show routes": reading("routes"),
    "show xroutes": reading("xroutes"),
    "show sources": reading("sources"),
    "show interfaces": reading("interfaces"),
    "show gateways": reading("gateways"),
    "show kernel": reading("kernel"),
    "show filters": reading("filters"),
    "show stats": reading("stats"),
    "route get": reading("route_get", "fd00:77::2"),
    "route explain": reading("route_explain", "fd00:77::2"),
    "trace": reading("trace", "b"),
    "ping": Invocation(("b",), "ping", streams=True),
    "topology": reading("topology"),
    "simulate": reading("simulate", "--fail-link", "a-b"),
    "web": Invocation(answer="web", changes=True),
    "history": reading("history", "b"),
    "monitor": Invocation(("b",), "monitor", streams=True),
    "metrics": reading("metrics"),
    "doctor": offline(answer="doctor"),
    "bugreport": offline("--list", answer="bugreport"),
    "init": offline(changes=True),
    "check-config": offline(answer="check_config"),
    "config show": offline(answer="config_show"),
    "config path": offline(answer="config_path"),
    "peer add": offline("delta", "--public-key", KEY, answer="peer_change", changes=True),
    "peer list": offline(answer="peer_list"),
    "peer remove": offline("delta", answer="peer_change", changes=True),
    "peer rename": offline("b", "bravo", answer="peer_change", changes=True),
    "peer set": offline("b", "cost=10", answer="peer_change", changes=True),
    "import": offline("wg0.conf", answer="import", changes=True),
    "export": offline("phone", "--wg-quick", "--endpoint", "h:1", answer="export", changes=True),
    "genkey": offline(),
    "pubkey": offline(),
    "genpsk": offline(),
    "genmackey": offline(),
    "daemon": offline(changes=True),
    "reload": Invocation((), "reload", changes=True),
    "up": Invocation(("b",), "peer_switch", changes=True),
    "down": Invocation(("b",), "peer_switch", changes=True),
    "restart": Invocation(("b",), "peer_switch", changes=True),
    "stop": Invocation((), changes=True),
    "demo": offline(changes=True),
    "version": offline(answer="version"),
    "schema": offline(),
    "completion": offline("bash"),
    "man": offline(changes=True),
}


def leaves(group: click.Group = cli, path: str = "") -> list[str]:
    """Return the full names of all commands that do something."""
    context, found = click.Context(group), []
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, f"{path}{name} is listed"
        is_group = isinstance(command, click.Group)
        found += leaves(command, f"{path}{name} ") if is_group else [f"{path}{name}"]  # type: ignore[arg-type]
    return found
