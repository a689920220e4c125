"""Which services hear what of the kernel's news."""

import asyncio
from pathlib import Path

import pytest

from babelwg.config import Config
from babelwg.config.addresses import InterfaceAddress
from babelwg.config.keys import generate_private
from babelwg.config.model import BabelConfig, NodeConfig, TunnelsConfig
from babelwg.linux.netlink import RTM_DELADDR, RTM_DELLINK, RTM_NEWADDR, RTM_NEWLINK, RTM_NEWRULE
from tests.daemon.newsbench import NewsBench
from tests.linux.playedmonitor import PlayedKernel, address, link


@pytest.fixture
def kernel() -> PlayedKernel:
    kernel = PlayedKernel()
    kernel.links = [link(1, "lo"), link(7, "bw-b")]
    kernel.tell(RTM_NEWLINK, link(7, "bw-b", flags=0))  # so that all is looked at once
    return kernel


def test_an_interface_that_goes_is_missed(kernel: PlayedKernel, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> list[str]:
        bench = NewsBench(monkeypatch, kernel)
        bench.hear()
        kernel.tell(RTM_DELLINK, link(7, "bw-b"))
        bench.hear()
        return bench.missing

    assert asyncio.run(main()) == ["bw-b"]


def test_an_interface_is_missed_also_where_another_has_its_name_by_the_next_look(
    kernel: PlayedKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> list[str]:
        bench = NewsBench(monkeypatch, kernel)
        bench.hear()
        kernel.tell(RTM_DELLINK, link(7, "bw-b"))
        kernel.tell(RTM_NEWLINK, link(9, "bw-b"))
        bench.hear()
        bench.hear()
        return bench.missing

    assert asyncio.run(main()) == ["bw-b"]


def test_a_tunnel_that_was_made_anew_before_the_next_look_is_not_missed(
    kernel: PlayedKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> list[str]:
        bench = NewsBench(monkeypatch, kernel)
        bench.hear()
        kernel.tell(RTM_DELLINK, link(7, "bw-b"))
        kernel.tell(RTM_NEWLINK, link(9, "bw-b"))
        bench.names.learn("bw-b", 9)
        bench.hear()
        return bench.missing

    assert asyncio.run(main()) == []


def test_routing_leaves_an_interface_that_goes_at_once_whatever_else_has_to_wait(
    kernel: PlayedKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        kernel.links.append(link(8, "bw-c"))
        bench = NewsBench(monkeypatch, kernel)
        bench.hear()
        looks: list[str] = []
        bench.routing.sync_interfaces = lambda: looks.append("look")
        for digest in bench.news._digests:
            digest._free_at = asyncio.get_running_loop().time() + 60.0
        bench.left.clear()
        kernel.tell(RTM_NEWLINK, link(8, "bw-c", flags=0))
        kernel.tell(RTM_DELLINK, link(7, "bw-b"))
        bench.news.monitor.receive()
        assert (bench.left, looks) == ([{7, 8}], []), "once for all that is told together"
        kernel.tell(RTM_NEWRULE, bytes(12))
        bench.news.monitor.receive()
        assert bench.left == [{7, 8}]
        bench.news.close()

    asyncio.run(main())


OWN = bytes([10, 23, 0, 1])


def config() -> Config:
    """Return the configuration of a node with one address."""
    own = (InterfaceAddress(4, OWN, 32),)
    node = NodeConfig(name="n", private_key=generate_private(), private_key_file=Path("key"), addresses=own)
    return Config(node, TunnelsConfig(), BabelConfig(), (), Path("babelwg.toml"))


def test_an_address_of_ours_that_goes_is_set_again_soon_and_those_of_others_are_not(
    kernel: PlayedKernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        kernel.addresses = [address(1, OWN), address(7, bytes([192, 0, 2, 1])), address(7, OWN)]
        bench = NewsBench(monkeypatch, kernel, config())
        bench.hear()
        kernel.tell(RTM_DELADDR, address(7, bytes([192, 0, 2, 1])))
        kernel.tell(RTM_DELADDR, address(7, OWN))
        bench.hear()
        assert bench.repairs == []
        kernel.tell(RTM_DELADDR, address(1, OWN))
        bench.hear()
        assert bench.lost_addresses == [bytes([192, 0, 2, 1]), OWN, OWN]
        assert bench.settled == [2, 3], "once for all that is told together"
        assert bench.repairs == [False], "nobody has to look at all routes for it"
        kernel.tell(RTM_NEWADDR, address(1, OWN))
        bench.hear()
        assert bench.repairs == [False]
        kernel.tell(RTM_NEWRULE, bytes(12))
        bench.hear()
        assert bench.repairs == [False, True]

    asyncio.run(main())
