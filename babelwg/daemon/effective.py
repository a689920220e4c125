"""What a configuration of either kind means for the node: table, priority, port, and what needs a restart."""

from dataclasses import replace

from babelwg.babel.parameters import Parameters
from babelwg.babel.policy import AllowAll, Policy
from babelwg.config import BabeldConfig, Config, FilterPolicy, public_of
from babelwg.linux.routes import TABLE_MAIN

AnyConfig = Config | BabeldConfig

# Implementation constants
REPAIR_INTERVAL = 60.0  # seconds between comparisons of everything with the kernel

# What a running daemon cannot change, by the name of the field of a file in babeld's language
AT_START = (
    "export_table",
    "ipv6_subtrees",
    "kernel_priority",
    "protocol_port",
    "protocol_group",
    "router_id",
    "random_id",
)


def babeld_of(config: AnyConfig) -> BabeldConfig | None:
    """Return what a file in babeld's language says, alone or beside the tunnels."""
    if not isinstance(config, Config):
        return config
    babeld = config.babel.babeld
    # Beside tunnels, only what a line asks for: the addresses of the underlay are nobody's destination.
    return replace(babeld, implicit_local=False) if babeld else None


def with_babeld(config: AnyConfig, babeld: BabeldConfig) -> AnyConfig:
    """Return a configuration with another part in babeld's language."""
    return (
        replace(config, babel=replace(config.babel, babeld=babeld)) if isinstance(config, Config) else babeld
    )


def table_of(config: AnyConfig) -> int:
    """Return the kernel table for learned routes."""
    return config.babel.table if isinstance(config, Config) else config.export_table or TABLE_MAIN


def repair_interval_of(config: AnyConfig) -> float:
    """Return the seconds between comparisons of everything with the kernel."""
    babeld = babeld_of(config)
    return min(REPAIR_INTERVAL, babeld.kernel_check_interval if babeld else REPAIR_INTERVAL)


def priority_of(config: AnyConfig) -> int | None:
    """Return the priority of learned routes, None for the default of the table."""
    return None if isinstance(config, Config) else config.kernel_priority


def wants_subtrees(config: AnyConfig) -> bool:
    """Return whether IPv6 source-specific routes may use the kernel's subtrees, where it has them."""
    babeld = babeld_of(config)
    return babeld is None or babeld.ipv6_subtrees is not False


def filter_tables(config: AnyConfig) -> set[int]:
    """Return the tables that install filters name."""
    babeld = babeld_of(config)
    return {line.table for line in babeld.install_filters if line.table is not None} if babeld else set()


def policy_of(config: AnyConfig) -> Policy:
    """Return the filters."""
    babeld = babeld_of(config)
    has_lines = babeld and (babeld.in_filters or babeld.out_filters or babeld.install_filters)
    return FilterPolicy(babeld) if babeld and has_lines else AllowAll()


def parameters_of(config: AnyConfig) -> Parameters:
    """Return what concerns the whole speaker."""
    babeld = babeld_of(config)
    return Parameters(port=babeld.protocol_port, group=babeld.protocol_group) if babeld else Parameters()


def router_id_of(config: AnyConfig) -> bytes | None:
    """Return the router-id that a configuration gives, None where we draw and keep one."""
    babeld = babeld_of(config)
    return babeld.router_id if babeld else None


def wants_random_id(config: AnyConfig) -> bool:
    """Return whether each start shall have a router-id of its own."""
    babeld = babeld_of(config)
    return babeld is not None and babeld.random_id


def owner_of(config: AnyConfig) -> str:
    """Return whose the state directory is: the node's public key, or a word where there is none."""
    return str(public_of(config.node.private_key)) if isinstance(config, Config) else "babeld"


def changes_at_restart(old: AnyConfig, new: AnyConfig) -> list[str]:
    """Return a sentence for each setting of a new configuration that takes effect at the next start only."""
    before, after = babeld_of(old) or BabeldConfig(), babeld_of(new) or BabeldConfig()
    changed = [name.replace("_", "-") for name in AT_START if getattr(before, name) != getattr(after, name)]
    if isinstance(new, Config) or isinstance(old, Config):
        # An overlay has a table and a priority of its own.
        changed = [name for name in changed if name not in ("export-table", "kernel-priority")]
        changed += ["the routing table"] if table_of(old) != table_of(new) else []
    return [f"{what} changes at the next start only" for what in changed]
