"""Interfaces besides tunnels, as a file in babeld's language names them."""

from collections.abc import Collection, Iterable
from fnmatch import fnmatchcase
from pathlib import Path

from babelwg.babel.parameters import InterfaceParameters
from babelwg.config import BabeldConfig, BabelInterface
from babelwg.daemon.routing import WantedInterface
from babelwg.linux.mirror import IFF_LOOPBACK, Link

SYSFS = Path("/sys/class/net")
PATTERN = frozenset("*?[")
UNHEEDED = ("allow_duplicates", "smoothing_half_life", "debug")
UNHEEDED_OPTIONS = ("probe_mtu",)


def babeld_interfaces(
    config: BabeldConfig, links: Iterable[Link], tunnels: Collection[str]
) -> dict[str, WantedInterface]:
    """Return what Babel shall run on, by interface name.

    A line with a name counts whether the interface is there or not, and before any pattern; else the first pattern
    that matches decides, but never for `tunnels`, which are ours, for loopback, or for a part of a bridge or bond.
    """
    wanted = {i.name: i for i in config.interfaces if not is_pattern(i.name)}
    patterns = [i for i in config.interfaces if is_pattern(i.name)]
    for link in links if patterns else ():
        if link.name in wanted or link.name in tunnels or link.flags & IFF_LOOPBACK or link.master:
            continue
        found = next((i for i in patterns if fnmatchcase(link.name, i.name)), None)
        if found is not None:
            wanted[link.name] = found
    return {
        name: WantedInterface(_parameters(interface.detected(is_wireless(name))))
        for name, interface in wanted.items()
    }


def is_pattern(name: str) -> bool:
    """Return whether a name stands for every interface that it matches."""
    return not PATTERN.isdisjoint(name)


def unheeded_directives(config: BabeldConfig | None) -> list[str]:
    """Return the directives of a file that babelwg reads and does not act on, as they are written there."""
    if config is None:
        return []
    default = BabeldConfig()
    said = [name for name in UNHEEDED if getattr(config, name) != getattr(default, name)]
    for interface in config.interfaces:
        said += [
            f"interface {interface.name} {n}"
            for n in UNHEEDED_OPTIONS
            if getattr(interface.options, n) is not None
        ]
    return [name.replace("_", "-") for name in said]


def is_wireless(name: str, sysfs: Path = SYSFS) -> bool:
    """Return whether the kernel calls an interface wireless."""
    return (sysfs / name / "wireless").exists() or (sysfs / name / "phy80211").exists()


def _parameters(interface: BabelInterface) -> InterfaceParameters:
    return InterfaceParameters(
        # babeld takes what it does not recognise as wireless for wired.
        kind=interface.kind if interface.kind != "auto" else "wired",
        hello_interval=interface.hello_interval,
        update_interval=interface.update_interval,
        rxcost=interface.rxcost,
        link_quality=interface.link_quality,
        split_horizon=interface.split_horizon,
        keys=interface.keys,
        accept_bad_signatures=interface.accept_bad_signatures,
        unicast=interface.unicast,
        rfc6126_compatible=interface.rfc6126_compatible,
        v4_via_v6=interface.v4_via_v6 is not False,
        timestamps=interface.enable_timestamps,
        rtt_decay=interface.rtt_decay,
        rtt_min=interface.rtt_min,
        rtt_max=interface.rtt_max,
        max_rtt_penalty=interface.max_rtt_penalty,
        burst=0 if interface.kind == "wireless" else InterfaceParameters().burst,
    )
