"""The roles in babeld-conf/, each loaded unchanged by stock babeld and then by babelwg in the same place."""

import re
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from babelwg.config import load_babeld
from integration.interop.net import Net
from integration.interop.routers.babeld_language import BabeldRouter, BabelwgRouter
from integration.interop.routers.router import UPLINK, Options, Router

pytestmark = [pytest.mark.interop, pytest.mark.timeout(900)]

DIRECTORY = Path(__file__).parent.parent.parent / "babeld-conf"
ROLES = sorted({"leaf", "transit", "gateway", "lan"} | {path.stem for path in DIRECTORY.glob("*.conf")})
SOURCE = "2001:db8:b::/48"
# Of several kinds, so that filters have something to choose from.
OF_THE_ROLE = ("2001:db8:1::1/128", "fd00:77:1::1/128", "10.23.1.1/32", "198.18.0.1/32")
OF_ITS_NEIGHBOURS = ("2001:db8:{0}::9/128", "fd00:77:{0}::9/128", "10.23.{0}.9/32", "192.168.{0}.9/32")
FURTHER = ("redistribute local ip 2001:db8::/32 allow", "redistribute local ip 192.168.0.0/16 allow")
QUIET = 20.0  # seconds; more than an update interval of the roles, in which nothing changes any more
LIMIT = 240.0  # seconds


@dataclass(frozen=True)
class Picture:
    """What one may compare: tables as the local socket tells them, and kernel tables of the role and its neighbours."""

    interfaces: dict[str, bool]
    announced: dict[str, int]  # metrics by prefix
    installed: dict[str, int]
    kernel: dict[str, str]  # devices by prefix
    neighbours: dict[str, dict[str, str]]


@pytest.mark.parametrize("role", ROLES)
def test_a_role_means_the_same_to_babeld_and_to_babelwg(
    tmp_path: Path, needs: Callable[..., None], role: str
) -> None:
    path = DIRECTORY / f"{role}.conf"
    with closing(Net(tmp_path / "babeld", needs)) as net:
        router = _build(net, "babeld", path)
        expected = _settled(net, router)
    assert expected.interfaces
    assert all(expected.interfaces.values())
    assert expected.announced or role == "transit"
    assert expected.kernel
    with closing(Net(tmp_path / "babelwg", needs)) as net:
        router = _build(net, "babelwg", path)
        seen: list[Picture] = []

        def is_the_same() -> bool:
            seen[:] = [_picture(net, router)]
            return seen == [expected]

        try:
            net.wait("babelwg shows and does the same", is_the_same, LIMIT)
        except AssertionError:
            assert asdict(seen[0]) == asdict(expected)
            raise


def _build(net: Net, kind: str, path: Path) -> Router:
    """Return a router with the role, started amid one neighbour on each of its interfaces."""
    text = path.read_text()
    interfaces = load_babeld(path).interfaces
    names = {interface.name for interface in interfaces}
    # Where a redistribute line names an interface on which Babel does not run, that is the way out.
    ways_out = [n for n in re.findall(r"^redistribute\b.*\bif\s+(\S+)", text, re.MULTILINE) if n not in names]
    uplink = ways_out[0] if ways_out else UPLINK
    router = net.add("r", kind, Options(source=SOURCE, uplink=uplink, config_file=path))
    _give_routes(router, uplink)
    keys = tuple(re.findall(r"^\s*(key\s+id\b[^#\n]*)", text, re.MULTILINE))
    for number, interface in enumerate(interfaces, 2):
        neighbour = net.add(f"n{number}", "babeld", Options(source=SOURCE, lines=keys + FURTHER))
        net.link(
            "r",
            neighbour.name,
            kind="wired" if interface.kind == "auto" else interface.kind,
            options=_key_of(text, interface.name),
            names=(interface.name, "to-r"),
        )
        for prefix in OF_ITS_NEIGHBOURS:
            neighbour.announce(prefix.format(number))
    if interfaces:
        net["n2"].announce(f"::/0 from {SOURCE}")
    net.start()
    return router


def _give_routes(router: Router, uplink: str) -> None:
    """Give the kernel addresses, and static routes that a filter may let in."""
    for prefix in OF_THE_ROLE:
        router.announce(prefix)
    gateway = f"via 2001:db8:ff:{router.number}::2 dev {uplink} proto static"
    router.node.ip(
        f"address add 198.51.100.1/30 dev {uplink}",
        f"route add default {gateway}",
        f"route add fd00:99::/64 {gateway}",
        f"route add default via 198.51.100.2 dev {uplink} proto static",
        f"route add 10.99.0.0/24 via 198.51.100.2 dev {uplink} proto static",
    )


def _key_of(text: str, interface: str) -> str:
    """Return `key ID` as a role's lines for an interface have it, or nothing."""
    found = ""
    for words in (line.partition("#")[0].split() for line in text.splitlines()):
        concerned = words[:2] == ["interface", interface] or words[:1] == ["default"]
        if concerned and "key" in words:
            found = f"key {words[words.index('key') + 1]}"
    return found


def _settled(net: Net, router: Router) -> Picture:
    """Return a picture that has stayed the same for a while."""
    seen: list[tuple[Picture, float]] = []

    def is_quiet() -> bool:
        picture, now = _picture(net, router), time.monotonic()
        if not seen or seen[0][0] != picture:
            seen[:] = [(picture, now)]
        return bool(picture.kernel) and now - seen[0][1] > QUIET

    net.wait("babeld has settled", is_quiet, LIMIT)
    return seen[0][0]


def _picture(net: Net, router: Router) -> Picture:
    tables = _of_babelwg(router) if isinstance(router, BabelwgRouter) else _of_babeld(router)
    return Picture(*tables, _devices(router), {n: _devices(net[n]) for n in net.routers if n != router.name})


def _devices(router: Router) -> dict[str, str]:
    return {prefix: r.device for prefix, r in sorted((router.routes(6) | router.routes(4)).items())}


def _of_babeld(router: Router) -> tuple[dict[str, bool], dict[str, int], dict[str, int]]:
    assert isinstance(router, BabeldRouter)
    routes = [r for r in router.dump("route") if r["installed"] == "yes" and r["metric"] != "65535"]
    return (
        {row["id"]: row["up"] == "true" for row in router.dump("interface")},
        {_prefix(row): int(row["metric"]) for row in router.dump("xroute")},
        {_prefix(row): int(row["metric"]) for row in routes},
    )


def _of_babelwg(router: BabelwgRouter) -> tuple[dict[str, bool], dict[str, int], dict[str, int]]:
    routes = [row for row in router.show("routes") if row["installed"]]
    return (
        {row["name"]: row["up"] for row in router.show("interfaces")},
        {row["prefix"]: row["metric"] for row in router.show("xroutes")},
        {row["prefix"]: row["metric"] for row in routes},
    )


def _prefix(row: dict[str, str]) -> str:
    plain = row["from"] in ("::/0", "0.0.0.0/0")
    return row["prefix"] if plain else f"{row['prefix']} from {row['from']}"
