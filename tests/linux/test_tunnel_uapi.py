"""What a userspace WireGuard is told over its socket, and what its answers and failures give."""

import asyncio
import contextlib
import os
import socket
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from babelwg.config.keys import generate_private, public_of
from babelwg.linux.tunnels import embedded as embedded_module
from babelwg.linux.tunnels import uapi
from babelwg.linux.tunnels.embedded import EmbeddedBackend
from babelwg.linux.tunnels.tunnel import Tunnel, TunnelError, TunnelGone
from babelwg.linux.tunnels.uapi import UapiBackend, configure, read_state
from babelwg.wireguard.uapi import DeviceState, PeerState, format_get

PRIVATE, PEER = generate_private(), public_of(generate_private())
TUNNEL = Tunnel("bw-a", "a", "x", PRIVATE, PEER, 5000, 1420, 7, b"", endpoint=(bytes([192, 0, 2, 1]), 9))
THERE = PeerState(PEER.octets, allowed_ips=("0.0.0.0/0", "::/0"))


def talk(directory: Path, answer: str, *steps: Any) -> list[str]:
    """Serve one answer to every `get`, run the steps with the socket's path, and return every `set`."""
    told: list[str] = []
    path = directory / "bw-a.sock"

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        text = (await reader.readuntil(b"\n\n")).decode()
        if text.startswith("set"):
            told.append(text)
        writer.write(b"errno=0\n\n" if text.startswith("set") else answer.encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    async def run() -> None:
        server = await asyncio.start_unix_server(serve, path)
        try:
            for step in steps:
                await step(path)
        finally:
            server.close()
            await server.wait_closed()

    asyncio.run(run())
    return told


def told(directory: Path, device: DeviceState, previous: Tunnel | None) -> list[str]:
    """Return the lines of the `set` that a device gets, without the peer's key."""
    (text,) = talk(directory, format_get(device), lambda path: configure(path, TUNNEL, previous))
    return [line for line in text.split() if not line.startswith("public_key")]


def test_a_tunnel_of_an_earlier_life_with_a_live_session_is_told_nothing(tmp_path: Path) -> None:
    peer = replace(THERE, endpoint="198.51.100.1:77", last_handshake_time_sec=int(time.time()) - 20)
    assert told(tmp_path, DeviceState(PRIVATE.octets, 5000, 7, (peer,)), None) == ["set=1"]


def test_a_tunnel_of_an_earlier_life_without_a_session_is_told_its_endpoint(tmp_path: Path) -> None:
    peer = replace(THERE, endpoint="198.51.100.1:77", last_handshake_time_sec=int(time.time()) - 200)
    said = told(tmp_path, DeviceState(PRIVATE.octets, 5000, 7, (peer,)), None)
    assert said == ["set=1", "endpoint=192.0.2.1:9"]


def test_another_peer_is_replaced_with_everything(tmp_path: Path) -> None:
    stranger = replace(THERE, public_key=bytes(range(32)))
    said = told(tmp_path, DeviceState(PRIVATE.octets, 5000, 7, (stranger,)), None)
    assert "replace_peers=true" in said
    assert {"listen_port=5000", "endpoint=192.0.2.1:9", "allowed_ip=::/0"} <= set(said)


def test_another_preshared_key_ends_the_session_and_keeps_the_endpoint(tmp_path: Path) -> None:
    peer = replace(
        THERE,
        preshared_key=bytes(range(32)),
        endpoint="198.51.100.1:77",
        last_handshake_time_sec=int(time.time()) - 20,
        persistent_keepalive_interval=25,
    )
    device = DeviceState(PRIVATE.octets, 5000, 7, (peer,))
    # No key is one too, and a peer that is made anew has none, no keepalive and no addresses.
    anew = ["set=1", "replace_peers=true", "endpoint=198.51.100.1:77", "replace_allowed_ips=true"]
    assert told(tmp_path, device, TUNNEL) == [*anew, "allowed_ip=0.0.0.0/0", "allowed_ip=::/0"]
    keyed = replace(TUNNEL, preshared_key=PRIVATE)
    (text,) = talk(tmp_path, format_get(device), lambda path: configure(path, keyed, TUNNEL))
    assert f"preshared_key={PRIVATE.octets.hex()}" in text
    assert "replace_peers=true" in text
    device = replace(device, peers=(replace(peer, preshared_key=PRIVATE.octets),))
    (text,) = talk(tmp_path, format_get(device), lambda path: configure(path, keyed, TUNNEL))
    assert "replace_peers" not in text


def test_a_changed_endpoint_is_told_to_a_live_session(tmp_path: Path) -> None:
    peer = replace(THERE, endpoint="198.51.100.1:77", last_handshake_time_sec=int(time.time()) - 20)
    device = DeviceState(PRIVATE.octets, 5000, 7, (peer,))
    other = replace(TUNNEL, endpoint=(bytes([192, 0, 2, 3]), 9))
    assert told(tmp_path, device, other) == ["set=1", "endpoint=192.0.2.1:9"]
    # A name that resolves only now is no change.
    assert told(tmp_path, device, replace(TUNNEL, endpoint=None)) == ["set=1"]
    assert told(tmp_path, device, TUNNEL) == ["set=1"]


@pytest.mark.parametrize(
    "answer", ["errno=many\n\n", f"public_key={PEER.octets.hex()}\nendpoint=somewhere\nerrno=0\n\n"]
)
def test_an_answer_that_makes_no_sense_is_an_error_of_the_tunnel(tmp_path: Path, answer: str) -> None:
    with pytest.raises(TunnelError):
        talk(tmp_path, answer, read_state)


def test_a_socket_that_nobody_serves_is_a_tunnel_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(TunnelGone):
        asyncio.run(read_state(tmp_path / "bw-a.sock"))


class NoLinks:
    """Enough of a netlink socket for a machine without interfaces."""

    async def link_lookup(self, **what: str) -> list[int]:
        return []


@pytest.mark.parametrize("content", ["#!/bin/sh\nexit 0\n", "not a program", "#!/nowhere/interpreter\n"])
def test_a_program_that_is_no_wireguard_is_an_error_of_the_tunnel(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    program = tmp_path / "program"
    program.write_text(content)
    program.chmod(0o755)
    monkeypatch.setattr(uapi, "START_TIMEOUT", 0.2)
    iproute: Any = NoLinks()
    with pytest.raises(TunnelError):
        asyncio.run(UapiBackend(iproute, str(program), tmp_path).create(TUNNEL))


def test_the_data_plane_outlives_the_loop_that_started_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "dataplane.log"
    log.write_bytes(b"x" * (embedded_module.MAX_LOG + 1))
    stand_in = tmp_path / "python"
    stand_in.write_text("#!/bin/sh\nexec sleep 20\n")
    stand_in.chmod(0o755)
    monkeypatch.setattr(embedded_module.sys, "executable", str(stand_in))
    monkeypatch.setattr(embedded_module, "START_TIMEOUT", 0.1)
    backend = EmbeddedBackend(tmp_path / "dataplane.sock", lambda: None, tmp_path)
    with pytest.raises(TunnelError, match="did not serve"):
        asyncio.run(backend.create(TUNNEL))
    process = backend._process
    assert process is not None
    try:
        assert process.poll() is None
        assert os.getsid(process.pid) == process.pid
        assert log.stat().st_size == 0
    finally:
        process.kill()
        process.wait()


def test_a_data_plane_that_cannot_be_started_is_an_error_of_the_tunnel(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    backend = EmbeddedBackend(tmp_path / "file" / "dataplane.sock", lambda: None, tmp_path)
    with pytest.raises(TunnelError, match="cannot be started"):
        asyncio.run(backend.create(TUNNEL))


def test_the_data_plane_is_left_to_its_unit_where_systemd_runs_the_daemon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = tmp_path / "asked"
    stand_in = tmp_path / "systemctl"
    stand_in.write_text(f'#!/bin/sh\necho "$@" > {asked}\n')
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv(embedded_module.UNIT_VARIABLE, "babelwg-dataplane.service")
    monkeypatch.setattr(embedded_module, "START_TIMEOUT", 0.3)
    backend = EmbeddedBackend(tmp_path / "dataplane.sock", lambda: None, tmp_path)
    # systemctl ends well at once, and the unit has its time to serve the socket.
    with pytest.raises(TunnelError, match="did not serve"):
        asyncio.run(backend.create(TUNNEL))
    assert asked.read_text() == "start --no-ask-password babelwg-dataplane.service\n"
    stand_in.write_text("#!/bin/sh\necho 'Unit not found.' >&2\nexit 5\n")
    with pytest.raises(TunnelError, match="did not start: Unit not found"):
        asyncio.run(backend.create(TUNNEL))


def test_the_data_plane_is_of_the_same_package_wherever_the_daemon_was_started(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A package of the same name in the current directory must not be run, perhaps as root.
    (tmp_path / "babelwg").mkdir()
    (tmp_path / "babelwg" / "__init__.py").write_text("raise SystemExit(3)")
    monkeypatch.chdir(tmp_path)
    control = tmp_path / "dataplane.sock"
    backend = EmbeddedBackend(control, lambda: None, tmp_path)

    async def start_and_end() -> bool:
        await backend._ensure_running()
        there = await uapi.answers(control)
        await backend.shut_down()
        return there

    assert asyncio.run(start_and_end())


def test_a_data_plane_that_hangs_is_told_with_how_long_it_was_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("babelwg.linux.tunnels.uapi.ANSWER_TIMEOUT", 0.1)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / "bw-a.sock"))
        silent.listen()
        with pytest.raises(TunnelError, match=r"gave no proper answer: none within 0\.1 s$"):
            asyncio.run(read_state(tmp_path / "bw-a.sock"))


@pytest.mark.parametrize("knows_watch", [True, False])
def test_news_of_the_data_plane_are_heard_also_after_an_upgrade(tmp_path: Path, knows_watch: bool) -> None:
    told: list[str] = []
    asked: list[bytes] = []
    ends: list[asyncio.StreamWriter] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer), contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                asked.append(await reader.readuntil(b"\n\n"))
                if asked[-1].startswith(b"list"):
                    writer.write(b"interface=bw-a\nstate=open\nmtu=1\nlisten_port=1\nerrno=0\n\n")
                elif not knows_watch:
                    writer.write(b"message='watch' is not a command\nerrno=22\n\n")
                    ends.append(writer)
                else:
                    life = len(ends)
                    writer.write(b"errno=0\n\nunanswered=bw-%d\n\nother=1\n\nunanswered=bw-b\n\n" % life)
                    ends.append(writer)

    async def until(condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.01)

    async def run() -> None:
        lost: list[bool] = []
        control = tmp_path / "dataplane.sock"
        server = await asyncio.start_unix_server(serve, control)
        backend = EmbeddedBackend(control, lambda: lost.append(True), tmp_path)
        backend.unanswered = told.append
        backend._made.add("bw-a")
        await backend._ensure_running()
        await until(lambda: len(ends) == 1)
        await until(lambda: len(told) == 2 * knows_watch)
        ends[0].close()  # as by an upgrade
        await until(lambda: len(ends) == 2)
        await until(lambda: len(told) == 4 * knows_watch)
        assert not lost
        await backend.detach()
        for end in ends:
            end.close()
        server.close()

    asyncio.run(run())
    assert asked.count(b"watch=1\n\n") == 2
    assert told == (["bw-0", "bw-b", "bw-1", "bw-b"] if knows_watch else [])
