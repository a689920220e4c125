"""All counters of a node in one table, named PART.KIND or PART.KIND.REASON."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from babelwg.daemon.queries.context import Context


async def gather_counters(context: "Context") -> dict[str, int]:
    """Return every counter by its name."""
    node = context.node
    counters: dict[str, int] = {}
    sources = {
        "babel": node.routing.speaker.counters,
        "socket": node.routing.socket.counters,
        "kernel": node.routes.counters,
        "store": node.store.counters,
        "gateway": node.gateways.counters,
        "daemon": node.routing.counters,
        "local": node.local.counters,
        "web": node.web.counters,
        "control": context.control.counters if context.control else {},
        "history": node.recorder.counters | (node.recorder.file.counters if node.recorder.file else {}),
        "loop": node.lag.counters(),
        "link": node.links.all_counters(),
    }
    for part, values in sources.items():
        counters |= {f"{part}.{name}": value for name, value in values.items()}
    counters["kernel.overruns"] = node.monitor.overruns
    counters |= {f"dataplane.{name}": value for name, value in (await node.tunnels.embedded.stats()).items()}
    return dict(sorted(counters.items()))
