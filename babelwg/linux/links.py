"""Interfaces and their addresses, set through rtnetlink.

pyroute2 takes a quarter of the start to import, so it is imported when something has to be set: after a restart, where
all is set already, neighbours have heard of us by then.
"""

import asyncio
import errno
import socket
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from babelwg.babel.wire.prefix import is_link_local
from babelwg.linux.errors import KernelError
from babelwg.linux.mirror import IFA_ADDRESS, IFADDR, IFF_MULTICAST, IFF_UP, IFINFO
from babelwg.linux.netlink import RTM_GETADDR, RTM_GETLINK, Refusal, RequestSocket, attributes
from babelwg.linux.routes import PROTOCOL_BABEL

if TYPE_CHECKING:
    from pyroute2 import AsyncIPRoute
    from pyroute2.netlink.exceptions import NetlinkError

ADDR_GEN_MODE_NONE = 1  # IN6_ADDR_GEN_MODE_NONE of linux/if_link.h
IFA_F_NODAD = 0x02
IFA_PROTO = 11  # linux/if_addr.h
LOOPBACK = 1  # the index of lo in every network namespace


class IpRoute:
    """pyroute2's socket for links and addresses, opened when it is first asked."""

    def __init__(self) -> None:
        self._socket: AsyncIPRoute | None = None
        self._opening = asyncio.Lock()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._socket is not None:
            await self._socket.__aexit__(kind, error, trace)

    async def link_lookup(self, **what: Any) -> list[int]:
        """Return the indices of the interfaces that answer to a description. Raises KernelError."""
        with refusals_of("find interface", " ".join(map(str, what.values()))):
            found: list[int] = await (await self._opened()).link_lookup(**what)
        return found

    async def link(self, verb: str, **what: Any) -> Any:
        """Do something with a link, as pyroute2 has it. Raises NetlinkError."""
        return await (await self._opened()).link(verb, **what)

    async def addr(self, verb: str, **what: Any) -> Any:
        """Do something with an address, as pyroute2 has it. Raises NetlinkError."""
        return await (await self._opened()).addr(verb, **what)

    async def _opened(self) -> "AsyncIPRoute":
        async with self._opening:
            if self._socket is None:
                # In a thread, since others have the loop meanwhile.
                await asyncio.to_thread(import_module, "pyroute2")
                from pyroute2 import AsyncIPRoute

                self._socket = await AsyncIPRoute().__aenter__()
            return self._socket


def netlink_error() -> type["NetlinkError"]:
    """Return what pyroute2 raises; asked for only where something was raised."""
    from pyroute2.netlink import exceptions

    kind: type[NetlinkError] = exceptions.NetlinkError
    return kind


@contextmanager
def refusals_of(operation: str, subject: str) -> Iterator[None]:
    """Raise KernelError for what pyroute2 and its socket raise."""
    try:
        yield
    except OSError as error:
        detail = "" if error.errno else str(error)
        raise KernelError(operation, subject, error.errno or 0, detail) from error
    except Exception as error:
        if isinstance(error, netlink_error()):
            raise KernelError(operation, subject, error.code) from error
        raise


async def index_of(iproute: IpRoute, name: str) -> int:
    """Return the index of an interface. Raises KernelError(ENODEV) when there is none."""
    found = await iproute.link_lookup(ifname=name)
    if not found:
        raise KernelError("find interface", name, errno.ENODEV)
    return int(found[0])


async def alias_of(iproute: IpRoute, name: str) -> str | None:
    """Return the alias that somebody gave an interface, "" for none; None when there is no such interface.

    Raises KernelError.
    """
    with refusals_of("read interface", name):
        for index in await iproute.link_lookup(ifname=name):
            async for link in await iproute.link("dump", index=index):
                if link["index"] == index:
                    return str(link.get_attr("IFLA_IFALIAS") or "")
    return None


async def set_up_tunnel(iproute: IpRoute, name: str, mtu: int, link_local: bytes, alias: str) -> int:
    """Bring a tunnel up with its MTU (octets), our link-local address (packed) and an alias; return its index.

    Raises KernelError.
    """
    index = await index_of(iproute, name)
    with refusals_of("set up", name):
        # In a request of its own, before the link rises, or the kernel makes up a link-local address itself.
        await iproute.link(
            "set",
            index=index,
            af_spec={"attrs": [("AF_INET6", {"attrs": [("IFLA_INET6_ADDR_GEN_MODE", ADDR_GEN_MODE_NONE)]})]},
        )
        await iproute.link(
            "set",
            index=index,
            mtu=mtu,
            ifalias=alias,
            flags=IFF_UP | IFF_MULTICAST,
            change=IFF_UP | IFF_MULTICAST,
        )
        await iproute.addr(
            "replace",
            index=index,
            family=socket.AF_INET6,
            address=socket.inet_ntop(socket.AF_INET6, link_local),
            prefixlen=64,
            flags=IFA_F_NODAD,
        )
        await _remove_other_link_locals(iproute, index, link_local)
    return index


