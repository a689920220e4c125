"""One probe of any kind, with its deadline."""

import asyncio
from ipaddress import ip_address

from babelwg.config import Check, GatewayConfig
from babelwg.linux.probes.command import run_command
from babelwg.linux.probes.dns import look_up
from babelwg.linux.probes.http import connect_tcp, get
from babelwg.linux.probes.ping import ping
from babelwg.linux.probes.uplink import ProbeFailed, Uplink


async def probe(check: Check, gateway: GatewayConfig, mark: int) -> None:
    """Return when a check of a gateway has been answered well within its time; raises ProbeFailed."""
    uplink = Uplink(gateway.interface, mark)
    try:
        async with asyncio.timeout(gateway.timeout):
            await _ask(check, gateway, uplink)
    except TimeoutError as error:
        raise ProbeFailed(f"no answer in {gateway.timeout:g} s") from error


async def _ask(check: Check, gateway: GatewayConfig, uplink: Uplink) -> None:
    if check.kind == "ping":
        await ping(ip_address(check.host).packed, uplink)
    elif check.kind == "tcp":
        await connect_tcp(check, uplink)
    elif check.kind == "http":
        await get(check, uplink)
    elif check.kind == "dns":
        await look_up(check.host, uplink, check.server)
    else:
        await run_command(check.command, _environment(gateway, uplink))


def _environment(gateway: GatewayConfig, uplink: Uplink) -> dict[str, str]:
    """Return what a program needs to use the same uplink as the other probes."""
    return {
        "BABELWG_PREFIX": str(gateway.prefix.destination),
        "BABELWG_FROM": str(gateway.prefix.source or ""),
        "BABELWG_INTERFACE": uplink.interface or "",
        "BABELWG_FWMARK": str(uplink.mark),
    }
