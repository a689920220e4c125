"""What of nftables drops UDP to a port, or what is to be forwarded, found in what `nft -j list ruleset` prints."""

import asyncio
import json
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Collection, Iterator, Mapping
from fnmatch import fnmatchcase
from typing import Any, NamedTuple

# Implementation constants
TIMEOUT = 3.0  # seconds for a large ruleset
REFUSING = ("drop", "reject")


class DropRule(NamedTuple):
    """A rule that drops or rejects UDP to certain ports; `interfaces` are those it is for, empty for all."""

    family: str
    table: str
    chain: str
    handle: int
    hook: str
    interfaces: frozenset[str]

    def __str__(self) -> str:
        return f"{self.family} {self.table} {self.chain} handle {self.handle}"

    @property
    def removal(self) -> str:
        """The command that removes it."""
        return f"nft delete rule {self}"


class Chain(NamedTuple):
    """Where a chain is."""

    family: str
    table: str
    name: str

    def __str__(self) -> str:
        return " ".join(self)


async def read_ruleset() -> list[Mapping[str, Any]]:
    """Return the objects of the ruleset; none where there is no nft, or it may not be read."""
    try:
        process = await asyncio.create_subprocess_exec(
            "nft", "-j", "list", "ruleset", stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL
        )
    except OSError:
        return []
    try:
        async with asyncio.timeout(TIMEOUT):
            out, _ = await process.communicate()
        objects = json.loads(out).get("nftables", [])
    except (TimeoutError, ValueError):
        return []
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    return [entry for entry in objects if isinstance(entry, dict)]


def udp_drops(ruleset: list[Mapping[str, Any]], port: int) -> list[DropRule]:
    """Return the rules that drop or reject UDP to a port, in the order of the ruleset."""
    hooks = {}
    for entry in ruleset:
        if chain := entry.get("chain"):
            hooks[chain.get("family"), chain.get("table"), chain.get("name")] = chain.get("hook", "")
    found = []
    for entry in ruleset:
        rule = entry.get("rule")
        if rule is None or not _drops(rule, port):
            continue
        place = (rule.get("family", ""), rule.get("table", ""), rule.get("chain", ""))
        interfaces = frozenset(_interfaces(rule))
        found.append(DropRule(*place, rule.get("handle", 0), hooks.get(place) or "", interfaces))
    return found


def closed_forwards(ruleset: list[Mapping[str, Any]], interfaces: Collection[str]) -> list[Chain]:
    """Return the chains that forward nothing new of some interfaces: they refuse, and no rule accepts before.

    A rule that accepts only some packets counts as one that accepts, so what is returned is sure.
    """
    rules: dict[Chain, list[Mapping[str, Any]]] = {}
    for entry in ruleset:
        if rule := entry.get("rule"):
            rules.setdefault(_place(rule, "chain"), []).append(rule)
    closed = []
    for entry in ruleset:
        chain = entry.get("chain")
        if chain is None or chain.get("hook") != "forward":
            continue
        place = _place(chain, "name")
        refuses = chain.get("policy") == "drop" or any(map(_refuses_all, rules.get(place, [])))
        met = (rule for other in _reached(place, rules) for rule in rules.get(other, []))
        if refuses and not any(_lets_through(rule, interfaces) for rule in met):
            closed.append(place)
    return closed


def _place(entry: Mapping[str, Any], name: str) -> Chain:
    return Chain(entry.get("family", ""), entry.get("table", ""), entry.get(name, ""))


def _statements(rule: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [entry for entry in rule.get("expr", []) if isinstance(entry, dict)]


def _reached(start: Chain, rules: Mapping[Chain, list[Mapping[str, Any]]]) -> set[Chain]:
    """Return a chain and those that its rules jump to."""
    reached, rest = {start}, [start]
    while rest:
        for rule in rules.get(rest.pop(), []):
            for expression in _statements(rule):
                verdict = expression.get("jump") or expression.get("goto")
                other = start._replace(name=verdict["target"]) if verdict else start
                if other not in reached:
                    reached.add(other)
                    rest.append(other)
    return reached


def _refuses_all(rule: Mapping[str, Any]) -> bool:
    words = {word for expression in _statements(rule) for word in expression}
    return bool(words & set(REFUSING)) and words <= {*REFUSING, "counter", "log"}


def _lets_through(rule: Mapping[str, Any], interfaces: Collection[str]) -> bool:
    """Return whether a rule accepts, or may accept, new packets of one of the interfaces."""
    expressions = _statements(rule)
    # A map of verdicts is not read here, so it may accept.
    if not any(
        word in expression for expression in expressions for word in ("accept", "vmap", "flow", "queue")
    ):
        return False
    names = [*_interfaces(rule)]
    if names and not any(fnmatchcase(interface, name) for interface in interfaces for name in names):
        return False
    return not any(map(_is_of_known_flows, expressions))


def _is_of_known_flows(expression: Mapping[str, Any]) -> bool:
    """Return whether an expression holds only for packets of a connection that was let through before."""
    if isinstance(extension := expression.get("xt"), dict) and extension.get("name") in (
        "conntrack",
        "state",
    ):
        return True
    for match in _matches([expression]):
        left = match.get("left")
        state = left.get("ct") if isinstance(left, dict) else None
        if isinstance(state, dict) and state.get("key") == "state":
            return "new" not in json.dumps(match.get("right"))
    return False


def _drops(rule: Mapping[str, Any], port: int) -> bool:
    expressions = rule.get("expr", [])
    refuses = any(word in expression for expression in expressions for word in REFUSING)
    return refuses and any(_names_port(match, port) for match in _matches(expressions))


def _matches(expressions: list[Any]) -> Iterator[Mapping[str, Any]]:
    for expression in expressions:
        if isinstance(expression, dict) and isinstance(expression.get("match"), dict):
            yield expression["match"]


def _names_port(match: Mapping[str, Any], port: int) -> bool:
    left = match.get("left")
    payload = left.get("payload") if isinstance(left, dict) else None
    if not isinstance(payload, dict) or payload.get("field") != "dport":
        return False
    if payload.get("protocol") not in ("udp", "th"):
        return False
    return _holds(match.get("right"), port) == (match.get("op") in ("==", "in"))


def _holds(right: Any, port: int) -> bool:
    if isinstance(right, dict) and "range" in right:
        low, high = right["range"]
        return bool(low <= port <= high)
    if isinstance(right, dict) and "set" in right:
        return any(_holds(part, port) for part in right["set"])
    return bool(right == port)


def _interfaces(rule: Mapping[str, Any]) -> Iterator[str]:
    for match in _matches(rule.get("expr", [])):
        left = match.get("left")
        key = left.get("meta", {}).get("key") if isinstance(left, dict) else None
        if key in ("iifname", "iif", "oifname", "oif") and match.get("op") == "==":
            right = match.get("right")
            yield from right["set"] if isinstance(right, dict) and "set" in right else [str(right)]