async def _remove_other_link_locals(iproute: IpRoute, index: int, link_local: bytes) -> None:
    """Take away what an earlier key of ours left: a peer must find one address, and know whose it is."""
    async for message in await iproute.addr("dump", index=index, family=socket.AF_INET6):
        address = message.get_attr("IFA_ADDRESS")
        packed = socket.inet_pton(socket.AF_INET6, address)
        if is_link_local(packed) and packed != link_local:
            await iproute.addr("del", index=index, family=socket.AF_INET6, address=address, prefixlen=64)


async def rename_link(iproute: IpRoute, index: int, name: str) -> None:
    """Give an interface another name; it goes down for it where the kernel wants that. Raises KernelError."""
    what = "rename interface to"
    try:
        with refusals_of(what, name):
            await iproute.link("set", index=index, ifname=name)
    except KernelError as refusal:
        if refusal.errno != errno.EBUSY:
            raise
        with refusals_of(what, name):
            await iproute.link("set", index=index, state="down")
            await iproute.link("set", index=index, ifname=name)


async def remove_link(iproute: IpRoute, name: str) -> None:
    """Delete an interface; nothing when it is gone already. Raises KernelError."""
    for index in await iproute.link_lookup(ifname=name):
        try:
            with refusals_of("remove interface", name):
                await iproute.link("del", index=index)
        except KernelError as refusal:
            if refusal.errno != errno.ENODEV:
                raise


async def read_node_addresses(iproute: IpRoute) -> set[tuple[bytes, int]]:
    """Return the addresses (packed, prefix length) on lo that carry our protocol number. Raises KernelError."""
    index = await index_of(iproute, "lo")
    found = set()
    with refusals_of("read addresses of", "lo"):
        async for message in await iproute.addr("dump", index=index):
            if message.get_attr("IFA_PROTO") == PROTOCOL_BABEL:
                text = message.get_attr("IFA_ADDRESS")
                family = socket.AF_INET6 if ":" in text else socket.AF_INET
                found.add((socket.inet_pton(family, text), int(message["prefixlen"])))
    return found


def have_node_addresses(requests: RequestSocket, desired: Iterable[tuple[bytes, int]]) -> bool:
    """Return whether lo is up and carries these addresses and no others of ours; costs two requests."""
    link = requests.ask(RTM_GETLINK, IFINFO.pack(0, 0, LOOPBACK, 0, 0))
    if isinstance(link, Refusal) or not IFINFO.unpack_from(link.payload)[3] & IFF_UP:
        return False
    found = set()
    for message in requests.dump(RTM_GETADDR, IFADDR.pack(0, 0, 0, 0, LOOPBACK)):
        _, plen, _, _, index = IFADDR.unpack_from(message.payload)
        told = attributes(message.payload[IFADDR.size :])
        if index == LOOPBACK and told.get(IFA_PROTO) == bytes((PROTOCOL_BABEL,)):
            found.add((told[IFA_ADDRESS], plen))
    return found == set(desired)


async def apply_node_addresses(iproute: IpRoute, desired: Iterable[tuple[bytes, int]]) -> int:
    """Put the node's addresses on lo and take away those of an earlier configuration; return how many changed.

    One that is refused does not hold up the others. Raises KernelError for the first of those.
    """
    wanted, there = set(desired), await read_node_addresses(iproute)
    index = await index_of(iproute, "lo")
    refusals = []
    try:
        with refusals_of("bring up", "lo"):
            await iproute.link("set", index=index, state="up")
    except KernelError as refusal:
        refusals.append(refusal)
    for verb, addresses in (("replace", wanted - there), ("del", there - wanted)):
        for address, plen in sorted(addresses):
            try:
                await _change_address(iproute, verb, index, address, plen)
            except KernelError as refusal:
                refusals.append(refusal)
    if refusals:
        raise refusals[0]
    return len(wanted ^ there)


async def _change_address(iproute: IpRoute, verb: str, index: int, address: bytes, plen: int) -> None:
    family = socket.AF_INET6 if len(address) == 16 else socket.AF_INET
    text = socket.inet_ntop(family, address)
    arguments: dict[str, Any] = {"index": index, "family": family, "address": text, "prefixlen": plen}
    if verb == "replace":
        arguments |= {"flags": IFA_F_NODAD} if family == socket.AF_INET6 else {"local": text}
        arguments["proto"] = PROTOCOL_BABEL
    try:
        with refusals_of(f"{verb} address", f"{text}/{plen}"):
            await iproute.addr(verb, **arguments)
    except KernelError as refusal:
        if refusal.errno not in (errno.EADDRNOTAVAIL, errno.EEXIST):
            raise
