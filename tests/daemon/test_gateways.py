"""Gateways: thresholds, what is announced, and what the answers of the world mean."""

import asyncio
import struct
import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from babelwg.babel.wire.prefix import Prefix
from babelwg.config import Check, GatewayConfig
from babelwg.daemon import gateways as service_module
from babelwg.daemon.gateways import GatewayService
from babelwg.daemon.health import Health
from babelwg.linux.mirror import IFF_RUNNING, IFF_UP, Link, Mirror
from babelwg.linux.probes.command import run_command
from babelwg.linux.probes.dns import A, Malformed, pack_question, read_answer, system_server
from babelwg.linux.probes.http import judge, request
from babelwg.linux.probes.ping import checksum, is_reply, pack_echo
from babelwg.linux.probes.uplink import ProbeFailed
from babelwg.linux.routes import Route
from tests.daemon.localbench import until

DEFAULT = Prefix.parse("::/0")
PING, TCP = Check("ping", "2001:db8::1"), Check("tcp", "192.0.2.1", 443)


def test_a_check_holds_after_rise_successes_and_fails_after_fall_failures() -> None:
    health = Health(fall=3, rise=2)
    results = [None, None, "no", "no", None, "no", "no", "no", None, "no", None, None]
    states = []
    for result in results:
        health.note(result)
        states.append(health.healthy)
    assert states == [False, True, True, True, True, True, True, False, False, False, False, True]


def test_the_latest_reason_says_how_often() -> None:
    health = Health(fall=3, rise=2)
    assert health.describe() == "not checked yet"
    for _ in range(5):
        health.note("no answer in 1 s")
    assert health.describe() == "no answer in 1 s, 3 of 3 failed"
    health.note(None)
    assert health.describe() == "1 of 2 answered"


