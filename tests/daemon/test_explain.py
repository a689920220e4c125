"""`route explain` over prepared situations: a real speaker and installer, a kernel that does as it is told."""

import asyncio
import errno
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from babelwg.babel.wire.prefix import Prefix
from babelwg.cli.render.explain import render_explain
from babelwg.cli.schema import definitions
from babelwg.config import BabelConfig, Config, Key, NodeConfig, PeerConfig, TunnelsConfig
from babelwg.config.addresses import covers, host_prefix
from babelwg.config.babeld import parse_babeld
from babelwg.daemon.control import RequestError
from babelwg.daemon.effective import policy_of
from babelwg.daemon.explain import takers
from babelwg.daemon.explain.takers import find_takers, sample
from babelwg.daemon.installer import RouteInstaller
from babelwg.daemon.names import Names
from babelwg.daemon.queries.context import Context
from babelwg.daemon.queries.explain import Explain
from babelwg.linux.fib import KernelRoutes
from babelwg.linux.mirror import IFF_LOOPBACK, IFF_RUNNING, IFF_UP, Link, Mirror
from babelwg.linux.routes import THROW, UNICAST, UNREACHABLE, Route
from tests.babel.bench import ORIGIN, OUR_ID, Bench, neighbour_address, retraction, update
from tests.linux.fakekernel import FakeKernel

NAMES = ("bravo", "charlie", "delta")
D = Prefix.parse("2001:db8:1::/48")
FAR = Prefix.parse("10.9.0.0/16")
WAN = 20
VALIDATOR = Draft202012Validator({"$ref": "#/$defs/route_explain", "$defs": definitions()})


class Situation:
    """A node whose peers bravo, charlie and delta exist only as packets."""

    def __init__(self, directory: Path, monkeypatch: pytest.MonkeyPatch, filters: str = "") -> None:
        monkeypatch.setattr("babelwg.daemon.names.SYSTEM_HOSTS", directory / "none")
        (directory / "hosts").write_text(f"{ORIGIN.hex(':')} echo\n2001:db8:1::/48 echo\n")
        self.bench = Bench()
        self.kernel, self.mirror = FakeKernel(), Mirror()
        self.mirror.set_link(Link(1, "lo", 65536, IFF_UP | IFF_LOOPBACK, ""))
        self.mirror.set_link(Link(WAN, "eth0", 1500, IFF_UP | IFF_RUNNING, ""))
        for number, name in enumerate(NAMES, 1):
            self.mirror.set_link(Link(number + 1, f"bw-{name}", 1420, IFF_UP | IFF_RUNNING, "tun"))
            self.bench.interface(f"bw-{name}")
            self.bench.meet(number, f"bw-{name}", hellos=16)
        self.bench.wait(0.5)
        routes: Any = self.kernel
        self.routes = KernelRoutes(routes, 6696)
        running = {f"bw-{name}": number + 1 for number, name in enumerate(NAMES, 1)}
        self.installer = RouteInstaller(self.bench.speaker, self.routes, self.mirror, running)
        babeld = parse_babeld(filters, "babeld.conf")
        peers = tuple(PeerConfig(n, Key(bytes([i]) * 32), f"bw-{n}") for i, n in enumerate(NAMES, 5))
        node = NodeConfig("alpha", Key(b"\x11" * 32), Path("node.key"))
        self.config = Config(node, TunnelsConfig(), BabelConfig(babeld=babeld), peers, directory / "c")
        self.announced: dict[Prefix, tuple[int, str]] = {}
        routing = SimpleNamespace(
            speaker=self.bench.speaker, installer=self.installer, announced=self.announced
        )
        self.node: Any = SimpleNamespace(
            config=self.config,
            config_path=directory / "c",
            routing=routing,
            routes=self.routes,
            monitor=SimpleNamespace(mirror=self.mirror),
            requests=None,
        )
        self.node.names = Names(self.node)
        self.peers: list[dict[str, Any]] = []
        monkeypatch.setattr("babelwg.daemon.queries.explain.match", self.match)
        monkeypatch.setattr("babelwg.daemon.queries.explain.describe_peers", self.describe_peers)
        if filters:
            self.installer.set_policy(policy_of(self.config), self.bench.now)

    def hear(self, peer: str, *tlvs: Any) -> None:
        number = NAMES.index(peer) + 1
        tlvs = tuple(
            replace(t, next_hop=neighbour_address(number)) if getattr(t, "next_hop", None) else t
            for t in tlvs
        )
        self.bench.receive(tlvs, number, f"bw-{peer}")
        self.settle()

    def settle(self, seconds: float = 0.2) -> None:
        self.installer.handle(self.bench.speaker.events(), self.bench.now)
        self.routes.flush()
        self.bench.wait(seconds)

    def pump(self) -> None:
        """Do what the speaker asks until the kernel refuses nothing of it."""
        refuses = True
        while refuses:
            self.installer.handle(self.bench.speaker.events(), self.bench.now)
            self.routes.flush()
            refuses = self.installer.reconsider(self.bench.now)
        self.settle()

    def main(self, text: str) -> None:
        route = Route(Prefix.parse(text), 254, UNICAST, b"", WAN, priority=0, protocol=3)
        self.mirror.main[route.prefix, 0, WAN, b""] = route
        self.kernel.places[route.place] = route
        self.installer.guard(self.bench.now)
        self.settle()

    def match(self, requests: Any, destination: bytes, source: bytes | None) -> Route | None:
        del requests, source
        for table in (6696, 254):
            found = [
                route
                for (held, prefix), route in self.kernel.places.items()
                if held == table and not prefix.source_plen and covers(prefix, host_prefix(destination))
            ]
            best = max(found, key=lambda route: route.prefix.plen, default=None)
            if best is not None and best.kind != THROW:
                return None if best.kind == UNREACHABLE else best
        return None

    async def describe_peers(self, *arguments: Any) -> list[dict[str, Any]]:
        del arguments
        return self.peers

    def ask(self, text: str) -> dict[str, Any]:
        context = Context(self.node)
        context.now = lambda: self.bench.now  # type: ignore[method-assign]
        explain = Explain(context).methods()["route_explain"]

        async def run() -> Any:
            asyncio.get_running_loop().time = lambda: self.bench.now  # type: ignore[method-assign]
            return await explain({"prefix": text})

        loop = asyncio.new_event_loop()
        try:
            data: dict[str, Any] = loop.run_until_complete(run())
        finally:
            loop.close()
        VALIDATOR.validate(data)
        return data

    def text(self, text: str) -> str:
        rendered = render_explain(self.ask(text), 80)
        assert max(map(len, rendered.splitlines())) <= 80
        return rendered


