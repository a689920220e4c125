"""Interfaces besides tunnels, as a file in babeld's language names them."""

from pathlib import Path

from babelwg.babel.parameters import InterfaceParameters
from babelwg.config import BabeldConfig, BabelInterface
from babelwg.daemon.routing import WantedInterface

SYSFS = Path("/sys/class/net")
UNHEEDED = (
    "local_port",
    "local_path",
    "import_tables",
    "reflect_kernel_metric",
    "allow_duplicates",
    "log_file",
    "daemonise",
    "link_detect",
    "shutdown_delay",
)
UNHEEDED_OPTIONS = (
    "unicast",
    "rfc6126_compatible",
    "enable_timestamps",
    "max_rtt_penalty",
    "v4_via_v6",
    "probe_mtu",
    "accept_bad_signatures",
)


def babeld_interfaces(config: BabeldConfig) -> dict[str, WantedInterface]:
    """Return what Babel shall run on, by interface name."""
    return {
        interface.name: WantedInterface(_parameters(interface.detected(is_wireless(interface.name))))
        for interface in config.interfaces
    }


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
