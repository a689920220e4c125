"""`doctor` finds every fault that is put into a live mesh, names its cause, and finds none in a healthy one."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from babelwg.cli.schema import compose
from babelwg.config.keys import generate_private, generate_psk, public_of
from babelwg.lab.netns.mesh import Mesh, MeshError
from babelwg.lab.netns.node import CommandError

Action = Callable[[Mesh], None]


@dataclass(frozen=True)
class Fault:
    """A fault, put in before the start or into the running mesh, and what doctor says of it on a node."""

    check: str
    words: str  # in what was found, or in the cause
    mend: str
    before: Action | None = None
    after: Action | None = None
    on: str = "a"
    verdict: str = "fail"


def edit(name: str, old: str, new: Callable[[Mesh], str]) -> Action:
    """Return what replaces a text in a node's configuration."""

    def action(mesh: Mesh) -> None:
        path = mesh.home(name) / "babelwg.toml"
        text = path.read_text()
        wanted = old.format(key=public_of(mesh.keys["b"]))
        assert wanted in text
        path.write_text(text.replace(wanted, new(mesh)))

    return action


def drop(name: str, match: str) -> Action:
    """Return what makes a node drop what comes in and matches."""
    rules = f"table inet fault {{ chain in {{ type filter hook input priority -10; {match} drop; }}; }}"
    return lambda mesh: mesh.nodes[name].run("nft", "-f", "-", stdin=rules) and None


def run(name: str, *words: str) -> Action:
    """Return what runs a program in a node."""
    return lambda mesh: mesh.nodes[name].run(*words) and None


def ip(name: str, *commands: str) -> Action:
    """Return what runs commands of `ip` in a node."""
    return lambda mesh: mesh.nodes[name].ip(*commands)


def give_preshared_key(mesh: Mesh) -> None:
    path = mesh.home("a") / "b.psk"
    path.write_text(f"{generate_psk()}\n")
    path.chmod(0o600)
    edit("a", 'name = "b"\n', lambda mesh: 'name = "b"\npreshared-key-file = "b.psk"\n')(mesh)


def name_the_endpoint(mesh: Mesh) -> None:
    address = mesh.links[frozenset("ab")].addresses
    edit("a", f"{address['b']}:", lambda mesh: "no-such-host.invalid:")(mesh)
    edit("b", f'endpoint = "{address["a"]}:51820"\n', lambda mesh: "")(mesh)


def prefer_a_strange_source(mesh: Mesh) -> None:
    (mesh.home("a") / "babeld.conf").write_text("install ip 10.23.0.2/32 pref-src 203.0.113.7\n")
    edit("a", "[babel]\n", lambda mesh: '[babel]\nconfig = "babeld.conf"\n')(mesh)


def say_a_later_clock(mesh: Mesh) -> None:
    state = mesh.home("a") / "state"
    state.mkdir(mode=0o700)
    (state / "clock").write_text(f"{time.time() + 86400:.0f}\n")


def close_the_port(mesh: Mesh) -> None:
    mesh.stop_daemon("b")
    os.kill(data_plane(mesh, "b"), signal.SIGKILL)


def data_plane(mesh: Mesh, name: str) -> int:
    """Return the process of a node's data plane."""
    return next(
        pid
        for pid in mesh.nodes[name].pids()
        if b"babelwg.dataplane" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )


def stop_writing(mesh: Mesh) -> None:
    state = str(mesh.home("a") / "state")
    mesh.nodes["a"].run("mount", "--bind", state, state)
    mesh.nodes["a"].run("mount", "-o", "remount,bind,ro", state)


