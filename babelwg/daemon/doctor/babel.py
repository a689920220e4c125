"""Checks of links: who hears whom, which sizes of packet pass, and whether neighbours take our seqno."""

from collections.abc import Iterable

from babelwg.daemon.doctor.finding import NODE, Finding, fail, ok, times, warn
from babelwg.daemon.doctor.patient import Patient
from babelwg.daemon.incidents import Incidents

# Implementation constants
LOSSY = 0.2  # share of Hellos lost from which a link is told of
IPV6_LEAST = 1280  # octets that every IPv6 link carries


def check_link(patient: Patient) -> list[Finding]:
    """Return what is to be said of the link through a tunnel; nothing where the tunnel itself is dead."""
    if not patient.echoes and not patient.hears:
        return []
    hearing = _hearing(patient)
    return [hearing, *_size(patient)] if patient.echoes else [hearing]


def _hearing(patient: Patient) -> Finding:
    if not patient.hears:
        return _deaf(patient)
    if not patient.is_heard:
        return _one_way(patient)
    loss = patient.neighbour.loss if patient.neighbour else 0.0
    if loss >= LOSSY:
        found = f"{loss:.0%} of its Hellos are lost"
        cause = "the underlay drops packets: a bad radio link, or a full one"
        return warn("link", patient.name, found, cause, f"babelwg show neighbours {patient.name}")
    return ok("link", patient.name, "both sides hear each other")


def _deaf(patient: Patient) -> Finding:
    found = "the tunnel carries pings, but no Hello of Babel comes"
    babel, interface = patient.probes.babel, patient.peer.interface
    if patient.babel_drops:
        rule = patient.babel_drops[0]
        cause = f"UDP port 6696 is filtered inside the tunnel by a rule here: {rule}"
        return fail("firewall", patient.name, found, cause, rule.removal)
    if babel is not None and babel.outcome == "closed":
        cause = f"no Babel speaker runs on {patient.name}, or not on this tunnel"
        return fail("link", patient.name, found, cause, f"on {patient.name}: systemctl start babelwg")
    cause = f"UDP port 6696 is filtered inside the tunnel, here or on {patient.name}; or its daemon hangs"
    mend = f"allow UDP port 6696 on {interface}, on both sides (`nft list ruleset`, `iptables -S`)"
    return fail("firewall", patient.name, found, cause, mend)


def _one_way(patient: Patient) -> Finding:
    if not patient.echoes:
        found = "we hear it, and nothing of ours arrives: pings through the tunnel do not come back"
        cause = f"UDP from us to {patient.name} is dropped on the way"
        port = patient.endpoint[1] if patient.endpoint else "of the tunnel"
        mend = f"on {patient.name}: allow UDP port {port} in its firewall"
        return fail("one-way", patient.name, found, cause, mend)
    found = "we hear its Hellos, and it does not say that it hears ours (no IHU)"
    if patient.babel_drops:
        rule = patient.babel_drops[0]
        cause = f"UDP port 6696 is filtered inside the tunnel by a rule here: {rule}"
        return fail("one-way", patient.name, found, cause, rule.removal)
    cause = f"UDP port 6696 is filtered inside the tunnel on {patient.name}"
    mend = f"on {patient.name}: allow UDP port 6696 on its tunnel to us (`nft list ruleset`)"
    return fail("one-way", patient.name, found, cause, mend)


def _size(patient: Patient) -> list[Finding]:
    full = patient.probes.full
    if not full:
        return []
    largest = max(patient.probes.echoes)
    if largest >= full:
        return [ok("mtu", patient.name, f"packets of {full} octets pass")]
    found = f"packets of {full} octets vanish, those of {largest} pass"
    cause = "the underlay carries less than the tunnel's MTU supposes, and says nothing (a black hole)"
    # Every other tunnel has the same MTU, so it is one setting; less than IPv6 needs is no remedy.
    remedy = f"set mtu = {largest} under [tunnels] on both sides, then `babelwg reload`"
    mend = remedy if largest >= IPV6_LEAST else "raise the MTU of the underlay: IPv6 needs 1280 in the tunnel"
    return [fail("mtu", patient.name, found, cause, mend)]


def check_seqno(incidents: Incidents) -> list[Finding]:
    """Return whether neighbours know a newer seqno of ours than we do, so that they refuse our routes."""
    behind = incidents.lately("seqno-behind")
    if not behind:
        return [ok("seqno", NODE, "no neighbour asks for a seqno ahead of ours")]
    found = f"neighbours asked {times(behind[-1].times)} for a seqno far ahead of ours, and refuse our routes"
    cause = "this node has an old copy of its state (a restored backup), or another node has our router-id"
    mend = "stop the daemon, remove state.json from its state directory, start it: the router-id is then new"
    return [fail("seqno", NODE, found, cause, mend)]


def check_keys(counters: Iterable[tuple[str, int]]) -> list[Finding]:
    """Return what was refused for want of a right MAC on LAN interfaces."""
    findings = []
    for name, count in counters:
        reason = name.removeprefix("packet_dropped.")
        if count and reason in ("mac-wrong", "mac-missing"):
            words = "a wrong MAC" if reason == "mac-wrong" else "no MAC"
            found = f"{count} packets of Babel with {words} were dropped"
            cause = "a neighbour on a LAN has another key, or none"
            findings.append(warn("keys", NODE, found, cause, "babelwg show stats packet_dropped"))
    return findings
