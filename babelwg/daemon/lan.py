"""Interfaces besides tunnels, as a file in babeld's language names them."""

from pathlib import Path

from babelwg.babel.parameters import InterfaceParameters
from babelwg.config import BabeldConfig, BabelInterface
from babelwg.daemon.routing import WantedInterface

SYSFS = Path("/sys/class/net")


def babeld_interfaces(config: BabeldConfig) -> dict[str, WantedInterface]:
    """Return what Babel shall run on, by interface name."""
    return {
        interface.name: WantedInterface(_parameters(interface.detected(is_wireless(interface.name))))
        for interface in config.interfaces
    }


def is_wireless(name: str, sysfs: Path = SYSFS) -> bool:
    """Return whether the kernel calls an interface wireless."""
    return (sysfs / name / "wireless").exists() or (sysfs / name / "phy80211").exists()


def _parameters(interface: BabelInterface) -> InterfaceParameters:
    # babeld takes what it does not recognise as wireless for wired.
    return InterfaceParameters(
        kind=interface.kind if interface.kind != "auto" else "wired",
        hello_interval=interface.hello_interval,
        update_interval=interface.update_interval,
        rxcost=interface.rxcost,
        link_quality=interface.link_quality,
        split_horizon=interface.split_horizon,
        burst=InterfaceParameters().burst if interface.kind == "tunnel" else 0,
    )
