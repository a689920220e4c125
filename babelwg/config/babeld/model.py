"""What a file in babeld's language says, as frozen values with babeld's defaults."""

from dataclasses import dataclass, field, fields, replace
from typing import Literal, Self, TypeVar

from babelwg.babel.wire.mac import MacKey
from babelwg.config.babeld.compiled import FilterList
from babelwg.config.babeld.filters import LOCAL_ALLOW, Filter

T = TypeVar("T")
MAIN_TABLE = 254
Kind = Literal["auto", "wired", "wireless", "tunnel"]

# Defaults of babeld
HELLO_INTERVAL = 4.0  # seconds
UPDATE_FACTOR = 4  # update interval in Hello intervals
WIRED_COST, WIRELESS_COST = 96, 256
RTT_DECAY = 42  # weight of a new sample, of 256
RTT_MIN, RTT_MAX, RTT_STEP = 0.010, 0.120, 0.010  # seconds
TUNNEL_RTT_PENALTY = 96
SMOOTHING_HALF_LIFE = 4.0  # seconds


@dataclass(frozen=True, slots=True)
class InterfaceOptions:
    """What the lines for an interface say; None is unsaid. Times in seconds."""

    kind: Kind | None = None
    link_quality: bool | None = None
    split_horizon: bool | None = None
    rxcost: int | None = None
    hello_interval: float | None = None
    update_interval: float | None = None
    enable_timestamps: bool | None = None
    unicast: bool | None = None
    rfc6126_compatible: bool | None = None
    rtt_decay: int | None = None
    rtt_min: float | None = None
    rtt_max: float | None = None
    max_rtt_penalty: int | None = None
    v4_via_v6: bool | None = None
    probe_mtu: bool | None = None
    accept_bad_signatures: bool | None = None
    faraway: bool | None = None
    keys: tuple[str, ...] | None = None  # their ids

    def over(self, base: "InterfaceOptions") -> "InterfaceOptions":
        """Return these options with what they leave unsaid taken from `base`."""
        said = {f.name: value for f in fields(self) if (value := getattr(self, f.name)) is not None}
        return replace(base, **said)


@dataclass(frozen=True, slots=True)
class BabelInterface:
    """An interface on which Babel runs, every option settled. Times in seconds.

    `v4_via_v6` None leaves the choice to the kernel's abilities.
    """

    name: str
    kind: Kind
    link_quality: bool
    split_horizon: bool
    rxcost: int
    hello_interval: float
    update_interval: float
    enable_timestamps: bool
    unicast: bool
    rfc6126_compatible: bool
    rtt_decay: int
    rtt_min: float
    rtt_max: float
    max_rtt_penalty: int
    v4_via_v6: bool | None
    probe_mtu: bool
    accept_bad_signatures: bool
    keys: tuple[MacKey, ...]
    options: InterfaceOptions

    @classmethod
    def settle(
        cls,
        name: str,
        options: InterfaceOptions,
        keys: tuple[MacKey, ...] = (),
        wireless: bool = False,
    ) -> Self:
        """Return an interface with built-in values for what is unsaid; `wireless` is what was detected."""
        kind: Kind = options.kind or "auto"
        is_wireless = kind == "wireless" or (kind == "auto" and wireless)
        hello = _or(options.hello_interval, HELLO_INTERVAL)
        rtt_min, rtt_max = _or(options.rtt_min, RTT_MIN), _or(options.rtt_max, RTT_MAX)
        return cls(
            name=name,
            kind="wireless" if is_wireless else kind,
            link_quality=_or(options.link_quality, is_wireless),
            split_horizon=_or(options.split_horizon, kind == "wired"),
            rxcost=_or(options.rxcost, WIRELESS_COST if is_wireless else WIRED_COST),
            hello_interval=hello,
            update_interval=_or(options.update_interval, UPDATE_FACTOR * hello),
            enable_timestamps=_or(options.enable_timestamps, kind == "tunnel"),
            unicast=_or(options.unicast, False),
            rfc6126_compatible=_or(options.rfc6126_compatible, False),
            rtt_decay=_or(options.rtt_decay, RTT_DECAY),
            rtt_min=rtt_min,
            rtt_max=rtt_max if rtt_max > rtt_min else round(rtt_min + RTT_STEP, 6),
            max_rtt_penalty=_or(options.max_rtt_penalty, TUNNEL_RTT_PENALTY if kind == "tunnel" else 0),
            v4_via_v6=options.v4_via_v6,
            probe_mtu=_or(options.probe_mtu, False),
            accept_bad_signatures=_or(options.accept_bad_signatures, False),
            keys=keys,
            options=options,
        )

    def detected(self, wireless: bool) -> "BabelInterface":
        """Return the same interface after the kernel has told whether it is wireless."""
        return BabelInterface.settle(self.name, self.options, self.keys, wireless)


@dataclass(frozen=True, slots=True)
class BabeldConfig:
    """A whole file; `filters` are the redistribute lines as written, the others by name. Times in seconds."""

    interfaces: tuple[BabelInterface, ...] = ()
    filters: tuple[Filter, ...] = ()
    in_filters: tuple[Filter, ...] = ()
    out_filters: tuple[Filter, ...] = ()
    install_filters: tuple[Filter, ...] = ()
    keys: tuple[MacKey, ...] = ()
    implicit_local: bool = True
    protocol_group: bytes = bytes.fromhex("ff020000000000000000000000010006")
    protocol_port: int = 6696
    kernel_priority: int = 0
    reflect_kernel_metric: bool = False
    allow_duplicates: int | None = None
    random_id: bool = False
    router_id: bytes | None = None
    ipv6_subtrees: bool | None = None
    debug: int = 0
    local_port: int | None = None
    local_path: str | None = None
    local_readwrite: bool = False
    export_table: int = MAIN_TABLE
    import_tables: tuple[int, ...] = (MAIN_TABLE,)
    kernel_check_interval: float = 300.0
    shutdown_delay: float | None = None
    link_detect: bool = False
    log_file: str | None = None
    pid_file: str = "/var/run/babeld.pid"
    state_file: str = "/var/lib/babel-state"
    smoothing_half_life: float = SMOOTHING_HALF_LIFE
    daemonise: bool = False
    skip_kernel_setup: bool = False
    # For interfaces to come; those that are there have taken what they need of it.
    default: InterfaceOptions = field(default_factory=InterfaceOptions, compare=False)

    @property
    def redistribute(self) -> tuple[Filter, ...]:
        """The redistribute lines with the `redistribute local allow` that babeld appends."""
        return (*self.filters, LOCAL_ALLOW) if self.implicit_local else self.filters

    def redistribution(self) -> FilterList:
        """Return the redistribute lines ready to be asked, for as many routes as there are."""
        return FilterList(self.redistribute)


def _or(value: T | None, default: T) -> T:
    return default if value is None else value
