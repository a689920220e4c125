"""`babelwg route get`: which way a packet takes, what Babel thinks and what the kernel does."""

from typing import Any

from babelwg.cli.render.layout import wrap
from babelwg.cli.render.units import age, metric, word


def render_route_get(data: dict[str, Any], width: int) -> str:
    """Return the answer for one destination as text."""
    source = f" from {data['source']}" if data.get("source") else ""
    lines = [
        f"{word(data['name'])} ({data['address']})" if data.get("name") else f"{data['address']}{source}"
    ]
    route = data.get("route")
    if data.get("local"):
        lines.append("  local   this is an address of this node")
    elif route is None:
        lines.append("  babel   no route")
    if route is not None:
        lines.append(f"  babel   {_route(route)}")
        origin = word(route.get("origin") or route.get("router_id"))
        lines.append(
            f"          announced by {origin}, seqno {route['seqno']}, learned {age(route['age_s'])} ago,"
            f" expires in {age(route['expires_s'])}"
        )
        following = data.get("next_best")
        lines.append(f"  next    {_route(following) if following else 'no other feasible route'}")
    lines.append(f"  kernel  {_kernel(data.get('kernel'))}{_verdict(data.get('agrees'))}")
    if data.get("agrees") is False:
        lines.append(f"          {data['kernel_words']}")
    if data.get("mtu") is not None:
        lines.append(f"  mtu     {data['mtu']}")
    return "\n".join(wrap(line, width, " " * 10) for line in lines)


def _route(route: dict[str, Any]) -> str:
    via = word(route.get("peer") or route.get("neighbour"))
    return f"{route['prefix']} via {via} ({route['interface']}), metric {metric(route['metric'])}"


def _kernel(kernel: dict[str, Any] | None) -> str:
    if kernel is None:
        return "no route"
    parts = [kernel["type"]]
    for name, key in (("via", "next_hop"), ("on", "interface"), ("from", "source"), ("table", "table")):
        if kernel.get(key) is not None:
            parts.append(f"{name} {kernel[key]}")
    return " ".join(parts)


def _verdict(agrees: bool | None) -> str:
    if agrees is None:
        return ""
    return " (agrees)" if agrees else " (Babel says otherwise)"