@pytest.fixture
def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda filters="": Situation(tmp_path, monkeypatch, filters)


BEST = """\
2001:db8:1::/48 goes via bravo, metric 196, because it has the smallest metric
  of 2 usable routes

* bravo (bw-bravo)  metric 196 = 96 link + 100 at bravo
    feasible: smaller metric, 100 below 196 at the same seqno
    announced by echo, seqno 7, learned 0s ago, expires in 55s
  charlie (bw-charlie)  metric 216 = 96 link + 120 at charlie
    feasible: smaller metric, 120 below 196 at the same seqno
    announced by echo, seqno 7, learned 0s ago, expires in 55s

next      charlie, metric 216
told      bravo: nothing: it came from there (split horizon)
          charlie, delta: metric 196
kernel    agrees: via fe80::1001 on bw-bravo table 6696"""


def test_best(make: Any) -> None:
    found = make()
    found.hear("bravo", update(metric=100))
    found.hear("charlie", update(metric=120))
    assert found.text("2001:db8:1::/48") == BEST
    data = found.ask("2001:db8:1::77")
    assert (data["prefix"], data["agrees"], data["has_route"]) == ("2001:db8:1::/48", True, True)
    assert found.text("2001:db8:1::77").startswith("2001:db8:1::77 is in 2001:db8:1::/48. ")


def test_infeasible_by_an_equal_metric_and_by_seqno(make: Any) -> None:
    found = make()
    found.hear("bravo", update(metric=96, seqno=12))
    found.hear("charlie", update(metric=192, seqno=12))
    found.hear("delta", update(metric=5, seqno=11))
    text = found.text("2001:db8:1::/48")
    assert text.startswith(
        "2001:db8:1::/48 goes via bravo, metric 192, because it is the only usable route\n"
    )
    assert "    unfeasible: the same seqno and metric 192 is not smaller than 192\n" in text
    assert "    unfeasible: seqno 11 is older than 12\n" in text
    assert "next      no other route may be used at once; delta after a newer seqno\n" in text


