"""Requests about links, to a kernel in memory."""

import asyncio
import errno
from typing import Any

import pytest

from babelwg.linux.errors import KernelError
from babelwg.linux.links import netlink_error, rename_link


class Kernel:
    """Renames only what is down, as kernels before 6.2 do, and refuses names that are taken."""

    def __init__(self, taken: str = "") -> None:
        self.name, self.is_up, self.taken = "zzz", True, taken

    async def link(self, verb: str, index: int, ifname: str = "", state: str = "") -> None:
        if state:
            self.is_up = state == "up"
        elif self.is_up:
            raise netlink_error()(errno.EBUSY)
        elif ifname == self.taken:
            raise netlink_error()(errno.EEXIST)
        else:
            self.name = ifname


def test_an_interface_goes_down_for_a_new_name_where_the_kernel_wants_that() -> None:
    kernel: Any = Kernel()
    asyncio.run(rename_link(kernel, 5, "bw-b"))
    assert (kernel.name, kernel.is_up) == ("bw-b", False)


def test_a_name_that_the_kernel_refuses_is_told() -> None:
    kernel: Any = Kernel(taken="bw-b")
    with pytest.raises(KernelError) as refusal:
        asyncio.run(rename_link(kernel, 5, "bw-b"))
    assert refusal.value.errno == errno.EEXIST
    assert kernel.name == "zzz"
