"""A look at whole tables of the kernel now and then; what lies there octet for octet as before is not read again."""

import time
from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

from babelwg.linux.errors import KernelError
from babelwg.linux.netlink import RequestSocket
from babelwg.linux.routes import PROTOCOL_BABEL, Route, dump_octets, routes_in

MARK_SIZE = 16  # octets
SHARE = 0.0005  # of a processor, that looks at full tables may take: news of the kernel come at once, without any look
LONGEST_PAUSE = 300.0  # seconds


class Seen(NamedTuple):
    """What a look saw: a mark that equal tables have in common, and their routes, None where they are as known."""

    mark: bytes
    routes: list[Route] | None


class KernelLook:
    """Looks at tables with a socket of its own, from any thread, one look at a time."""

    def __init__(self) -> None:
        self._requests: RequestSocket | None = None
        self._due = 0.0  # monotonic seconds

    @property
    def is_due(self) -> bool:
        """Whether the next look would not take more than its share of a processor."""
        return time.monotonic() >= self._due

    def look(self, tables: Iterable[int], known: bytes | None) -> Seen:
        """Return what some tables hold of Babel's protocol; routes are not read where the mark is `known`.

        Raises KernelError.
        """
        began = time.thread_time()
        try:
            return self._look(tables, known)
        finally:
            self._due = time.monotonic() + min(LONGEST_PAUSE, (time.thread_time() - began) / SHARE)

    def _look(self, tables: Iterable[int], known: bytes | None) -> Seen:
        if self._requests is None:
            self._requests = RequestSocket()
        # The same numbers in the same requests, so that the same answers are the same octets.
        self._requests.restart_numbering()
        try:
            dumped = [(table, dump_octets(self._requests, table, PROTOCOL_BABEL)) for table in sorted(tables)]
        except KernelError:
            self.close()  # what it would still tell belongs to no later request
            raise
        mark = blake2b(digest_size=MARK_SIZE)
        for table, datagrams in dumped:
            mark.update(table.to_bytes(4, "big"))
            for data in datagrams:
                mark.update(data)
        if mark.digest() == known:
            return Seen(mark.digest(), None)
        routes = [route for table, datagrams in dumped for route in routes_in(datagrams, table)]
        return Seen(mark.digest(), routes)

    def close(self) -> None:
        """Close the socket; another look opens one."""
        if self._requests is not None:
            self._requests.close()
            self._requests = None
