"""All counters of a node in one table, named PART.KIND or PART.KIND.REASON."""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from babelwg.daemon.queries.context import Context


class Counters(NamedTuple):
    """Every counter by its name, and how many seconds old those of the data plane are, None for not known."""

    values: dict[str, int]
    dataplane_age: float | None


async def gather_counters(context: "Context") -> Counters:
    """Return every counter."""
    node = context.node
    counters: dict[str, int] = {}
    sources = {
        "babel": node.routing.speaker.counters,
        "socket": node.routing.socket.counters,
        "kernel": node.routes.counters,
        "store": node.store.counters,
        "gateway": node.gateways.counters,
        "daemon": node.routing.all_counters(),
        "local": node.local.counters,
        "web": node.web.counters,
        "control": context.control.counters if context.control else {},
        "history": node.recorder.counters | (node.recorder.file.counters if node.recorder.file else {}),
        "loop": node.lag.counters(),
        "link": node.links.all_counters() | node.hints.counters(),
    }
    for part, values in sources.items():
        counters |= {f"{part}.{name}": value for name, value in values.items()}
    counters["kernel.overruns"] = node.monitor.overruns
    counters["kernel.read_failed"] = node.monitor.read_failed
    told = await context.dataplane.read()
    counters |= {f"dataplane.{name}": value for name, value in told.values.items()}
    return Counters(dict(sorted(counters.items())), told.age)
