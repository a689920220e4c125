"""Which services hear what of the kernel's news."""

import asyncio

import pytest

from babelwg.linux.netlink import RTM_DELLINK, RTM_NEWLINK
from tests.daemon.newsbench import NewsBench
from tests.linux.playedmonitor import PlayedKernel, link


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