FAULTS = {
    "wrong-public-key": Fault(
        "handshake",
        "the public key of b is wrong here: it seems to be {b}",
        "babelwg config show",
        before=edit("a", "{key}", lambda mesh: str(public_of(generate_private()))),
    ),
    "wrong-public-key-seen-from-the-other-side": Fault(
        "handshake",
        "the public key of this node is wrong on a",
        "on a: set public-key",
        before=edit("a", "{key}", lambda mesh: str(public_of(generate_private()))),
        on="b",
    ),
    "wrong-preshared-key": Fault(
        "handshake", "the preshared keys differ", "preshared-key-file", before=give_preshared_key
    ),
    "port-closed": Fault("handshake", "the UDP port of the peer is closed", "on b:", after=close_the_port),
    "udp-dropped-one-way": Fault(
        "one-way",
        "UDP from us to b is dropped on the way",
        "UDP port 51820",
        after=drop("b", "udp dport 51820"),
    ),
    "udp-dropped-one-way-seen-from-the-other-side": Fault(
        "handshake",
        "a rule here drops it: inet fault in",
        "nft delete rule inet fault in handle",
        after=drop("b", "udp dport 51820"),
        on="b",
    ),
    "name-that-does-not-resolve": Fault(
        "endpoint", "no-such-host.invalid does not resolve", "getent hosts", before=name_the_endpoint
    ),
    "no-link-local-address": Fault(
        "link-local",
        "IPv6 is switched off on bw-b",
        "sysctl net.ipv6.conf.bw-b.disable_ipv6=0",
        after=lambda mesh: mesh.nodes["a"].sysctl("net.ipv6.conf.bw-b.disable_ipv6", "1"),
    ),
    "link-local-address-removed": Fault(
        "link-local",
        "lost its link-local address",
        "ip monitor address",
        after=ip("a", "address flush dev bw-b"),
        verdict="warn",
    ),
    "6696-filtered": Fault(
        "firewall",
        "UDP port 6696 is filtered inside the tunnel by a rule here",
        "nft delete rule inet fault in handle",
        after=drop("a", 'iifname "bw-b" udp dport 6696'),
    ),
    "one-way-link": Fault(
        "one-way",
        "it does not say that it hears ours (no IHU)",
        "on b: allow UDP port 6696",
        after=drop("b", 'iifname "bw-a" udp dport 6696'),
    ),
    "rp-filter-strict": Fault(
        "rp-filter",
        "the reverse path check is strict on bw-b",
        "sysctl net.ipv4.conf.bw-b.rp_filter=0",
        after=lambda mesh: mesh.nodes["a"].sysctl("net.ipv4.conf.bw-b.rp_filter", "1"),
    ),
    "forwarding-off": Fault(
        "forwarding",
        "IPv4 packets of others are not forwarded",
        "sysctl net.ipv4.ip_forward=1",
        after=lambda mesh: mesh.nodes["a"].sysctl("net.ipv4.ip_forward", "0"),
    ),
    "mtu-black-hole": Fault(
        "mtu",
        "packets of 1420 octets vanish",
        "set mtu = 1",
        after=drop("b", 'iifname "to-a" meta length > 1380'),
    ),
    "clock-set-back": Fault(
        "clock", "it was set back: peers refuse", "timedatectl", before=say_a_later_clock
    ),
    "routes-flushed": Fault(
        "routes",
        "a route was removed behind our back",
        "ip monitor route",
        after=run("a", "ip", "-6", "route", "flush", "table", "6696"),
        verdict="warn",
    ),
    "rule-removed": Fault(
        "rules",
        "our rule 6696 (IPv6) was removed once",
        "ip monitor rule",
        after=run("a", "ip", "-6", "rule", "del", "priority", "6696"),
        verdict="warn",
    ),
    "foreign-rule": Fault(
        "shadow",
        'the rule "100: from all lookup 999" of another program',
        "ip -6 rule del priority 100",
        after=run(
            "a",
            *("sh", "-c"),
            "ip -6 route add fd00:77::/64 dev lo table 999 && ip -6 rule add priority 100 lookup 999",
        ),
    ),
    "route-refused": Fault(
        "refused",
        "is the preferred source an address",
        "babelwg route explain",
        before=prefer_a_strange_source,
    ),
    "address-clash": Fault(
        "address-clash",
        "another node announces our address",
        "give one of the two nodes another address",
        before=edit("b", '"fd00:77::2/128"', lambda mesh: '"fd00:77::2/128", "fd00:77::1/128"'),
    ),
    "data-plane-killed": Fault(
        "data-plane",
        "the data plane ended and was started again",
        "dataplane.log",
        after=lambda mesh: os.kill(data_plane(mesh, "a"), signal.SIGKILL),
        verdict="warn",
    ),
    "data-plane-hangs": Fault(
        "data-plane",
        "gave no proper answer",
        "restart babelwg-dataplane",
        after=lambda mesh: os.kill(data_plane(mesh, "a"), signal.SIGSTOP),
    ),
    "state-directory-read-only": Fault("state-directory", "cannot be written", "df ", after=stop_writing),
}
# Faults that keep the mesh from coming up
DEAD = {n for n, f in FAULTS.items() if f.before and f.check in ("handshake", "endpoint")} | {"route-refused"}
SCHEMA = Draft202012Validator(compose("doctor"))


def examine(mesh: Mesh, name: str, *words: str) -> tuple[int, Any, str]:
    """Return the exit code of `doctor --json` on a node, its data, and what was printed."""
    argv = [
        *mesh.nodes[name].entry(),
        *mesh.command(),
        "doctor",
        "--socket",
        str(mesh.home(name) / "control.sock"),
    ]
    done = subprocess.run([*argv, *words, "--json"], capture_output=True, text=True, timeout=120, check=False)
    document = json.loads(done.stdout)
    SCHEMA.validate(document)
    return done.returncode, document["data"], done.stdout + done.stderr


