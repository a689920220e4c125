"""Interfaces and their addresses, set through rtnetlink."""

import errno
import socket
from collections.abc import Iterable
from typing import Any

from pyroute2 import AsyncIPRoute
from pyroute2.netlink.exceptions import NetlinkError

from babelwg.linux.errors import KernelError
from babelwg.linux.monitor import IFF_MULTICAST, IFF_UP
from babelwg.linux.routes import PROTOCOL_BABEL

IpRoute = AsyncIPRoute

ADDR_GEN_MODE_NONE = 1  # IN6_ADDR_GEN_MODE_NONE of linux/if_link.h
IFA_F_NODAD = 0x02


async def index_of(iproute: AsyncIPRoute, name: str) -> int:
    """Return the index of an interface. Raises KernelError(ENODEV) when there is none."""
    found = await iproute.link_lookup(ifname=name)
    if not found:
        raise KernelError("find interface", name, errno.ENODEV)
    return int(found[0])


async def alias_of(iproute: AsyncIPRoute, name: str) -> str | None:
    """Return the alias that somebody gave an interface, "" for none; None when there is no such interface."""
    for index in await iproute.link_lookup(ifname=name):
        async for link in await iproute.link("dump", index=index):
            if link["index"] == index:
                return str(link.get_attr("IFLA_IFALIAS") or "")
    return None


async def set_up_tunnel(iproute: AsyncIPRoute, name: str, mtu: int, link_local: bytes, alias: str) -> int:
    """Bring a tunnel up with its MTU (octets), our link-local address (packed) and an alias; return its index."""
    index = await index_of(iproute, name)
    try:
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
    except NetlinkError as error:
        raise KernelError("set up", name, error.code) from error
    return index


async def _remove_other_link_locals(iproute: AsyncIPRoute, index: int, link_local: bytes) -> None:
    """Take away what an earlier key of ours left: a peer must find one address, and know whose it is."""
    async for message in await iproute.addr("dump", index=index, family=socket.AF_INET6):
        address = message.get_attr("IFA_ADDRESS")
        packed = socket.inet_pton(socket.AF_INET6, address)
        if packed[:2] == b"\xfe\x80" and packed != link_local:
            await iproute.addr("del", index=index, family=socket.AF_INET6, address=address, prefixlen=64)


async def remove_link(iproute: AsyncIPRoute, name: str) -> None:
    """Delete an interface; nothing when it is gone already."""
    for index in await iproute.link_lookup(ifname=name):
        try:
            await iproute.link("del", index=index)
        except NetlinkError as error:
            if error.code != errno.ENODEV:
                raise KernelError("remove interface", name, error.code) from error


async def read_node_addresses(iproute: AsyncIPRoute) -> set[tuple[bytes, int]]:
    """Return the addresses (packed, prefix length) on lo that carry our protocol number."""
    index = await index_of(iproute, "lo")
    found = set()
    async for message in await iproute.addr("dump", index=index):
        if message.get_attr("IFA_PROTO") == PROTOCOL_BABEL:
            text = message.get_attr("IFA_ADDRESS")
            family = socket.AF_INET6 if ":" in text else socket.AF_INET
            found.add((socket.inet_pton(family, text), int(message["prefixlen"])))
    return found


async def apply_node_addresses(iproute: AsyncIPRoute, desired: Iterable[tuple[bytes, int]]) -> int:
    """Put the node's addresses on lo and take away those of an earlier configuration; return how many changed.

    One that is refused does not hold up the others. Raises KernelError for the first of those.
    """
    wanted, there = set(desired), await read_node_addresses(iproute)
    index = await index_of(iproute, "lo")
    refusals = []
    try:
        await iproute.link("set", index=index, state="up")
    except NetlinkError as error:
        refusals.append(KernelError("bring up", "lo", error.code))
    for verb, addresses in (("replace", wanted - there), ("del", there - wanted)):
        for address, plen in sorted(addresses):
            try:
                await _change_address(iproute, verb, index, address, plen)
            except KernelError as refusal:
                refusals.append(refusal)
    if refusals:
        raise refusals[0]
    return len(wanted ^ there)


async def _change_address(iproute: AsyncIPRoute, verb: str, index: int, address: bytes, plen: int) -> None:
    family = socket.AF_INET6 if len(address) == 16 else socket.AF_INET
    text = socket.inet_ntop(family, address)
    arguments: dict[str, Any] = {"index": index, "family": family, "address": text, "prefixlen": plen}
    if verb == "replace":
        arguments |= {"flags": IFA_F_NODAD} if family == socket.AF_INET6 else {"local": text}
        arguments["proto"] = PROTOCOL_BABEL
    try:
        await iproute.addr(verb, **arguments)
    except NetlinkError as error:
        if error.code not in (errno.EADDRNOTAVAIL, errno.EEXIST):
            raise KernelError(f"{verb} address", f"{text}/{plen}", error.code) from error
