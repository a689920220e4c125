"""Other programs that change routes, rules and interfaces, as far as they run where we do."""

from collections.abc import Iterable
from configparser import Error, RawConfigParser
from pathlib import Path

PROC = Path("/proc")
NETWORKD_FILES = ("etc", "run", "usr/local/lib", "usr/lib")
# Names as the kernel keeps them, 15 octets, with what people call them
MANAGERS = {
    "systemd-network": "systemd-networkd",
    "NetworkManager": "NetworkManager",
    "connmand": "ConnMan",
    "dhcpcd": "dhcpcd",
    "netifd": "netifd",
    "babeld": "babeld",
    "bird": "BIRD",
    "bird6": "BIRD",
    "zebra": "FRR",
    "wg-quick": "wg-quick",
}


def running_managers(proc: Path = PROC) -> dict[str, int]:
    """Return the programs that manage routes and run in our network namespace, with their process numbers."""
    found = {}
    ours = _namespace(proc / "self")
    for process in proc.glob("[0-9]*"):
        try:
            name = MANAGERS.get((process / "comm").read_text().strip())
        except OSError:
            continue  # ended meanwhile
        if name is not None and ours is not None and _namespace(process) == ours:
            found[name] = int(process.name)
    return found


def networkd_leaves_alone(root: Path = Path("/")) -> tuple[bool, bool]:
    """Return whether systemd-networkd is told to leave the routes, and the rules, of others alone."""
    told = {"ManageForeignRoutes": True, "ManageForeignRoutingPolicyRules": True}
    for path in _networkd_files(root):
        parser = RawConfigParser(strict=False, allow_no_value=True)
        parser.optionxform = str  # type: ignore[assignment,method-assign]  # as its documentation says
        try:
            parser.read_string(path.read_text(errors="replace"))
        except (OSError, Error):
            continue  # systemd passes over it too
        for key in told:
            value = parser.get("Network", key, fallback=None)
            if value is not None:
                told[key] = value.strip().lower() not in ("no", "false", "off", "0", "n", "f")
    return not told["ManageForeignRoutes"], not told["ManageForeignRoutingPolicyRules"]


def _networkd_files(root: Path) -> Iterable[Path]:
    """Yield the files that count, the later ones over the earlier ones."""
    main = [root / place / "systemd/networkd.conf" for place in NETWORKD_FILES]
    yield from [path for path in main if path.exists()][:1]
    dropins: dict[str, Path] = {}
    for place in reversed(NETWORKD_FILES):
        for path in (root / place / "systemd/networkd.conf.d").glob("*.conf"):
            dropins[path.name] = path
    yield from (dropins[name] for name in sorted(dropins))


def _namespace(process: Path) -> str | None:
    try:
        return str((process / "ns/net").readlink())
    except OSError:
        return None
