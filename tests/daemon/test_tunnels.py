"""The tunnel service over back ends that fail in every way."""

import asyncio
import errno
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from babelwg.babel.wire.prefix import Prefix
from babelwg.config import Config
from babelwg.config.addresses import Endpoint
from babelwg.config.keys import generate_private, public_of
from babelwg.config.model import BabelConfig, NodeConfig, PeerConfig, TunnelsConfig
from babelwg.daemon import tunnel_names as names_module
from babelwg.daemon import tunnels as service_module
from babelwg.daemon.endpoints import EndpointResolver
from babelwg.daemon.store import Store
from babelwg.daemon.tunnel_notes import alias_for
from babelwg.daemon.tunnels import TunnelService
from babelwg.linux.errors import KernelError
from babelwg.linux.mirror import Link, Mirror
from babelwg.linux.tunnels.tunnel import Tunnel, TunnelError, TunnelGone, TunnelState, settings_of

FIRST, SECOND = (bytes([192, 0, 2, 1]), 7), (bytes([192, 0, 2, 2]), 7)


class FakeBackend:
    """A back end in memory; `failures` says what each call on an interface raises."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.there: dict[str, Tunnel] = {}
        self.calls: list[str] = []
        self.failures: dict[tuple[str, str], Exception] = {}
        self.received = 0
        self.handshake = 0.0

    def _note(self, verb: str, interface: str) -> None:
        self.calls.append(f"{verb} {interface}")
        if (verb, interface) in self.failures:
            raise self.failures[verb, interface]

    async def create(self, tunnel: Tunnel) -> None:
        self._note("create", tunnel.interface)

    async def configure(self, tunnel: Tunnel, previous: Tunnel | None) -> None:
        self._note("configure", tunnel.interface)
        self.there[tunnel.interface] = tunnel

    async def state(self, interface: str) -> TunnelState:
        self._note("state", interface)
        settings = settings_of(self.there[interface])
        return TunnelState(None, self.handshake, self.received, 0, settings.listen_port, settings)

    async def remove(self, interface: str) -> None:
        self._note("remove", interface)
        self.there.pop(interface, None)

    async def shut_down(self) -> None:
        self._note("shut_down", self.name)

    async def detach(self) -> None:
        self._note("detach", self.name)


class Lab:
    """A service with fake back ends and a real store."""

    def __init__(self, directory: Path) -> None:
        self.key = generate_private()
        self.keys = {name: public_of(generate_private()) for name in "abc"}
        self.store = Store(directory, "key")
        self.routing: Any = SimpleNamespace(
            set_endpoints=lambda endpoints: None,
            wanted={},
            want=lambda name, wanted: None,
            take_leave=self._take_leave,
        )
        self.left: list[list[str]] = []  # each with what the program was told before
        self.service = self.restarted()

    def restarted(self) -> TunnelService:
        """Return the service of a next life, which knows what the store knows."""
        iproute: Any = None
        self.mirror = Mirror()
        nowhere = Path("/nowhere")
        service = TunnelService(iproute, self.routing, self.store, nowhere, lambda names: None, self.mirror)
        self.embedded, self.program = FakeBackend("embedded"), FakeBackend("program")
        fakes: Any = {"embedded": self.embedded, "program": self.program}
        service.embedded, service._programs = fakes["embedded"], fakes
        return service

    async def _take_leave(self, names: list[str]) -> None:
        if names:
            self.left.append([*names, *self.program.calls])

    def config(self, *names: str, backend: str = "program", endpoints: tuple[Endpoint, ...] = ()) -> Config:
        return Config(
            node=NodeConfig(name="n", private_key=self.key, private_key_file=Path("key")),
            tunnels=TunnelsConfig(backend=backend),
            babel=BabelConfig(),
            peers=tuple(PeerConfig(n, self.keys[n], f"bw-{n}", endpoints) for n in names),
            source=Path("babelwg.toml"),
        )


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    async def nothing(*arguments: object) -> None:
        return None

    monkeypatch.setattr(service_module, "set_up_tunnel", nothing)
    monkeypatch.setattr(names_module, "alias_of", nothing)
    made = Lab(tmp_path)
    yield made
    made.store.close()


@pytest.mark.parametrize(
    "error", [TimeoutError(), OSError(24, "Too many"), ValueError("x"), TunnelError("no")]
)
def test_one_bad_tunnel_ends_neither_the_others_nor_the_service(lab: Lab, error: Exception) -> None:
    lab.program.failures["configure", "bw-a"] = error
    asyncio.run(lab.service.configure(lab.config("a", "b")))
    assert lab.service.actual.keys() == {"bw-b"}
    assert lab.service.problems.keys() == {"bw-a"}


@pytest.mark.parametrize("error", [OSError(5, "Input/output error"), TunnelError("deaf")])
def test_a_silent_tunnel_is_a_problem_until_it_answers(lab: Lab, error: Exception) -> None:
    asyncio.run(lab.service.configure(lab.config("a", "b")))
    lab.program.failures["state", "bw-a"] = error
    assert asyncio.run(lab.service.states()).keys() == {"bw-b"}
    assert lab.service.problems.keys() == {"bw-a"}
    lab.program.failures.clear()
    assert asyncio.run(lab.service.states()).keys() == {"bw-a", "bw-b"}
    assert not lab.service.problems


def test_a_session_is_told_as_soon_as_somebody_is_heard(lab: Lab) -> None:
    notes: list[str] = []

    async def run() -> None:
        service = lab.service
        service.watch.note = lambda event, *words, **fields: notes.append(event)
        await service.configure(lab.config("a"))
        lab.program.handshake = time.time()
        service.ask_soon("bw-of-nobody")
        service.ask_soon("bw-a")
        async with asyncio.timeout(60):
            while "handshake-came" not in notes:
                await asyncio.sleep(0)

    asyncio.run(run())
    assert lab.program.calls.count("state bw-a") == 1


def test_what_a_tunnel_told_is_kept_while_it_is_silent(lab: Lab) -> None:
    async def run() -> None:
        await lab.service.configure(lab.config("a", "b"))
        assert {told.age for told in (await lab.service.told()).values()} == {0.0}
        lab.program.failures["state", "bw-a"] = TunnelError("deaf")
        told = await lab.service.told()
        assert (told["bw-a"].age > 0, told["bw-b"].age) == (True, 0.0)

    asyncio.run(run())
    assert lab.service.problems["bw-a"].reason == "deaf"


def test_a_tunnel_that_nothing_serves_is_made_again(lab: Lab) -> None:
    asyncio.run(lab.service.configure(lab.config("a")))
    lab.program.failures["state", "bw-a"] = TunnelGone("nothing serves it")
    asyncio.run(lab.service.states())
    assert not lab.service.actual
    asyncio.run(lab.service.reconcile())
    assert lab.program.calls.count("create bw-a") == 2
    assert not lab.service.problems


def test_tunnels_that_the_configuration_loses_say_farewell_together_before_they_go(lab: Lab) -> None:
    async def scene() -> None:
        await lab.service.configure(lab.config("a", "b", "c"))
        lab.program.calls.clear()
        await lab.service.configure(lab.config("b"))
        assert lab.left == [["bw-a", "bw-c"]]
        assert lab.program.calls == ["remove bw-a", "remove bw-c"]

    asyncio.run(scene())


def test_a_back_end_changed_while_stopped_loses_its_tunnel_first(lab: Lab) -> None:
    asyncio.run(lab.service.configure(lab.config("a")))
    service = lab.restarted()
    asyncio.run(service.configure(lab.config("a", backend="embedded")))
    assert lab.program.calls == ["remove bw-a"]
    assert lab.embedded.calls == ["create bw-a", "configure bw-a"]
    assert lab.store.tunnels() == {"bw-a": "embedded"}


def test_what_cannot_be_removed_is_not_forgotten_for_another_back_end(lab: Lab) -> None:
    asyncio.run(lab.service.configure(lab.config("a")))
    service = lab.restarted()
    lab.program.failures["remove", "bw-a"] = TunnelError("stuck")
    asyncio.run(service.configure(lab.config("a", backend="embedded")))
    assert lab.embedded.calls == []
    assert lab.store.tunnels() == {"bw-a": "program"}
    lab.program.failures.clear()
    asyncio.run(service.reconcile())
    assert lab.store.tunnels() == {"bw-a": "embedded"}


def test_withdraw_removes_the_failed_ones_too_and_nothing_is_made_after_it(lab: Lab) -> None:
    async def run() -> None:
        lab.program.failures["configure", "bw-a"] = TunnelError("no")
        await lab.service.configure(lab.config("a", "b", "c"))
        lab.program.failures["remove", "bw-b"] = OSError(5, "Input/output error")
        lab.embedded.failures["shut_down", "embedded"] = TunnelError("deaf")
        await lab.service.withdraw()
        await lab.service.reconcile()
        await lab.service.configure(lab.config("a", "b", "c"))

    asyncio.run(run())
    assert lab.store.tunnels() == {"bw-b": "program"}
    calls = lab.program.calls
    assert sorted(calls[-3:]) == ["remove bw-a", "remove bw-b", "remove bw-c"]


@pytest.mark.parametrize(("alias", "made"), [("babelwg another-key", True), ("mine", False), ("", False)])
def test_an_interface_with_our_mark_is_ours_whatever_the_key(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, alias: str, made: bool
) -> None:
    async def alias_of(*arguments: object) -> str:
        return alias

    monkeypatch.setattr(names_module, "alias_of", alias_of)
    asyncio.run(lab.service.configure(lab.config("a")))
    assert ("bw-a" in lab.service.actual) is made


def link(index: int, name: str, alias: str = "") -> Link:
    return Link(index, name, 1420, 1, "tun", alias=alias)


class Renaming:
    """Takes the requests for names that go to the kernel, and refuses them with `errors`, the first one first."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *errors: int) -> None:
        self.asked: list[tuple[int, str]] = []
        self.errors = list(errors)
        monkeypatch.setattr(names_module, "rename_link", self.rename)

    async def rename(self, iproute: object, index: int, name: str) -> None:
        self.asked.append((index, name))
        if self.errors and (error := self.errors.pop(0)):
            raise KernelError("rename interface to", name, error)


