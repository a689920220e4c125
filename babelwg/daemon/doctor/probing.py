"""Probes of one peer: pings through its tunnel, knocks on its ports, in as few steps as tell the cause."""

import asyncio

from babelwg.daemon.doctor.patient import Probes
from babelwg.linux.probes.knock import Knock, knock
from babelwg.linux.probes.ping import ping
from babelwg.linux.probes.sizes import echo_sizes
from babelwg.linux.probes.uplink import ProbeFailed, Uplink
from babelwg.linux.tunnels.tunnel import SocketAddress

# Implementation constants
SMALL = 128  # octets of a packet that every path carries
SMALLEST = 256  # octets from which the largest size that passes is looked for
STEPS = 16  # sizes that are tried at once
WAIT = 1.2  # seconds for an answer from the other side of the world
ATTEMPTS = 2


async def probe_link(address: bytes, interface: str, mtu: int, babel_port: int) -> Probes:
    """Return what comes back through a tunnel from its link-local address (packed); 0 for no knock on Babel's port."""
    try:
        answered, babel = await asyncio.gather(
            _echo(address, interface, (SMALL,)), _knock_inside(address, interface, babel_port)
        )
        if not answered:
            return Probes(babel=babel)
        answered |= await _echo(address, interface, (mtu,))
        if mtu not in answered:
            answered |= await _largest(address, interface, mtu)
    except ProbeFailed as failure:
        return Probes(problem=str(failure))
    return Probes(echoes=answered, full=mtu, babel=babel)


async def probe_endpoint(endpoint: SocketAddress, mark: int) -> tuple[Knock, bool]:
    """Return what a knock on a peer's UDP port brings, and whether its machine answers pings, beside all tunnels."""
    address, port = endpoint
    answer, host_answers = await asyncio.gather(knock(address, port, mark, WAIT), _pings(address, mark))
    return answer, host_answers


async def _knock_inside(address: bytes, interface: str, port: int) -> Knock | None:
    return await knock(address, port, 0, WAIT, interface) if port else None


async def _echo(address: bytes, interface: str, sizes: tuple[int, ...]) -> dict[int, float]:
    """Return the sizes that were answered; what nobody answered is tried again, as single packets get lost."""
    for _ in range(ATTEMPTS):
        answered = await echo_sizes(address, interface, sizes, WAIT)
        if answered:
            return dict(answered)
    return {}


async def _largest(address: bytes, interface: str, mtu: int) -> dict[int, float]:
    """Return the sizes below the MTU that pass, so that the largest is known to a few octets."""
    step = max(1, (mtu - SMALLEST) // STEPS)
    passed = await _echo(address, interface, tuple(range(SMALLEST, mtu, step)))
    low = max(passed, default=SMALL)
    fine = max(1, step // STEPS)
    return passed | await _echo(address, interface, tuple(range(low, min(mtu, low + step), fine)))


async def _pings(address: bytes, mark: int) -> bool:
    try:
        async with asyncio.timeout(WAIT):
            await ping(address, Uplink(None, mark))
    except (TimeoutError, ProbeFailed):
        return False
    return True
