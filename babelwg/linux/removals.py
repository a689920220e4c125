"""Routes that we removed ourselves, until the kernel has told of it: such news are no loss."""

from collections import Counter

from babelwg.linux.routes import Route

# Implementation constants
MAX_REMOVALS = 200_000  # that wait for their news; beyond, the kernel tells them in other words than we know


class Removals:
    """Removals of ours whose news are on their way."""

    def __init__(self) -> None:
        self._waiting: Counter[Route] = Counter()

    def note(self, route: Route) -> None:
        """Take note that we removed a route."""
        if len(self._waiting) >= MAX_REMOVALS:
            self._waiting.clear()
        self._waiting[route] += 1

    def take(self, route: Route) -> bool:
        """Return whether the news that a route is gone tell of our own doing, and count them as told."""
        if not (count := self._waiting.pop(route, 0)):
            return False
        if count > 1:
            self._waiting[route] = count - 1
        return True

    def clear(self) -> None:
        """Wait for none of them: the news were lost."""
        self._waiting.clear()