def test_retracted_with_a_seqno_request_under_way_and_a_hold(make: Any) -> None:
    found = make()
    found.hear("bravo", update(metric=96))
    found.hear("charlie", update(metric=192))
    found.hear("bravo", retraction())
    found.settle(0.1)
    data = found.ask("2001:db8:1::/48")
    assert data["answer"] == (
        "2001:db8:1::/48 has no route: no route is feasible; seqno 8 was requested from charlie 0.1 s ago;"
        " held unreachable for at most 56 s, until the neighbours confirm"
    )
    assert (data["outcome"], data["has_route"], data["kernel"]) == ("unfeasible", False, None)
    assert data["kernel_words"] == "the kernel refuses such packets"
    text = found.text("2001:db8:1::/48")
    assert "request   seqno 8 of echo, asked of charlie 0.1s ago, 26 more tries\n" in text
    assert "held      unreachable for 0s, 55s more at most, for charlie and delta\n" in text
    assert (
        "  bravo (bw-bravo)  metric inf: nothing is announced any more\n    retracted by its neighbour\n"
        in text
    )


def test_hold_time_alone(make: Any) -> None:
    found = make()
    found.bench.speaker.announce(D, 0, found.bench.now)
    found.settle()
    found.bench.speaker.withdraw(D, found.bench.now)
    found.settle()
    data = found.ask("2001:db8:1::/48")
    assert data["answer"].startswith(
        "2001:db8:1::/48 has no route: no neighbour announces it; held unreachable"
    )
    assert data["held"]["waiting"] == ["bravo", "charlie", "delta"]


def test_filtered_in_by_a_line_and_kept_from_the_kernel_by_another(make: Any) -> None:
    found = make(
        "# lines\nin ip 2001:db8:1::/48 if bw-bravo deny\ninstall ip 10.9.0.0/16 deny\nin metric 30\n"
    )
    found.hear("bravo", update(metric=96))
    assert found.ask("2001:db8:1::/48")["answer"] == (
        "2001:db8:1::/48 has no route: filtered by `in ip 2001:db8:1::/48 if bw-bravo deny` (babeld.conf:2)"
    )
    found.hear("charlie", update(metric=96))
    text = found.text("2001:db8:1::/48")
    assert "* charlie (bw-charlie)  metric 222 = 96 link + 30 filter + 96 at charlie\n" in text
    assert "    `in metric 30` (babeld.conf:4) adds 30\n" in text
    assert "  bravo (bw-bravo)  metric inf: denied\n    filtered in\n" in text
    assert "    `in ip 2001:db8:1::/48 if bw-bravo deny` (babeld.conf:2) denies it\n" in text
    found.hear("delta", update(FAR, metric=96))
    assert "filtered by `install ip 10.9.0.0/16 deny` (babeld.conf:3)" in found.ask("10.9.0.0/16")["answer"]


def test_filtered_out(make: Any) -> None:
    found = make("out if bw-delta deny\nout if bw-charlie metric 50\n")
    found.hear("bravo", update(metric=96))
    text = found.text("2001:db8:1::/48")
    told = " ".join(line.strip() for line in text.partition("told ")[2].partition("\nkernel")[0].splitlines())
    assert told.startswith("bravo: nothing: it came from there (split horizon) charlie: metric 242,")
    assert "`out if bw-charlie metric 50` (babeld.conf:2) adds 50" in told
    assert (
        "delta: nothing: an out filter keeps it back, `out if bw-delta deny` (babeld.conf:1) denies it"
        in told
    )


def test_no_session(make: Any) -> None:
    found = make()
    found.peers = [
        {"name": "delta", "interface": "bw-delta", "state": "connecting", "reason": "no answer", "cost": None}
    ]
    data = found.ask("10.9.0.0/16")
    assert data["answer"] == (
        "10.9.0.0/16 has no route: no neighbour announces it; no Babel session with delta"
    )
    assert "session   delta: connecting, no answer" in found.text("10.9.0.0/16")
    found.hear("delta", update(metric=96))
    found.bench.receive([found.bench.ihu(0xFFFF)], 3, "bw-delta")
    found.settle()
    data = found.ask("2001:db8:1::/48")
    assert data["outcome"] == "unreachable"
    assert "no Babel session with delta" in data["answer"]
    assert "delta (bw-delta)  metric inf: the link is down" in found.text("2001:db8:1::/48")