def finding(mesh: Mesh, fault: Fault) -> dict[str, Any] | None:
    """Return what doctor says of a fault, None where it says nothing of the kind."""
    words = fault.words.format(b=public_of(mesh.keys["b"]))
    code, data, _ = examine(mesh, fault.on)
    assert code == any(f["verdict"] == "fail" for f in data["findings"])
    for found in data["findings"]:
        said = f"{found['found']}; {found['cause']}"
        if (found["check"], found["verdict"]) == (fault.check, fault.verdict) and words in said:
            return dict(found)
    return None


# One of each kind is enough for every change; all of them take five minutes.
QUICK = {
    "wrong-public-key",
    "port-closed",
    "6696-filtered",
    "forwarding-off",
    "foreign-rule",
    "address-clash",
}
CASES = [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in FAULTS]


@pytest.mark.parametrize("name", CASES)
def test_doctor_names_the_cause(name: str, mesh: Callable[..., Mesh], needs: Callable[..., None]) -> None:
    needs("nft", "ip")
    fault = FAULTS[name]
    m = mesh("a b", "a-b", start=False, backend="embedded")
    if fault.before:
        fault.before(m)
    m.start()
    if name not in DEAD:
        m.wait("the mesh has converged", m.converged)
    if fault.after:
        fault.after(m)
    found: list[Any] = []
    try:
        m.wait("doctor names it", lambda: found.append(finding(m, fault)) or found[-1])
    except MeshError as error:
        raise AssertionError(f"{error}\n{json.dumps(examine(m, fault.on)[1], indent=1)}") from error
    assert fault.mend in found[-1]["mend"]


def test_doctor_finds_nothing_in_a_healthy_mesh(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("nft")
    m = mesh("a b c", "a-b b-c", backend="embedded")
    m.wait("the mesh has converged", m.converged)
    for name in m.nodes:
        m.wait("all peers are up", lambda name=name: {p["state"] for p in m.ask(name, "peers")} == {"up"})
    for name in m.nodes:
        code, data, said = examine(m, name)
        wrong = [f for f in data["findings"] if f["verdict"] != "ok" and not is_of_the_machine(f)]
        assert (code, wrong) == (0, []), said
    code, data, _ = examine(m, "b", "a")
    assert (code, data["peer"]) == (0, "a")
    assert {f["subject"] for f in data["findings"]} == {"a"}


def is_of_the_machine(found: dict[str, Any]) -> bool:
    """Return whether doctor says that this machine is too busy, which it may be."""
    return "late with its work" in found["found"]


def test_doctor_says_what_it_can_when_the_daemon_is_gone(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("nft")
    m = mesh("a b", "a-b", backend="embedded")
    m.stop_daemon("a")
    home = m.home("a")
    options = ["-c", str(home / "babelwg.toml"), "--state-dir", str(home / "state")]
    code, data, _ = examine(m, "a", *options)
    assert (code, data["daemon"]) == (1, False)
    verdicts = {f["check"]: f["verdict"] for f in data["findings"]}
    assert verdicts["daemon"] == "fail"
    assert (verdicts["configuration"], verdicts["state-directory"], verdicts["port"]) == ("ok", "ok", "ok")


def test_the_cause_of_a_tunnel_is_undone_by_the_remedy(
    mesh: Callable[..., Mesh], needs: Callable[..., None]
) -> None:
    needs("nft")
    m = mesh("a b", "a-b", backend="embedded")
    m.wait("the mesh has converged", m.converged)
    fault = FAULTS["6696-filtered"]
    assert fault.after is not None
    fault.after(m)
    m.wait("doctor names it", lambda: finding(m, fault) is not None)
    remedy = (finding(m, fault) or {})["mend"]
    try:
        m.nodes["a"].run(*remedy.split())
    except CommandError as error:
        raise AssertionError(f"the remedy does not run: {remedy}") from error
    m.wait("the link is back", lambda: examine(m, "a")[0] == 0)


def test_a_daemon_that_hangs_is_waited_for_once_and_the_rest_is_examined(mesh: Callable[..., Mesh]) -> None:
    m = mesh("a b", "a-b", backend="embedded")
    m.wait("the mesh has converged", m.converged)
    daemon, home = m.daemons["a"], m.home("a")
    daemon.send_signal(signal.SIGSTOP)
    try:
        start = time.monotonic()
        code, data, _ = examine(m, "a", "-c", str(home / "babelwg.toml"), "--state-dir", str(home / "state"))
        took = time.monotonic() - start
    finally:
        daemon.send_signal(signal.SIGCONT)
    (fault,) = (found for found in data["findings"] if found["verdict"] == "fail")
    assert (code, fault["check"], fault["mend"]) == (1, "daemon", f"kill -CONT {daemon.pid}")
    assert {"configuration", "port", "capabilities", "clock"} <= {f["check"] for f in data["findings"]}
    # Three for the daemon, and what two cores shared with others take to begin.
    assert took < 10.0
    m.wait("the daemon answers again", lambda: examine(m, "a")[0] == 0)
