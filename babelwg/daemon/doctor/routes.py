"""Checks of the kernel's tables: our routes, our rules, and what others put before or between them."""

import errno
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from ipaddress import ip_address

from babelwg.babel.wire.prefix import Prefix
from babelwg.daemon.doctor.finding import NODE, Finding, ago, fail, ok, times, warn
from babelwg.daemon.incidents import Incident, Incidents
from babelwg.linux.compare import beats
from babelwg.linux.foreignrules import Coverage, ForeignRule, catches
from babelwg.linux.netlink import Refusal
from babelwg.linux.routes import Place, Route
from babelwg.linux.rules import Rule

# Implementation constants
LISTED = 5  # findings of one kind
NOTHING = Coverage(())
WHY = {
    errno.EEXIST: "another program holds a route at the same place",
    errno.EINVAL: "the kernel finds it invalid: is the preferred source an address of this machine?",
    errno.ENETUNREACH: "the next hop is not on the link of the interface",
    errno.ENODEV: "the interface is gone",
    errno.ENETDOWN: "the interface is down",
    errno.ENOMEM: "the kernel's table is full (net.ipv6.route.max_size)",
    errno.ENOSPC: "the kernel's table is full (net.ipv6.route.max_size)",
    errno.EPERM: "the daemon has not the right to",
    errno.EOPNOTSUPP: "this kernel cannot do such routes",
}


def check_refused(refused: Mapping[Prefix, Refusal]) -> list[Finding]:
    """Return the learned routes that the kernel would not take, with the likely reason."""
    findings = [_refused(prefix, refusal) for prefix, refusal in list(refused.items())[:LISTED]]
    if len(refused) > LISTED:
        found = f"{len(refused) - LISTED} more routes are refused"
        findings.append(fail("refused", NODE, found, "see the first ones", "babelwg show routes"))
    return findings or [ok("refused", NODE, "the kernel took every route")]


def _refused(prefix: Prefix, refusal: Refusal) -> Finding:
    mend = f"babelwg route explain {prefix}"
    if not refusal.errno:
        return fail("refused", str(prefix), "the selected route is not installed", refusal.detail, mend)
    code = errno.errorcode.get(refusal.errno, str(refusal.errno))
    words = WHY.get(refusal.errno, "the kernel gave no other reason")
    found = f"the kernel refused the route ({code}{f': {refusal.detail}' if refusal.detail else ''})"
    return fail("refused", str(prefix), found, words, mend)


def check_present(
    wanted: Iterable[tuple[Prefix, Route]], actual: Collection[Route], managers: Iterable[str]
) -> list[Finding]:
    """Return the routes that we want and the kernel, read anew, has not."""
    there = set(actual)
    lacking = [prefix for prefix, route in wanted if route not in there]
    if not lacking:
        return [ok("routes", NODE, "the kernel has every route that we want")]
    found = f"{_count(lacking)} we want and the kernel has not: {_some(lacking)}"
    cause = f"{_somebody(managers)} removed or changed them; they are set again within a minute"
    return [fail("routes", NODE, found, cause, "babelwg reload")]


def check_lost(incidents: Incidents, managers: Iterable[str]) -> list[Finding]:
    """Return what others took away lately and we have put back."""
    findings = []
    for incident in incidents.lately("route-lost"):
        found = f"{times(incident.times)} a route was removed behind our back, {_last(incidents, incident)}"
        cause = f"{_somebody(managers)} flushed routes; all are set again"
        findings.append(warn("routes", NODE, found, cause, "ip monitor route  # shows who else writes"))
    for incident in incidents.lately("rule-lost"):
        found = (
            f"our rule {incident.subject} was removed {times(incident.times)}, {_last(incidents, incident)}"
        )
        cause = f"{_somebody(managers)} removed it; it is set again"
        findings.append(warn("rules", NODE, found, cause, "ip monitor rule  # shows who else writes"))
    return findings


def check_rules(desired: Collection[Rule], actual: Collection[Rule]) -> list[Finding]:
    """Return the policy rules of ours that are not there."""
    lacking = sorted(set(desired) - set(actual))
    if not lacking:
        return [ok("rules", NODE, "all our policy rules are there")]
    names = ", ".join(f"{rule.priority} (IPv{rule.family})" for rule in lacking)
    cause = "somebody removed them; they are set again within a minute"
    return [fail("rules", NODE, f"policy rules of ours are missing: {names}", cause, "babelwg reload")]


