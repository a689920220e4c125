"""What the kernel drops or changes of routes, without a word, when interfaces lose addresses."""

from collections.abc import Iterable, Mapping

from babelwg.linux.routes import TABLE_MAIN, Place, Route


class Losses:
    """The addresses that went since our routes were last looked through for what went with them."""

    def __init__(self) -> None:
        self._preferred: set[bytes] = set()  # by routes of ours, now or earlier
        self._gone: set[bytes] = set()
        self._interfaces: set[int] = set()  # that have no IPv4 address any more

    def __bool__(self) -> bool:
        return bool(self._gone or self._interfaces)

    def begin(self, routes: Iterable[Route]) -> None:
        """Take note that exactly these are in the kernel, and that nothing they need is gone."""
        self._preferred = {route.source for route in routes} - {b""}
        self._gone, self._interfaces = set(), set()

    def installed(self, route: Route) -> None:
        """Take note that a route is in the kernel."""
        if route.source:
            self._preferred.add(route.source)

    def is_preferred(self, address: bytes) -> bool:
        """Return whether a route may prefer an address (packed) as its source."""
        return address in self._preferred

    def note(self, interface: int, address: bytes, is_last: bool, is_elsewhere: bool) -> None:
        """Take note of an address; IPv4 routes prefer one further that is `elsewhere`, so that they stay."""
        if is_last:
            self._interfaces.add(interface)
        if address in self._preferred and (len(address) == 16 or not is_elsewhere):
            self._gone.add(address)

    def take(self, routes: Mapping[Place, Route]) -> dict[Place, Route | None]:
        """Return what the kernel has left of routes, None for nothing; after that nothing counts as lost.

        IPv4 routes over an interface go with its last IPv4 address, and those of main that prefer an address which no
        interface has any more; IPv6 routes go on without a preferred source.
        """
        gone, interfaces = self._gone, self._interfaces
        self._gone, self._interfaces = set(), set()
        left: dict[Place, Route | None] = {}
        # There may be tens of thousands, few of which are concerned.
        for route in [r for r in routes.values() if r.source in gone or r.interface in interfaces]:
            if route.prefix.family == 6:
                if route.source in gone:
                    left[route.place] = route._replace(source=b"")
            elif route.interface in interfaces or route.table == TABLE_MAIN:
                left[route.place] = None
        return left