def test_packets_that_longer_and_source_specific_routes_take_away(make: Any) -> None:
    found = make()
    found.hear("bravo", update(Prefix.parse("2001:db8::/32"), metric=96))
    found.hear("charlie", update(Prefix.parse("2001:db8::/32 from fd00:5::/48"), metric=96))
    found.hear("delta", update(metric=96))
    found.main("2001:db8:2::/48")
    data = found.ask("2001:db8::/32")
    assert [(t["prefix"], t["sources"], t["by"]) for t in data["takers"]] == [
        ("2001:db8::/32 from fd00:5::/48", "fd00:5::/48", "babel"),
        ("2001:db8:1::/48", None, "babel"),
        ("2001:db8:2::/48", None, "main"),
    ]
    text = found.text("2001:db8::/32")
    assert "not here  2001:db8::/32 from fd00:5::/48: via charlie\n" in text
    assert "          2001:db8:1::/48: via delta\n" in text
    assert text.endswith("          2001:db8:2::/48: table main, on eth0")
    assert data["agrees"] is True
    # An address of source-specific routes alone is explained by them.
    data = found.ask("2001:db8:5::1 from fd00:5::1")
    assert data["prefix"] == "2001:db8::/32 from fd00:5::/48"


def test_kernel_disagreement(make: Any) -> None:
    found = make()
    found.hear("bravo", update(metric=96))
    place = (6696, D)
    found.kernel.places[place] = found.kernel.places[place]._replace(interface=3)
    data = found.ask("2001:db8:1::/48")
    assert data["answer"] == (
        "2001:db8:1::/48 should go via bravo, metric 192, but the kernel goes via fe80::1001 on bw-charlie"
        " table 6696, and not via fe80::1001 on bw-bravo"
    )
    assert data["agrees"] is False
    del found.kernel.places[place]
    data = found.ask("2001:db8:1::/48")
    assert data["answer"].endswith("but the kernel has no way: somebody removed the route, or forbids it")
    assert data["has_route"] is False
    found.main("2001:db8::/32")
    del found.kernel.places[6696, Prefix.parse("2001:db8::/32")]
    data = found.ask("2001:db8:1::/48")
    assert data["kernel_words"] == "the kernel goes by 2001:db8::/32, on eth0 table main: ours is not there"


def test_a_route_that_the_kernel_refuses(make: Any) -> None:
    found = make()
    found.kernel.refuse[D] = errno.EEXIST
    found.hear("bravo", update(metric=96))
    data = found.ask("2001:db8:1::/48")
    assert data["answer"] == (
        "2001:db8:1::/48 should go via bravo, metric 192, but is not installed: the kernel refused it: file exists"
    )
    assert data["has_route"] is False


def test_a_route_that_the_kernel_refuses_beside_one_that_it_takes(make: Any) -> None:
    found = make()
    found.kernel.refuse_next_hops[neighbour_address(2)] = errno.ENETUNREACH
    found.hear("bravo", update(metric=96))
    found.bench.receive([update(metric=0, next_hop=neighbour_address(2))], 2, "bw-charlie")
    found.pump()
    data = found.ask("2001:db8:1::/48")
    assert data["answer"].startswith("2001:db8:1::/48 goes via bravo, metric 192")
    assert [(c["via"], c["verdict"], c["state"], c["words"]) for c in data["candidates"][1:]] == [
        ("charlie", "refused", "refused", "this node's kernel refused it: network is unreachable")
    ]
    assert data["candidates"][1]["reason"] == "the kernel refused the route"
    found.bench.receive([retraction()], 1, "bw-bravo")
    found.pump()
    data = found.ask("2001:db8:1::/48")
    assert data["outcome"] == "refused"
    assert data["why"] == "this node's kernel refused all routes"


def test_what_main_leads_and_what_is_announced_here(make: Any) -> None:
    found = make()
    found.hear("bravo", update(metric=96))
    found.main("2001:db8:1::/48")
    data = found.ask("2001:db8:1::/48")
    assert "is left to table main" in data["answer"]
    assert (data["has_route"], data["outcome"]) == (True, "refused")
    found.bench.speaker.announce(FAR, 0, found.bench.now)
    found.announced[FAR] = (0, "announce")
    assert found.ask("10.9.0.0/16")["answer"] == "10.9.0.0/16 is announced here, metric 0 (announce)"


def test_an_announcement_that_leads_back_here_is_told(make: Any) -> None:
    found = make()
    found.hear("bravo", update(metric=96, router_id=OUR_ID))
    assert "not believed: it carries this node's own router-id" in found.ask("2001:db8:1::/48")["answer"]
    assert "refused   from bravo 0s ago: it carries" in found.text("2001:db8:1::/48")


