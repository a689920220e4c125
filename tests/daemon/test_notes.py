"""What services tell the recorder: sessions, reloads, repairs, with words for people."""

import asyncio
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from babelwg.config import Config, ConfigError, ConfigErrors, load
from babelwg.config.keys import generate_private, public_of
from babelwg.daemon.kernelside import KernelSide
from babelwg.daemon.recorder import wiring
from babelwg.daemon.recorder.reload import describe_reload
from babelwg.daemon.tunnel_watch import TunnelWatch
from babelwg.linux.errors import KernelError
from babelwg.linux.tunnels.tunnel import Tunnel, TunnelState

KEY = generate_private()
PEERS = {name: str(public_of(generate_private())) for name in ("bravo", "charlie", "delta")}
HERE, THERE = (bytes((192, 0, 2, 1)), 51820), (bytes((192, 0, 2, 9)), 4500)


class Notes(list[dict[str, Any]]):
    def note(self, event: str, text: str, cause: str | None = None, **fields: Any) -> None:
        self.append({"event": event, "text": text, "cause": cause, **fields})


def tunnel(name: str) -> Tunnel:
    return Tunnel(f"bw-{name}", name, "kernel", KEY, public_of(KEY), 51820, 1420, 0, b"")


def state(endpoint: tuple[bytes, int] | None, age: float | None) -> TunnelState:
    return TunnelState(endpoint, 0.0 if age is None else time.time() - age, 0, 0, 51820, None)


def test_sessions_that_come_and_go_and_move_are_told_once() -> None:
    notes, watch = Notes(), TunnelWatch()
    watch.note = notes.note
    tunnels = {"bw-bravo": tunnel("bravo")}
    for seen in (
        state(HERE, None),
        state(HERE, 1.0),
        state(HERE, 100.0),
        state(THERE, 1.0),
        state(THERE, 181.0),
        state(THERE, 200.0),
    ):
        watch.look(tunnels, {"bw-bravo": seen})
    assert [(note["event"], note["text"], note["cause"]) for note in notes] == [
        ("handshake-came", "bravo has a session with us", "it answers at 192.0.2.1:51820"),
        ("endpoint-changed", "bravo is at 192.0.2.9:4500 now (was 192.0.2.1:51820)", None),
        ("handshake-lost", "the session with bravo is over", "no handshake for 180 s"),
    ]
    assert {(note["peer"], note["interface"]) for note in notes} == {("bravo", "bw-bravo")}


def test_a_session_that_ends_with_a_new_key_is_not_called_old() -> None:
    notes, watch = Notes(), TunnelWatch()
    watch.note = notes.note
    for age in (1.0, None):
        watch.look({"bw-bravo": tunnel("bravo")}, {"bw-bravo": state(HERE, age)})
    assert (notes[-1]["event"], notes[-1]["cause"]) == ("handshake-lost", "the tunnel was set anew")


def test_a_removal_tells_whether_somebody_switched_the_tunnel_off() -> None:
    notes, watch = Notes(), TunnelWatch()
    watch.note = notes.note
    for is_switched in (True, False):
        watch.tell_removal(tunnel("bravo"), is_switched)
    assert [note["cause"] for note in notes] == ["it is taken down", "it is not wanted any more"]


def test_a_setting_tells_whether_it_began_a_session_anew() -> None:
    notes, watch = Notes(), TunnelWatch()
    watch.note = notes.note
    keyed = replace(tunnel("bravo"), preshared_key=KEY)
    for now, before in ((keyed, None), (keyed, replace(keyed, keepalive=25)), (keyed, tunnel("bravo"))):
        watch.tell_setting(now, before)
    assert [note["cause"] for note in notes] == [
        "it is configured",
        "its settings changed",
        "its preshared key changed, and its session begins anew",
    ]


def test_a_tunnel_that_is_gone_is_forgotten() -> None:
    notes, watch = Notes(), TunnelWatch()
    watch.note = notes.note
    watch.look({"bw-bravo": tunnel("bravo")}, {"bw-bravo": state(HERE, 1.0)})
    watch.look({}, {"bw-bravo": state(HERE, 1.0)})
    watch.look({"bw-bravo": tunnel("bravo")}, {"bw-bravo": state(THERE, 1.0)})
    assert [note["event"] for note in notes] == ["handshake-came", "handshake-came"]


