"""Completion in three shells: commands and options by click, and the names that a running daemon knows."""

import os
import re
from typing import ClassVar

import click
from click.shell_completion import (
    BashComplete,
    CompletionItem,
    FishComplete,
    ShellComplete,
    ZshComplete,
    add_completion_class,
)
from click.types import StringParamType

from babelwg.cli.client import ask
from babelwg.cli.exits import Failure
from babelwg.cli.group import DEFAULT_SOCKET

TIMEOUT = 0.15  # seconds for the daemon's answer; who types does not wait
WORD = re.compile("[A-Z]+")
# What may stand for the words that name arguments; nothing for all others.
KINDS: dict[str, tuple[str, ...]] = {
    "ABOUT": ("names", "prefixes"),
    "ADDR": ("addresses",),
    "ADDRESS": ("addresses",),
    "DESTINATION": ("names", "addresses"),
    "FILTER": ("peers", "interfaces", "prefixes"),
    "INTERFACE": ("interfaces",),
    "NAME": ("names",),
    "NODE": ("names",),
    "OLD": ("peers",),
    "PEER": ("peers",),
    "PREFIX": ("prefixes",),
    "SOURCE": ("addresses",),
    "TARGET": ("names", "addresses"),
}
# Where a word means something else than elsewhere, by command.
HERE: dict[str, dict[str, tuple[str, ...]]] = {
    "peer add": {"NAME": ()},
    "peer remove": {"NAME": ("peers",)},
    "peer set": {"NAME": ("peers",)},
}
# As click's own, but the words are split at spaces only: an IPv6 prefix is one word to us and several to bash.
BASH = """\
%(complete_func)s() {
    local IFS=$' \\t\\n' line=${COMP_LINE:0:COMP_POINT} words last before type value completion response
    read -r -a words <<< "$line"
    [[ $line == *[[:space:]] ]] && words+=("")
    last=${words[${#words[@]}-1]}
    # Bash replaces what follows the last colon, so what goes before it must not be said again.
    before=""
    [[ $last == *:* && $COMP_WORDBREAKS == *:* ]] && before=${last%%:*}:
    IFS=$'\\n'
    response=$(env COMP_WORDS="${words[*]}" COMP_CWORD=$((${#words[@]}-1)) %(complete_var)s=bash_complete "$1")
    COMPREPLY=()
    for completion in $response; do
        IFS=',' read -r type value <<< "$completion"
        case $type in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain) COMPREPLY+=("${value#"$before"}") ;;
        esac
    done
}
complete -o nosort -F %(complete_func)s %(prog_name)s
"""


# Click asks whether its file is being loaded, which holds for the first tabulator only: the next one did nothing.
ZSH_REGISTERED = ZshComplete.source_template.replace(
    "$zsh_eval_context[-1] == loadautofunc", "$funcstack[1] == _%(prog_name)s"
)


class Known(StringParamType):
    """Text that a running daemon may know."""

    name = "text"

    def __init__(self, kinds: tuple[str, ...]) -> None:
        self._kinds = kinds

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> "list[CompletionItem[str]]":
        """Return what the daemon knows that begins so; nothing when none answers."""
        del param
        try:
            answer = ask(_socket(ctx), "words", {"kinds": self._kinds, "begin": incomplete}, TIMEOUT)
        except Failure:
            return []
        words = answer.data if isinstance(answer.data, list) else []
        return [CompletionItem(str(word)) for word in words]


class _Knowing(ShellComplete):
    """Gives the arguments of the command that is typed the words that a daemon knows."""

    def get_completions(self, args: list[str], incomplete: str) -> "list[CompletionItem[str]]":
        """Return what may stand where something is incomplete."""
        command, path = self.cli, list[str]()
        for word in args:
            if isinstance(command, click.Group):
                below = command.get_command(click.Context(command), word)
                if below is not None:
                    command, path = below, [*path, word]
        for parameter in command.params:
            if isinstance(parameter, click.Argument) and isinstance(parameter.type, StringParamType):
                parameter.type = Known(kinds_of(parameter, " ".join(path)))
        return super().get_completions(args, incomplete)


class _Bash(_Knowing, BashComplete):
    source_template: ClassVar[str] = BASH


class _Zsh(_Knowing, ZshComplete):
    source_template: ClassVar[str] = ZSH_REGISTERED


class _Fish(_Knowing, FishComplete):
    pass


def register() -> None:
    """Have click complete in this way."""
    for kind in (_Bash, _Zsh, _Fish):
        add_completion_class(kind)


def kinds_of(argument: click.Argument, command: str) -> tuple[str, ...]:
    """Return the kinds of words that an argument may be."""
    named = WORD.findall(argument.metavar or (argument.name or "").upper())
    here = HERE.get(command, {})
    return tuple(dict.fromkeys(kind for word in named for kind in here.get(word, KINDS.get(word, ()))))


def _socket(ctx: click.Context) -> str:
    at: click.Context | None = ctx
    while at is not None:
        if at.params.get("socket") is not None:
            return str(at.params["socket"])
        at = at.parent
    return os.environ.get("BABELWG_SOCKET") or DEFAULT_SOCKET
