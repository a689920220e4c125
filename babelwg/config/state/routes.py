"""The selected routes as a journal, so that the next life of this boot goes on with them until neighbours confirm."""

import struct
from typing import Any

from babelwg.config.state.journal import Journal, cut_networks

# Family, packed network, plen, packed source network and its plen; then all None for a prefix that has no route any
# more, else interface, the neighbour's address (packed), next hop (packed), router-id, seqno, refmetric, txcost, the
# interval of its updates in seconds, and since when it is selected in monotonic seconds.
RouteRow = tuple[
    int,
    bytes,
    int,
    bytes,
    int,
    str | None,
    bytes | None,
    bytes | None,
    bytes | None,
    int | None,
    int | None,
    int | None,
    float | None,
    float | None,
]
GONE = (None,) * 9


class RouteJournal(Journal[RouteRow]):
    """The journal of the selected routes; it is never missed, since neighbours tell all of it again."""

    FILE = "routes.journal"
    MAGIC = b"bwg-rte1"
    RECORD = struct.Struct("!BB16sB16s16s16sB16s8sHHHdd")
    KEY_FIELDS = 5

    def pack(self, row: RouteRow) -> bytes:
        family, network, plen, source, source_plen, name, neighbour, next_hop, *rest = row
        router_id, *numbers = rest
        hop = next_hop or b""
        return self.RECORD.pack(
            family,
            plen,
            network,
            source_plen,
            source,
            (name or "").encode(),
            neighbour or b"",
            len(hop),
            hop,
            router_id or b"",
            *(number or 0 for number in numbers),
        )

    def unpack(self, fields: tuple[Any, ...]) -> RouteRow:
        family, plen, network, source_plen, source, name, neighbour, length, hop, *rest = fields
        network, source = cut_networks(family, network, source, source_plen)
        interface = name.rstrip(b"\0").decode(errors="replace")
        if not interface:
            return family, network, plen, source, source_plen, *GONE
        router_id, seqno, refmetric, txcost, interval, since = rest
        known = (interface, neighbour, hop[:length], router_id, seqno, refmetric, txcost)
        return family, network, plen, source, source_plen, *known, interval, since