def renamed(lab: Lab, notes: list[str], backend: str = "program") -> None:
    """Make a tunnel and have another program rename its interface."""
    lab.service.watch.note = lambda event, *words, **fields: notes.append(event)
    asyncio.run(lab.service.configure(lab.config("a", backend=backend)))
    lab.mirror.set_link(link(5, "zzz", alias_for(lab.service.actual["bw-a"])))
    notes.clear()
    lab.service.interface_missing("bw-a")


@pytest.mark.parametrize("backend", ["program", "embedded"])
def test_a_renamed_interface_gets_its_name_back(
    lab: Lab, monkeypatch: pytest.MonkeyPatch, backend: str
) -> None:
    notes: list[str] = []
    kernel = Renaming(monkeypatch)
    renamed(lab, notes, backend)
    asyncio.run(lab.service.reconcile())
    assert kernel.asked == [(5, "bw-a")]
    assert "bw-a" in lab.service.actual
    assert notes == ["tunnel-renamed", "tunnel-set"]


def test_a_renamed_interface_is_known_by_its_index_too(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    async def set_up(*arguments: object) -> int:
        return 5

    monkeypatch.setattr(service_module, "set_up_tunnel", set_up)
    kernel = Renaming(monkeypatch)
    asyncio.run(lab.service.configure(lab.config("a")))
    lab.mirror.set_link(link(5, "zzz", "somebody's words"))
    lab.service.interface_missing("bw-a")
    asyncio.run(lab.service.reconcile())
    assert kernel.asked == [(5, "bw-a")]
    # Once it is gone, what has its index is another's.
    lab.mirror.drop_link(5)
    lab.service.interface_missing("bw-a")
    lab.mirror.set_link(link(5, "eth0"))
    asyncio.run(lab.service.reconcile())
    assert kernel.asked == [(5, "bw-a")]


def test_a_name_that_is_taken_meanwhile_is_a_problem_until_it_is_free(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Renaming(monkeypatch, errno.EEXIST, errno.EPERM)
    renamed(lab, [])
    lab.mirror.set_link(link(6, "bw-a"))
    asyncio.run(lab.service.reconcile())
    taken = "another program renamed bw-a to zzz, and its own name is taken meanwhile"
    assert lab.service.problems["bw-a"].reason == taken
    assert kernel.asked == []
    lab.mirror.drop_link(6)  # now only the kernel knows of an interface with this name
    asyncio.run(lab.service.reconcile())
    assert lab.service.problems["bw-a"].reason == taken
    asyncio.run(lab.service.reconcile())
    assert "cannot be renamed back" in lab.service.problems["bw-a"].reason
    asyncio.run(lab.service.reconcile())
    assert kernel.asked == [(5, "bw-a")] * 3
    assert not lab.service.problems
    assert "bw-a" in lab.service.actual


def test_a_renamed_interface_is_removed_and_not_what_has_its_name(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernel = Renaming(monkeypatch)
    renamed(lab, [])
    lab.mirror.set_link(link(6, "bw-a"))
    asyncio.run(lab.service.configure(lab.config()))
    assert "remove bw-a" not in lab.program.calls
    lab.mirror.drop_link(6)
    asyncio.run(lab.service.reconcile())
    assert (kernel.asked, lab.program.calls[-1]) == ([(5, "bw-a")], "remove bw-a")


def test_endpoints_turn_only_where_no_octet_came(lab: Lab) -> None:
    async def run() -> list[object]:
        endpoints = (Endpoint("192.0.2.1", 7), Endpoint("192.0.2.2", 7))
        await lab.service.configure(lab.config("a", endpoints=endpoints))
        seen: list[object] = []
        for lab.program.received in (0, 100, 200, 200):
            await lab.service._check()
            seen.append(lab.service.resolvers["a"].current)
        return seen

    assert asyncio.run(run()) == [SECOND, SECOND, SECOND, FIRST]


def test_endpoints_turn_where_the_latest_handshake_lies_in_the_future(lab: Lab) -> None:
    async def run() -> list[object]:
        endpoints = (Endpoint("192.0.2.1", 7), Endpoint("192.0.2.2", 7))
        await lab.service.configure(lab.config("a", endpoints=endpoints))
        lab.program.received, lab.program.handshake = 100, time.time() + 3600  # the clock was set back
        seen: list[object] = []
        for _ in range(3):
            await lab.service._check()
            seen.append(lab.service.resolvers["a"].current)
        return seen

    assert asyncio.run(run()) == [FIRST, SECOND, FIRST]


def test_endpoints_stay_with_a_young_session_when_the_clock_is_set(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run(step: float) -> object:
        endpoints = (Endpoint("192.0.2.1", 7), Endpoint("192.0.2.2", 7))
        await lab.service.configure(lab.config("a", endpoints=endpoints))
        lab.program.received, lab.program.handshake = 100, time.time() - 30
        await lab.service._check()
        now = time.time
        with monkeypatch.context() as patch:
            patch.setattr("babelwg.daemon.tunnels.time", SimpleNamespace(time=lambda: now() + step))
            patch.setattr(lab.service._handshakes, "_wall", lambda: now() + step)
            await lab.service._check()
        return lab.service.resolvers["a"].current

    assert asyncio.run(run(-3600.0)) == FIRST
    lab.service = lab.restarted()
    assert asyncio.run(run(3600.0)) == FIRST


def test_a_silent_tunnel_elsewhere_is_told_its_endpoint_again(lab: Lab) -> None:
    async def run() -> None:
        await lab.service.configure(lab.config("a", endpoints=(Endpoint("192.0.2.1", 7),)))
        await lab.service._check()
        await lab.service.reconcile()

    asyncio.run(run())
    assert lab.program.calls.count("configure bw-a") == 2


def test_an_answer_about_a_tunnel_that_changed_meanwhile_counts_for_nothing(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def run() -> None:
        await lab.service.configure(lab.config("a"))
        old = lab.service.actual["bw-a"]

        async def state(interface: str) -> TunnelState:
            await lab.service.configure(lab.config("a", backend="embedded"))
            return TunnelState(None, 0.0, 0, 0, 1, None)

        monkeypatch.setattr(lab.program, "state", state)
        await lab.service._check()
        assert lab.service.actual["bw-a"] is not old

    asyncio.run(run())
    assert lab.service.actual["bw-a"].backend == "embedded"


def test_a_resolver_stays_with_an_address_while_it_is_among_the_answers() -> None:
    async def run() -> None:
        name = Endpoint("host.invalid", 7)
        resolver = EndpointResolver("p", (name,), lambda: None)
        resolver._take(name, (FIRST, SECOND))
        resolver._take(name, (SECOND, FIRST))
        assert resolver.current == FIRST
        resolver._take(name, (SECOND,))
        assert resolver.current == SECOND
        resolver.close()

    asyncio.run(run())


@pytest.mark.parametrize("host", ["fe80::1%eth0", "fe80::1"])
def test_a_link_local_endpoint_is_refused_by_name(host: str) -> None:
    async def run() -> EndpointResolver:
        resolver = EndpointResolver("p", (Endpoint(host, 7),), lambda: None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        resolver.close()
        return resolver

    resolver = asyncio.run(run())
    assert resolver.current is None
    assert resolver.problem == f"{host}: link-local endpoints are not supported"


def test_no_thread_for_a_look_up_is_a_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: object) -> None:
        raise RuntimeError("can't start new thread")

    async def run() -> EndpointResolver:
        resolver = EndpointResolver("p", (Endpoint("host.invalid", 7),), lambda: None)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        resolver.close()
        return resolver

    with monkeypatch.context() as patch:
        patch.setattr("threading.Thread.start", refuse)
        assert asyncio.run(run()).problem == "host.invalid does not resolve: can't start new thread"


def test_a_tunnel_taken_down_says_farewell_first_and_stays_down_over_a_reload(lab: Lab) -> None:
    async def scene() -> None:
        service, config = lab.service, lab.config("a", "b")
        await service.configure(config)
        lab.program.calls.clear()
        await service.switch(config.peers[0], down=True, up=False)
        assert lab.left == [["bw-a"]]
        assert lab.program.calls == ["remove bw-a"]
        assert service.actual.keys() == {"bw-b"}
        ports = {name: tunnel.listen_port for name, tunnel in service.actual.items()}
        await service.configure(lab.config("a", "b", endpoints=()))
        assert service.actual.keys() == {"bw-b"}
        assert {name: tunnel.listen_port for name, tunnel in service.actual.items()} == ports
        await service.switch(config.peers[0], down=False, up=True)
        assert service.actual.keys() == {"bw-a", "bw-b"}
        # A peer that is configured anew is a new one.
        await service.switch(config.peers[0], down=True, up=False)
        await service.configure(lab.config("b"))
        await service.configure(config)
        assert service.actual.keys() == {"bw-a", "bw-b"}

    asyncio.run(scene())


def test_babel_runs_on_no_tunnel_of_a_peer_without_it(lab: Lab) -> None:
    async def scene() -> None:
        wanted: dict[str, Any] = lab.routing.wanted
        lab.routing.want = lambda name, interface: wanted.update({name: interface})
        config = lab.config("a", "b")
        await lab.service.configure(config)
        assert None not in wanted.values()
        leaf = replace(config.peers[0], leaf_addresses=(Prefix.parse("10.9.0.5/32"),))
        await lab.service.configure(replace(config, peers=(leaf, config.peers[1])))
        assert [name for name, interface in wanted.items() if interface is None] == ["bw-a"]
        await lab.service.configure(config)
        assert None not in wanted.values()

    asyncio.run(scene())
