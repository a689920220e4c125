"""Kernel settings that a router needs; what they were before is told, so that nothing changes in silence."""

from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path("/proc/sys/net")


def desired_sysctls(tunnels: Iterable[str]) -> dict[str, str]:
    """Return the settings for a node with these tunnels, by their path under /proc/sys/net."""
    settings = {
        "ipv4/ip_forward": "1",
        "ipv6/conf/all/forwarding": "1",
        # The reverse path check then looks a marked packet up by its mark, as WireGuard's answers need.
        "ipv4/conf/all/src_valid_mark": "1",
    }
    for name in tunnels:
        # Departs from the loose reverse path check (RFC 3704, section 2.4) that a router with several ways would
        # use: on an interface without an IPv4 address the kernel's loose check drops what comes one way and would
        # be answered another, and tunnels have none.
        settings[f"ipv4/conf/{name}/rp_filter"] = "0"
        settings[f"ipv4/conf/{name}/send_redirects"] = "0"
        settings[f"ipv4/conf/{name}/accept_redirects"] = "0"
        settings[f"ipv6/conf/{name}/accept_redirects"] = "0"
        settings[f"ipv6/conf/{name}/accept_ra"] = "0"
    return settings


def reverse_path_sysctls(root: Path = ROOT) -> dict[str, str]:
    """Return the settings that free tunnels from a reverse path check on `all`, which is the least of any interface.

    Every other interface, and those to come, keep the check that `all` gave them as their own.
    """
    common = int(_read(root / "ipv4/conf/all/rp_filter") or 0)
    if not common:
        return {}
    settings = {
        str(path.relative_to(root)): str(max(common, int(_read(path) or 0)))
        for path in sorted(root.glob("ipv4/conf/*/rp_filter"))
        if path.parent.name != "all"
    }
    return settings | {"ipv4/conf/all/rp_filter": "0"}


def router_advertisement_sysctls(root: Path = ROOT) -> dict[str, str]:
    """Return the settings that keep accepting router advertisements where a host did, though we forward now."""
    return {
        str(path.relative_to(root)): "2"
        for path in sorted(root.glob("ipv6/conf/*/accept_ra"))
        if path.parent.name != "lo" and _read(path) == "1"
    }


def apply_sysctls(settings: Mapping[str, str], root: Path = ROOT) -> tuple[dict[str, str], dict[str, str]]:
    """Write the settings that differ; return the old values of what changed, and the reasons of what could not."""
    changed: dict[str, str] = {}
    failed: dict[str, str] = {}
    for name, value in settings.items():
        path = root / name
        try:
            old = path.read_text().strip()
            if old != value:
                path.write_text(value)
                changed[name] = old
        except OSError as error:
            failed[name] = error.strerror or str(error)
    return changed, failed


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""  # the interface went away between the listing and now