def check_shadows(
    rules: Sequence[ForeignRule], tables: Mapping[int, Sequence[Route]], ours: Sequence[Prefix]
) -> list[Finding]:
    """Return the rules of others that decide for our destinations before the kernel asks our table."""
    findings = []
    coverage = {table: Coverage(routes) for table, routes in tables.items()}
    for rule in rules:
        caught = [prefix for prefix in ours if catches(rule, prefix, coverage.get(rule.table, NOTHING))]
        if caught:
            found = f"packets to {_some(caught)} do not follow our routes"
            cause = f'the rule "{rule}" of another program comes before ours (6696)'
            mend = f"ip -{rule.family} rule del priority {rule.priority}, or give it one above 6696"
            findings.append(fail("shadow", f"rule {rule.priority}", found, cause, mend))
    return findings[:LISTED] or [ok("shadow", NODE, "no rule of others comes before ours")]


def check_tables(
    table: int, foreign: Collection[Route], wanted: Callable[[Place], Route | None], shared: bool = False
) -> list[Finding]:
    """Return what others write into a table that we use; where it is `shared`, only what is in our way."""
    beating = [route for route in foreign if (ours := wanted(route.place)) and beats(route, ours)]
    if beating:
        found = f"packets to {_some([route.prefix for route in beating])} do not follow our routes"
        cause = f"another program has a route with a smaller metric in table {table}"
        destination, metric = beating[0].prefix.destination, beating[0].priority
        family = 4 if len(destination.network) == 4 else 6
        mend = f"ip -{family} route del {destination} table {table} metric {metric}"
        return [fail("tables", NODE, found, cause, mend)]
    if shared:
        return []
    if not foreign:
        return [ok("tables", NODE, f"table {table} is ours alone")]
    strangers = [route.prefix for route in foreign]
    found = f"table {table} holds {_count(strangers)} of another program: {_some(strangers)}"
    cause = "two programs use one table, and may replace each other's routes"
    return [warn("tables", NODE, found, cause, f"set table under [babel] to another number than {table}")]


def check_clashes(
    own: Collection[Prefix],
    announced: Iterable[tuple[Prefix, str, bytes]],
    local: bytes,
    shared: Collection[Prefix] = (),
) -> list[Finding]:
    """Return the addresses that two nodes hold: `announced` are prefixes with a neighbour's name and a router-id.

    `shared` is what this node announces beside its own addresses.
    """
    findings: list[Finding] = []
    others: dict[Prefix, dict[bytes, str]] = {}
    for prefix, name, router_id in announced:
        if router_id != local and _is_host(prefix):
            others.setdefault(prefix, {})[router_id] = name
    for prefix, nodes in sorted(others.items()):
        address = str(ip_address(prefix.network))
        if prefix in own:
            who = ", ".join(sorted(set(nodes.values())))
            cause = f"two nodes have the same address in their configuration; the other one is {who}"
            mend = "give one of the two nodes another address under [node], then `babelwg reload` there"
            findings.append(fail("address-clash", address, "another node announces our address", cause, mend))
        elif (count := len(nodes) + (prefix in shared)) > 1:
            who = ", ".join([*sorted(nodes.values()), *(["this node"] if prefix in shared else [])])
            cause = f"{count} nodes have the same address ({who}), unless that is meant (anycast)"
            found = f"{count} nodes announce it"
            findings.append(warn("address-clash", address, found, cause, f"babelwg show routes {address}"))
    return findings[:LISTED] or [ok("address-clash", NODE, "every address belongs to one node")]


def _is_host(prefix: Prefix) -> bool:
    return prefix.plen == 8 * len(prefix.network) and not prefix.source_plen


def _somebody(managers: Iterable[str]) -> str:
    names = sorted(managers)
    return f"another program (here runs {', '.join(names)})" if names else "another program"


def _last(incidents: Incidents, incident: Incident) -> str:
    return f"the last one {ago(incidents.age(incident))}"


def _count(prefixes: Sequence[Prefix]) -> str:
    return "1 route" if len(prefixes) == 1 else f"{len(prefixes)} routes"


def _some(prefixes: Sequence[Prefix]) -> str:
    more = f" and {len(prefixes) - 2} more" if len(prefixes) > 2 else ""
    return ", ".join(str(prefix) for prefix in prefixes[:2]) + more
