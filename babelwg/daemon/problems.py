"""What is wrong with a node, one sentence each, with the command that tells more."""

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelwg.babel.events import address_text
from babelwg.babel.snapshot import Summary
from babelwg.babel.wire.tlv import INFINITY
from babelwg.daemon.doctor.finding import Finding, times
from babelwg.daemon.effective import babeld_of
from babelwg.daemon.lan import unheeded_directives
from babelwg.linux.netlink import Refusal

if TYPE_CHECKING:
    from babelwg.daemon.node import Node

# Implementation constants
LISTED_REFUSALS = 5
LISTED_LATE = 3


def describe_problems(
    node: "Node",
    summary: Summary,
    peers: Iterable[dict[str, Any]],
    hindrances: Iterable[Finding] = (),
    complaints: Iterable[tuple[str, str]] = (),
) -> list[dict[str, str]]:
    """Return what is wrong, the worst first; none on a healthy node.

    `hindrances` is what others have put in the way of packets; `complaints` are about files, by path.
    """
    peers = list(peers)
    problems = [_problem(peer["name"], peer["reason"], _hint(node, peer)) for peer in peers if peer["reason"]]
    problems += _late_tunnels(peers)
    problems += [_problem(f.subject, f"{f.found}: {f.cause}", "doctor") for f in hindrances]
    problems += _kernel_problems(node, summary)
    problems += _clashes(node, asyncio.get_running_loop().time())
    problems += _lan_problems(summary, node.routing.speaker.counters)
    problems += _gateway_problems(node)
    problems += [
        _problem("configuration", f"`{directive}` is read and not acted on yet", "see the README")
        for directive in unheeded_directives(babeld_of(node.config))
    ]
    problems += [_problem(path, why, "edit the file; it is read again at once") for path, why in complaints]
    return problems + _service_problems(node, summary)


def why_not_there(refusal: Refusal) -> str:
    """Return in words why a learned route is not in the kernel."""
    if not refusal.errno:
        return f"the route is not used: {refusal.detail}"
    return f"the kernel refused the route: {refusal.detail or f'error {refusal.errno}'}"


def _late_tunnels(peers: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
    """Return that back ends did not tell the state of tunnels at once, where nothing else says so."""
    late = {
        peer["name"]: peer["tunnel_age_s"] for peer in peers if peer["tunnel_age_s"] and not peer["reason"]
    }
    if not late:
        return []
    more = f" and {len(late) - LISTED_LATE} more" if len(late) > LISTED_LATE else ""
    names, age = ", ".join([*late][:LISTED_LATE]), max(late.values())
    why = f"the data plane does not answer; what is told of tunnels to {names}{more} is up to {age:.0f} s old"
    return [_problem("data plane", why, "doctor")]


def _kernel_problems(node: "Node", summary: Summary) -> list[dict[str, str]]:
    """Return which routes, interfaces and settings the kernel does not have as they are wanted."""
    refused = list(node.routes.refused.items())
    problems = [
        _problem(str(p), why_not_there(refusal), "show routes") for p, refusal in refused[:LISTED_REFUSALS]
    ]
    if len(refused) > LISTED_REFUSALS:
        rest = len(refused) - LISTED_REFUSALS
        problems.append(_problem("routes", f"the kernel refused {rest} more", "show stats"))
    running = {view.name for view in summary.interfaces}
    for name in sorted(node.routing.wanted.keys() - running):
        why = node.routing.errors.get(name) or "it is down, or has no link-local address"
        problems.append(_problem(name, f"Babel does not run here: {why}", "show interfaces"))
    return problems + [
        _problem(what, f"the kernel refused: {why}", "show stats") for what, why in node.kernel.errors.items()
    ]


def _service_problems(node: "Node", summary: Summary) -> list[dict[str, str]]:
    """Return what is wrong with files and sockets of ours, and with the daemon itself."""
    problems = _state_problems(node.store.directory, node.store.counters, node.store.failing)
    if node.web.problem is not None:
        problems.append(_problem("web", f"the page is not served: {node.web.problem}", "web"))
    if node.local.error:
        problems.append(_problem("local socket", node.local.error, "config show"))
    if (history := node.recorder.file) is not None and history.problem:
        why = f"writing to {history.path} fails: {history.problem}"
        problems.append(_problem("history", why, "show stats"))
    if mistakes := node.routing.counters["internal_error"]:
        why = f"{mistakes} internal errors, please report the log"
        problems.append(_problem("daemon", why, "bugreport"))
    if summary.recovering:
        why = "after a start without memory, neighbours are asked to confirm first"
        problems.append(_problem("memory", why, "show neighbours"))
    return problems


def _clashes(node: "Node", now: float) -> list[dict[str, str]]:
    """Return the addresses of this node that another one announces too."""
    own = {prefix for prefix, (_, origin) in node.routing.announced.items() if origin == "address"}
    speaker = node.routing.speaker
    clashing = {
        route.prefix
        for prefix in own
        for route in speaker.routes_for(prefix, now)
        if route.router_id != speaker.router_id and route.state != "retracted"
    }
    return [
        _problem(str(prefix), "another node announces this address of ours", "doctor")
        for prefix in sorted(clashing)
    ]


def _state_problems(
    directory: Path, failures: Mapping[str, int], failing: Mapping[str, str]
) -> list[dict[str, str]]:
    """Return that the state directory cannot be written, or could not, however many files are meant."""
    if failing:
        why = ", ".join(sorted({*failing.values()}))
        reason = f"{directory} cannot be written: {why}; a restart will find nothing of now"
        return [_problem("state-directory", reason, "doctor")]
    if not (count := sum(failures.values())):
        return []
    return [_problem("state-directory", f"writing to {directory} failed {times(count)}", "doctor")]


def _lan_problems(summary: Summary, counters: Mapping[str, int]) -> list[dict[str, str]]:
    """Return what is wrong with neighbours that are no peers, and with what was refused for want of a right MAC."""
    shared = {view.name for view in summary.interfaces if view.kind != "tunnel"}
    problems = [
        _problem(
            address_text(view.address, view.interface),
            "heard, and does not say that it hears us",
            "show neighbours",
        )
        for view in summary.neighbours
        if view.interface in shared and view.cost == INFINITY
    ]
    for reason, words in (("mac-wrong", "a wrong MAC"), ("mac-missing", "no MAC")):
        if count := counters.get(f"packet_dropped.{reason}", 0):
            problems.append(_problem("keys", f"{count} packets with {words} were dropped", "show stats"))
    return problems


def _gateway_problems(node: "Node") -> list[dict[str, str]]:
    problems = []
    for gateway in node.gateways.gateways:
        subject = f"gateway {gateway.config.prefix}"
        if not gateway.announced:
            problems.append(_problem(subject, f"not announced: {gateway.reason}", "show gateways"))
        elif not gateway.has_route():
            problems.append(
                _problem(subject, "table main has no route for what it announces", "show gateways")
            )
    return problems


def _hint(node: "Node", peer: dict[str, Any]) -> str:
    problem = node.tunnels.problems.get(peer["interface"])
    return problem.hint if problem and problem.hint else f"doctor {peer['name']}"


def _problem(subject: str, reason: str, hint: str) -> dict[str, str]:
    return {"subject": subject, "reason": reason, "hint": hint}
