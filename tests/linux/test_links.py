"""Requests about links, to a kernel in memory."""

import asyncio
import errno
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from babelwg.linux.errors import KernelError
from babelwg.linux.links import (
    IpRoute,
    alias_of,
    apply_node_addresses,
    index_of,
    netlink_error,
    read_node_addresses,
    remove_link,
    rename_link,
    set_up_tunnel,
)


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


class Failing:
    """pyroute2's socket, on which one kind of request fails."""

    def __init__(self, failing: str, error: Exception) -> None:
        self.failing, self.error = failing, error

    async def link_lookup(self, **what: Any) -> list[int]:
        self._fail("link_lookup")
        return [5]

    async def link(self, verb: str, **what: Any) -> Any:
        self._fail(f"link {verb}")
        return self._dump("link") if verb == "dump" else None

    async def addr(self, verb: str, **what: Any) -> Any:
        self._fail(f"addr {verb}")
        return self._dump("addr") if verb == "dump" else None

    async def _dump(self, what: str) -> Any:
        self._fail(f"{what} messages")
        for nothing in ():
            yield nothing

    def _fail(self, request: str) -> None:
        if request == self.failing:
            raise self.error


LINK_LOCAL = bytes.fromhex("fe80") + bytes(13) + b"\x01"
REQUESTS: dict[Callable[[Any], Awaitable[object]], tuple[str, ...]] = {
    lambda iproute: index_of(iproute, "bw-b"): ("link_lookup",),
    lambda iproute: alias_of(iproute, "bw-b"): ("link_lookup", "link dump", "link messages"),
    lambda iproute: set_up_tunnel(iproute, "bw-b", 1420, LINK_LOCAL, ""): (
        "link_lookup",
        "link set",
        "addr replace",
        "addr dump",
        "addr messages",
    ),
    lambda iproute: rename_link(iproute, 5, "bw-b"): ("link set",),
    lambda iproute: remove_link(iproute, "bw-b"): ("link_lookup", "link del"),
    read_node_addresses: ("link_lookup", "addr dump", "addr messages"),
    lambda iproute: apply_node_addresses(iproute, [(bytes(16), 128)]): (
        "link_lookup",
        "addr dump",
        "addr messages",
        "link set",
        "addr replace",
    ),
}


@pytest.mark.parametrize("error", [netlink_error()(errno.ENOBUFS), OSError(errno.ENOBUFS, "no buffer")])
@pytest.mark.parametrize(
    ("ask", "failing"), [(ask, failing) for ask, requests in REQUESTS.items() for failing in requests]
)
def test_whatever_of_a_request_fails_is_a_refusal_of_the_kernel(
    ask: Callable[[Any], Awaitable[object]], failing: str, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def main() -> None:
        iproute = IpRoute()

        async def opened() -> Any:
            return Failing(failing, error)

        monkeypatch.setattr(iproute, "_opened", opened)
        await ask(iproute)

    with pytest.raises(KernelError) as refusal:
        asyncio.run(main())
    assert refusal.value.errno == errno.ENOBUFS