def configured(directory: Path, peers: dict[str, str], more: str = "") -> Config:
    directory.mkdir()
    (directory / "node.key").write_text(f"{KEY}\n")
    (directory / "node.key").chmod(0o600)
    text = f'[node]\nname = "alpha"\nprivate-key-file = "node.key"\n{more}'
    for name, extra in peers.items():
        text += f'[[peer]]\nname = "{name}"\npublic-key = "{PEERS[name]}"\n{extra}\n'
    (directory / "babelwg.toml").write_text(text)
    config = load(directory / "babelwg.toml")
    return replace(config, node=replace(config.node, private_key_file=Path("node.key")))


def test_a_reload_tells_which_peers_came_went_and_changed(tmp_path: Path) -> None:
    old = configured(tmp_path / "old", {"bravo": "", "charlie": "cost = 5"})
    new = configured(
        tmp_path / "new",
        {"charlie": "cost = 7\nkeepalive = 25", "delta": ""},
        "[babel]\nhello-interval = 2\n",
    )
    text, fields = describe_reload(old, new)
    assert (
        text
        == "peer delta added; peer bravo removed; peer charlie changed (keepalive, cost); [babel] changed"
    )
    assert fields == {
        "added": ["delta"],
        "removed": ["bravo"],
        "changed": ["charlie"],
        "peers": ["delta", "bravo", "charlie"],
    }
    assert describe_reload(old, old)[0] == "nothing changed"


def test_a_reload_never_tells_a_secret(tmp_path: Path) -> None:
    old = configured(tmp_path / "old", {"bravo": ""})
    (peer,) = old.peers
    text, fields = describe_reload(old, replace(old, peers=(replace(peer, preshared_key=KEY),)))
    assert "preshared-key" in text
    assert str(KEY) not in text + str(fields)


def test_a_refused_configuration_is_told_with_its_errors_cut() -> None:
    notes = Notes()
    node: Any = SimpleNamespace(recorder=notes)
    wiring.note_refusal(
        node, ConfigErrors([ConfigError("a.toml", 3, "x" * 5000), ConfigError("a.toml", 4, "y")])
    )
    assert notes[0]["event"] == "configuration-refused"
    assert notes[0]["cause"].startswith("a.toml:3")
    assert len(notes[0]["cause"]) == 1000


def test_only_what_others_changed_is_told_as_repaired() -> None:
    notes, side = Notes(), KernelSide(cast(Any, None), cast(Any, None), 6696)
    side.note = notes.note

    async def changed(count: int) -> int:
        return count

    async def story() -> None:
        await side._attempt("rules", {1}, changed(5))  # at the start
        await side._attempt("rules", {1}, changed(0))  # nothing to do
        await side._attempt("rules", {1}, changed(2))  # somebody removed two
        await side._attempt("rules", {2}, changed(1))  # another configuration
        await side._attempt("rules", None, changed(3))  # all taken away at the end

    asyncio.run(story())
    assert [(note["event"], note["text"]) for note in notes] == [
        ("rules-repaired", "2 rules of ours were set right")
    ]


def test_a_refusal_of_the_kernel_is_told_once() -> None:
    notes, side = Notes(), KernelSide(cast(Any, None), cast(Any, None), 6696)
    side.note = notes.note

    async def refused() -> int:
        raise KernelError("add rule", "6696", 1)

    async def story() -> None:
        await side._attempt("rules", {1}, refused())
        await side._attempt("rules", {1}, refused())

    asyncio.run(story())
    assert [note["text"] for note in notes] == ["the kernel refused rules"]
    assert notes[0]["cause"].startswith("add rule 6696: ")


@pytest.mark.parametrize(
    ("down", "up", "text"),
    [
        (True, False, "the tunnel to bravo is taken down: `babelwg down`"),
        (False, True, "the tunnel to bravo is brought up: `babelwg up`"),
        (True, True, "the tunnel to bravo is restarted: `babelwg restart`"),
    ],
)
def test_what_somebody_asks_of_a_tunnel_is_told_before_what_comes_of_it(
    down: bool, up: bool, text: str
) -> None:
    notes = Notes()
    peer: Any = SimpleNamespace(name="bravo", interface="bw-bravo")
    disabled = {"bravo"} if not down else set()
    node: Any = SimpleNamespace(
        recorder=SimpleNamespace(note=notes.note), tunnels=SimpleNamespace(disabled=disabled)
    )
    wiring.note_switch(node, peer, down, up)
    (note,) = notes
    assert f"{note['text']}: {note['cause']}" == text
    disabled.clear()
    wiring.note_switch(node, peer, False, up)
    assert len(notes) == 1  # what is up already is not brought up
