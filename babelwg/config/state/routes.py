"""The selected routes as a journal, so that a next life may go on with them until neighbours confirm them."""

import struct
from typing import Any

from babelwg.babel.memory import Chosen, RouteRecord
from babelwg.babel.wire.prefix import Prefix
from babelwg.config.state.journal import Journal, cut_networks

NONE = Chosen("", b"", b"", b"", 0, 0, 0, 0.0, 0.0)  # stands for no route any more: it has no interface


class RouteJournal(Journal[RouteRecord]):
    """The journal of the selected routes; it is never missed, since neighbours tell all of it again."""

    FILE = "routes.journal"
    MAGIC = b"bwg-rte1"
    RECORD = struct.Struct("!BB16sB16s16s16sB16s8sHHHdd")
    KEY_FIELDS = 1

    def pack(self, row: RouteRecord) -> bytes:
        (family, network, plen, source, source_plen), chosen = row
        name, neighbour, next_hop, *rest = chosen or NONE
        length = len(next_hop)
        head = family, plen, network, source_plen, source, name.encode(), neighbour, length, next_hop
        return self.RECORD.pack(*head, *rest)

    def unpack(self, fields: tuple[Any, ...]) -> RouteRecord:
        family, plen, network, source_plen, source, name, neighbour, length, hop, *rest = fields
        network, source = cut_networks(family, network, source, source_plen)
        prefix = Prefix(family, network, plen, source, source_plen)
        interface = name.rstrip(b"\0").decode(errors="replace")
        return RouteRecord(prefix, Chosen(interface, neighbour, hop[:length], *rest) if interface else None)