def test_a_name_leads_to_its_address_and_a_wrong_one_to_the_nearest(make: Any) -> None:
    found = make()
    host = Prefix.parse("2001:db8:7::1/128")
    found.hear("bravo", update(host, metric=96))
    data = found.ask("echo")
    assert (data["prefix"], data["name"]) == ("2001:db8:7::1/128", "echo")
    for text, words in [
        ("ecko", '"ecko" is no address, and no node is called so; did you mean "echo"?'),
        ("delta", 'no address of "delta" is known: it announces none, or is not heard'),
        ("10.9.0.1/16", '"10.9.0.1/16" has bits set beyond its length; did you mean 10.9.0.0/16?'),
        ("", "a prefix, an address or a name is needed"),
        ("x" * 300, "a prefix, an address or a name is needed"),
        ("::1 from 10.0.0.1", '"10.0.0.1" is not an IP address of the same family'),
        ("echo from ::1", '"echo" is not an IP address'),
        (
            "fe80::1%eth0",
            "no node is called so; names are those of peers and of /etc/babelwg/hosts",
        ),
        ("::/0 from 10.0.0.0/8", "mixes address families"),
    ]:
        with pytest.raises(RequestError) as caught:
            found.ask(text)
        assert words in str(caught.value)


def test_an_address_that_nothing_holds_is_explained_alone(make: Any) -> None:
    found = make()
    found.main("0.0.0.0/0")
    data = found.ask("192.0.2.7")
    assert (data["prefix"], data["outcome"], data["has_route"]) == ("192.0.2.7/32", "unknown", True)
    assert data["kernel_words"] == "the kernel goes by 0.0.0.0/0, on eth0 table main"


@pytest.mark.parametrize(
    ("other", "prefix", "taken"),
    [
        ("10.1.0.0/16", "10.0.0.0/8", True),
        ("10.0.0.0/8", "10.0.0.0/8", False),
        ("10.0.0.0/7", "10.0.0.0/8", False),
        ("::/0 from fd00::/16", "::/0", True),
        ("::/0", "::/0 from fd00::/16", False),
        ("2001::/16", "::/0 from fd00::/16", True),
        ("::/0 from fd00:1::/32", "::/0 from fd00::/16", True),
        ("::/0 from fc00::/8", "::/0 from fd00::/16", False),
        ("::/0 from fc00::/7", "::/0 from fd00::/16", False),
        ("2001::/16 from fc00::/8", "::/0 from fd00::/16", False),
        ("2001::/16 from ::/1", "::/0 from 2000::/3", True),
    ],
)
def test_who_takes_packets_away(other: str, prefix: str, taken: bool) -> None:
    assert takers.takes(Prefix.parse(other), Prefix.parse(prefix)) is taken


def test_an_address_is_found_that_is_left_to_a_prefix() -> None:
    def taken(*texts: str) -> list[Prefix]:
        return [Prefix.parse(text) for text in texts]

    assert sample(Prefix.parse("10.0.0.0/8"), ()) == bytes([10, 0, 0, 1])
    for default in ("::/0", "0.0.0.0/0"):
        packed = sample(Prefix.parse(default), ())
        assert packed is not None
        assert not ip_address(packed).is_loopback and not ip_address(packed).is_multicast and packed[0]
    assert sample(Prefix.parse("10.0.0.0/8"), taken("10.0.0.0/9")) == bytes([10, 255, 255, 255])
    assert sample(Prefix.parse("10.0.0.0/30"), taken("10.0.0.0/31", "10.0.0.3/32")) == bytes([10, 0, 0, 2])
    assert sample(Prefix.parse("10.0.0.0/8"), taken("10.0.0.0/9", "10.128.0.0/9")) is None
    assert sample(Prefix.parse("10.0.0.1/32"), ()) == bytes([10, 0, 0, 1])
    found = find_takers(Prefix.parse("::/0"), {}, taken("::/0", "2001::/16"), ())
    assert [(str(t.prefix), t.by) for t in found] == [("2001::/16", "announced")]


def test_an_address_that_main_has_a_longer_route_for_is_no_disagreement(make: Any) -> None:
    found = make()
    found.hear("bravo", update(FAR, metric=96))
    found.main("10.9.7.0/24")
    data = found.ask("10.9.7.1")
    assert data["kernel_words"] == (
        "the kernel has a longer route for this address: 10.9.7.0/24, on eth0 table main"
    )
    assert (data["agrees"], found.ask("10.9.0.0/16")["agrees"]) == (None, True)