class World:
    """Answers the probes as a test tells it, at once."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.bad: set[Check] = set()
        self.asked: Counter[Check] = Counter()
        self.mirror = Mirror()
        self.changes = 0
        self.link("wan", IFF_UP | IFF_RUNNING)
        monkeypatch.setattr(service_module, "probe", self._probe)
        self.service = GatewayService(self.mirror, self._changed)

    def link(self, name: str, flags: int) -> None:
        self.mirror.set_link(Link(9, name, 1500, flags, ""))

    def prefixes(self) -> list[str]:
        return [str(prefix) for prefix in self.service.xroutes()]

    def _changed(self) -> None:
        self.changes += 1

    async def _probe(self, check: Check, gateway: GatewayConfig, mark: int) -> None:
        assert mark == 7
        self.asked[check] += 1
        if check in self.bad:
            raise ProbeFailed("no answer in 1 s")


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    async def make() -> World:
        return World(monkeypatch)

    return asyncio.run(make())


def gateway(*checks: Check, **more: Any) -> GatewayConfig:
    values: dict[str, Any] = {"interface": "wan", "interval": 0.002, "timeout": 0.001, "fall": 2, "rise": 2}
    return GatewayConfig(DEFAULT, 5, checks=checks, **(values | more))


def play(world: World, story: Callable[[], Any]) -> None:
    async def run() -> None:
        await story()
        await world.service.close()

    asyncio.run(run())


def test_a_gateway_is_announced_after_rise_successes_and_withdrawn_after_fall_failures(world: World) -> None:
    async def story() -> None:
        world.service.configure((gateway(PING),), 7)
        assert world.prefixes() == []
        assert world.service.override() == (DEFAULT,)
        await until(lambda: world.prefixes() == ["::/0"])
        assert world.service.xroutes() == {DEFAULT: (5, "gateway")}
        assert world.service.override() == ()
        world.bad.add(PING)
        await until(lambda: world.prefixes() == [])
        assert world.service.describe()[0]["reason"] == "ping 2001:db8::1: no answer in 1 s, 2 of 2 failed"
        world.bad.clear()
        await until(lambda: world.prefixes() == ["::/0"])
        counters = world.service.counters
        assert (counters["announced"], counters["withdrawn"], world.changes) == (2, 1, 3)
        assert counters["probe_ok"] + counters["probe_failed"] == world.asked.total()

    play(world, story)


@pytest.mark.parametrize(("require_all", "announced"), [(True, []), (False, ["::/0"])])
def test_all_checks_or_any_must_hold(world: World, require_all: bool, announced: list[str]) -> None:
    async def story() -> None:
        world.bad.add(TCP)
        world.service.configure((gateway(PING, TCP, require_all=require_all),), 7)
        await until(lambda: min(world.asked[PING], world.asked[TCP]) >= 4)
        assert world.prefixes() == announced

    play(world, story)


@pytest.mark.parametrize("how", ["down", "gone", "renamed"])
def test_an_uplink_that_vanishes_fails_at_once_and_begins_anew(world: World, how: str) -> None:
    async def story() -> None:
        world.service.configure((gateway(PING, interval=5.0, rise=1),), 7)
        await until(lambda: world.prefixes() == ["::/0"])
        if how == "gone":
            world.mirror.drop_link(9)
        else:
            world.link("wan" if how == "down" else "other", IFF_UP | (IFF_RUNNING if how == "renamed" else 0))
        world.service.links_changed()
        assert world.prefixes() == []
        assert world.service.describe()[0]["reason"] == "wan is down or not there"
        world.link("wan", IFF_UP | IFF_RUNNING)
        world.service.links_changed()
        assert world.prefixes() == []  # until the uplink has proved itself again

    play(world, story)


def test_a_gateway_is_undecided_until_its_checks_have_answered_often_enough(world: World) -> None:
    async def story() -> None:
        world.service.configure((gateway(PING, interval=0.05),), 7)
        for asked in (1, 2):
            assert world.service.undecided() == {DEFAULT}
            await world.service.wait_for_news()
            assert world.asked[PING] == asked
        assert (world.prefixes(), world.service.undecided()) == (["::/0"], frozenset())
        world.bad.add(PING)
        await until(lambda: world.prefixes() == [])
        assert world.service.undecided() == frozenset(), "it was found not to work"

    play(world, story)


@pytest.mark.parametrize(("require_all", "undecided"), [(True, set()), (False, {DEFAULT})])
def test_a_check_that_fails_once_decides_where_all_must_hold(
    world: World, require_all: bool, undecided: set[Prefix]
) -> None:
    async def story() -> None:
        world.bad.add(TCP)
        world.service.configure((gateway(PING, TCP, require_all=require_all, interval=5.0),), 7)
        await until(lambda: world.asked.total() == 2)
        await asyncio.sleep(0.01)
        assert world.service.undecided() == undecided

    play(world, story)


@pytest.mark.parametrize("how", ["uplink", "reload"])
def test_an_uplink_that_goes_or_a_reload_decides_a_gateway(world: World, how: str) -> None:
    async def story() -> None:
        world.service.configure((gateway(PING, interval=5.0),), 7)
        await until(lambda: world.asked[PING] == 1)
        news = asyncio.create_task(world.service.wait_for_news())
        await asyncio.sleep(0)
        assert world.service.undecided() == {DEFAULT}
        if how == "reload":
            world.service.configure((), 7)
        else:
            world.link("wan", 0)
            world.service.links_changed()
        async with asyncio.timeout(1.0):
            await news
        assert world.service.undecided() == frozenset()

    play(world, story)


def test_a_gateway_without_checks_follows_its_uplink(world: World) -> None:
    async def story() -> None:
        world.service.configure((gateway(),), 7)
        assert world.prefixes() == ["::/0"]
        world.link("wan", IFF_UP)
        world.service.links_changed()
        assert world.prefixes() == []

    play(world, story)


def test_a_reload_keeps_the_state_of_what_did_not_change(world: World) -> None:
    async def story() -> None:
        first = gateway(PING, interval=5.0, rise=1)
        other = replace(first, prefix=Prefix.parse("0.0.0.0/0"))
        world.service.configure((first,), 7)
        await until(lambda: world.prefixes() == ["::/0"])
        asked = world.asked.total()
        world.service.configure((first, other), 7)
        assert world.prefixes() == ["::/0"]
        await until(lambda: world.prefixes() == ["::/0", "0.0.0.0/0"])
        assert world.asked.total() == asked + 1
        world.service.configure((replace(first, metric=9), other), 7)
        assert world.prefixes() == ["0.0.0.0/0"]
        world.service.configure((), 7)
        assert world.prefixes() == []

    play(world, story)


def test_whether_main_has_a_way_out_is_known(world: World) -> None:
    async def story() -> None:
        world.service.configure((gateway(),), 7)
        (only,) = world.service.gateways
        assert not only.has_route()
        route = Route(DEFAULT, 254, next_hop=bytes(16), interface=9, protocol=3)
        world.mirror.main[DEFAULT, 0, 9, b""] = route
        assert only.has_route()

    play(world, story)


# What the answers mean


def test_an_echo_carries_a_right_checksum_and_only_its_own_answer_counts() -> None:
    token = bytes(range(16))
    message = pack_echo(8, 0x1234, token)
    assert checksum(message) == 0
    reply = bytes([0]) + message[1:]
    header = bytes([0x45]) + bytes(19)
    assert is_reply(header + reply, 0, 0x1234, token, 4)
    assert not is_reply(header + reply, 0, 0x1235, token, 4)
    assert not is_reply(header + reply, 0, 0x1234, bytes(16), 4)
    assert not is_reply(header + message, 0, 0x1234, token, 4)  # our own request
    assert not is_reply(b"", 0, 0x1234, token, 4)
    assert is_reply(bytes([129]) + message[1:], 129, 0x1234, token, 16)


def answer(question: bytes, code: int = 0, addresses: tuple[bytes, ...] = (b"\xc0\x00\x02\x07",)) -> bytes:
    header = question[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(addresses), 0, 0)
    records = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", A, 1, 60, len(a)) + a for a in addresses)
    return header + question[12:] + records


def test_a_dns_answer_gives_its_addresses_and_a_refusal_its_reason() -> None:
    question = pack_question("example.net", 77, A)
    assert read_answer(answer(question), question, A) == [bytes([192, 0, 2, 7])]
    assert read_answer(answer(question, addresses=()), question, A) == []
    with pytest.raises(ProbeFailed, match="no such name"):
        read_answer(answer(question, 3), question, A)
    with pytest.raises(Malformed):
        read_answer(answer(pack_question("example.org", 77, A)), question, A)
    with pytest.raises(Malformed):
        read_answer(answer(pack_question("example.net", 78, A)), question, A)
    with pytest.raises(Malformed):
        read_answer(question, question, A)  # a question is no answer


@given(st.binary(max_size=80), st.booleans())
def test_any_octets_are_an_answer_a_refusal_or_malformed(data: bytes, plausible: bool) -> None:
    question = pack_question("example.net", 77, A)
    try:
        found = read_answer(answer(question, addresses=())[:29] + data if plausible else data, question, A)
    except (Malformed, ProbeFailed):
        return
    assert all(len(address) == 4 for address in found)


def test_the_system_server_is_the_first_that_is_an_address(tmp_path: Path) -> None:
    path = tmp_path / "resolv.conf"
    path.write_text("search x\nnameserver nonsense\nnameserver fe80::1%eth0\nnameserver 192.0.2.1\n")
    assert system_server(path) == ip_address("fe80::1").packed
    path.write_text("")
    with pytest.raises(ProbeFailed, match="names no server"):
        system_server(path)
    with pytest.raises(ProbeFailed, match="no such file"):
        system_server(tmp_path / "none")


@pytest.mark.parametrize(
    ("line", "wanted", "reason"),
    [
        (b"HTTP/1.1 204 No Content\r\n", 204, None),
        (b"HTTP/1.0 302 Found\r\n", None, None),
        (b"HTTP/1.1 302 Found\r\n", 204, "status 302 instead of 204"),
        (b"HTTP/1.1 503 Busy\r\n", None, "status 503"),
        (b"SSH-2.0-x\r\n", None, "the answer is not HTTP"),
        (b"HTTP/1.1 2000\r\n", None, "the answer is not HTTP"),
        (b"", None, "no answer before the end"),
    ],
)
def test_the_status_line_decides(line: bytes, wanted: int | None, reason: str | None) -> None:
    if reason is None:
        judge(line, wanted)
        return
    with pytest.raises(ProbeFailed, match=reason):
        judge(line, wanted)


def test_a_request_names_its_host() -> None:
    assert request(Check("http", "example.net", 80, "/x")).startswith(
        b"GET /x HTTP/1.1\r\nHost: example.net\r\n"
    )
    assert b"Host: [2001:db8::1]:8080\r\n" in request(Check("http", "2001:db8::1", 8080))


def test_a_program_says_by_its_status_and_dies_with_all_it_started(tmp_path: Path) -> None:
    python = sys.executable

    async def story() -> None:
        await run_command((python, "-c", "import os; assert os.environ['X'] == 'y'"), {"X": "y"})
        with pytest.raises(ProbeFailed, match="status 3"):
            await run_command((python, "-c", "raise SystemExit(3)"), {})
        with pytest.raises(ProbeFailed, match="no such file"):
            await run_command(("/nonexistent/program",), {})
        left = tmp_path / "pid"
        script = f"sleep 600 & echo $! > {left}.new; mv {left}.new {left}; wait"
        running = asyncio.create_task(run_command(("/bin/sh", "-c", script), {}))
        await until(left.exists)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        await until(lambda: not alive(int(left.read_text())))

    asyncio.run(story())


def alive(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] not in "ZX"
