"""Rules of nftables that drop UDP to a port, found in what `nft -j list ruleset` prints."""

import asyncio
import json
from asyncio.subprocess import DEVNULL, PIPE
from collections.abc import Iterator, Mapping
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
