"""What `trace` and `ping` print."""

from collections.abc import Sequence
from typing import Any

from babelwg.cli.render.layout import Column, table, wrap
from babelwg.cli.render.rows import Row
from babelwg.cli.render.units import metric, plain, round_trip, share, word

NO_ANSWER = "* no answer"


def render_trace(data: dict[str, Any], width: int) -> str:
    """Return the way of packets as text: a line for each hop, and how it ends."""
    blocks = [wrap(f"{_target(data)}: {data['words']}", width, "  ")]
    if data["hops"]:
        blocks.append(table(HOPS, data["hops"], width))
    return "\n\n".join(blocks)


def render_head(data: Row, width: int) -> str:
    """Return the line before all answers."""
    source = f" from {data['source']}" if data["source"] else ""
    return wrap(f"ping {_target(data)}{source}", width, "  ")


def render_answer(event: Row, head: Row, width: int) -> str:
    """Return the line of one answer."""
    if event["rtt_s"] is not None:
        who = head["name"] or event["from"]
        return wrap(f"answer from {who}: seq={event['seq']} time={round_trip(event['rtt_s'])}", width, "  ")
    by = f" from {event['from']}" if event["from"] else ""
    return wrap(f"seq={event['seq']}{by}: {event['words']}", width, "  ")


def sum_up(events: Sequence[Row]) -> dict[str, Any]:
    """Return how many packets were sent and answered, and how long they took."""
    times = [event["rtt_s"] for event in events if event["rtt_s"] is not None]
    sent = len(events)
    return {
        "sent": sent,
        "received": len(times),
        "loss": round(1 - len(times) / sent, 4) if sent else None,
        "min_s": min(times, default=None),
        "avg_s": round(sum(times) / len(times), 6) if times else None,
        "max_s": max(times, default=None),
    }


def render_sum(total: Row, head: Row) -> str:
    """Return the last line."""
    times = ""
    if total["received"]:
        shown = "/".join(round_trip(total[key]) for key in ("min_s", "avg_s", "max_s"))
        times = f", min/avg/max {shown}"
    who = plain(str(head["name"] or head["address"]))
    return f"{who}: {total['sent']} sent, {total['received']} answered, {share(total['loss'])} lost{times}"


def _target(data: Row) -> str:
    return f"{data['name']} ({data['address']})" if data["name"] else str(data["address"])


def _who(row: Row) -> str:
    if row["address"] is None:
        return NO_ANSWER
    name = f"{row['name']} " if row["name"] else ""
    end = f": {row['words']}" if row["words"] else ""
    return f"{name}{row['address']}{end}"


def _times(row: Row) -> str:
    lost = ["*"] * row["lost"] if row["rtt_s"] else []
    return " ".join([round_trip(time) for time in row["rtt_s"]] + lost) or "-"


HOPS = (
    Column("HOP", lambda row: word(row["hop"]), True),
    Column("NODE", _who, False, 20),
    Column("RTT", _times),
    Column("METRIC", lambda row: metric(row["metric"]), True, 0, 1),
    Column("ONWARD", lambda row: metric(row["onward"]), True, 0, 2),
)
