"""Which tunnel has which UDP port: the same as before wherever that can be."""

import socket
from collections.abc import Mapping, Sequence

LISTEN_PORT = "/"  # the listen port among the ports of interfaces, whose names have no slash


def assign_ports(
    saved: Mapping[str, int], interfaces: Sequence[str], shared: set[str], listen_port: int
) -> dict[str, int]:
    """Return the port of each interface, given those that were saved."""
    ports = dict.fromkeys(shared, listen_port)
    alone = [name for name in interfaces if name not in shared]
    if alone and not shared:
        holder = _holder(alone, saved, listen_port)
        ports |= {holder: listen_port} if holder else {}
    taken = {listen_port}
    for name in [name for name in alone if name not in ports]:
        port = saved.get(name, 0)
        if port in taken or port < 1024:
            port = _next_free(listen_port, taken | set(saved.values()))
        ports[name] = port
        taken.add(port)
    return ports


def _holder(names: Sequence[str], saved: Mapping[str, int], listen_port: int) -> str | None:
    """Return which tunnel has the listen port; None where all have others that must not change."""
    before = saved.get(LISTEN_PORT, listen_port)
    heirs = [name for name in names if saved.get(name) == before] + [
        name for name in names if name not in saved
    ]
    if not heirs and before != listen_port:
        return names[0]  # a listen port that somebody has just asked for is used
    return next(iter(heirs), None)


def _next_free(listen_port: int, taken: set[int]) -> int:
    """Return the next port after the listen port that neither we nor another program holds."""
    for port in range(listen_port + 1, 65536):
        if port not in taken and _is_free(port):
            return port
    return 0  # the back end then takes any


def _is_free(port: int) -> bool:
    with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
        probe.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        try:
            probe.bind(("::", port))
        except OSError:
            return False
    return True
