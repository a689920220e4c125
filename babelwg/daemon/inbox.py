"""What was read of neighbours and not handled yet: each has a queue of its own, and all get the same time.

Whoever sends more than can be handled waits behind himself, and loses what he has no room for; nobody else does.
"""

from collections import deque
from collections.abc import Hashable
from heapq import heappop, heappush

from babelwg.babel.datagram import Datagram

# Implementation constants: octets
OVERHEAD = 512  # that a datagram takes beside its own
QUEUE_ROOM = 4 << 20  # of a neighbour: several full tables
FAIR_ROOM = QUEUE_ROOM // 2  # that nobody needs more of: a table of as many routes as one may announce
ROOM = 32 << 20  # of all together
LEAST_TIME = 20e-6  # seconds that each datagram counts for
MAX_IDLE = 1024  # neighbours of whom nothing waits and that are remembered

Key = Hashable


class Queue:
    """The datagrams of one neighbour."""

    __slots__ = ("datagrams", "key", "octets", "used")

    def __init__(self, key: Key) -> None:
        self.key = key
        self.datagrams: deque[Datagram] = deque()
        self.octets = 0
        self.used = 0.0  # seconds; who has used the least is next


class Inbox:
    """The queues of all neighbours."""

    def __init__(self) -> None:
        self._queues: dict[Key, Queue] = {}
        self._order: list[tuple[float, int, Queue]] = []  # those with datagrams, by what they have used
        self._count = 0
        self._octets = 0
        self._now = 0.0  # what those have used that are served at present
        self._served: dict[Queue, float] = {}  # seconds, since the last settlement

    def __bool__(self) -> bool:
        return bool(self._order)

    def put(self, key: Key, datagram: Datagram) -> Key | None:
        """Have a datagram of a neighbour wait, and return of whom one was dropped instead: of a queue that is full."""
        if (queue := self._queues.get(key)) is None:
            queue = self._queues[key] = Queue(key)
        size = len(datagram.data) + OVERHEAD
        if queue.octets + size > QUEUE_ROOM:
            return key
        longest = None
        if self._octets + size > ROOM:
            longest = max((queue for _, _, queue in self._order), key=lambda queue: queue.octets)
            if longest is queue or len(longest.datagrams) < 2:
                return key
            self._forget(longest, longest.datagrams.pop())
        if not queue.datagrams:
            # Nobody saves time up by being silent.
            queue.used = max(queue.used, self._now)
            self._line_up(queue)
        queue.datagrams.append(datagram)
        queue.octets += size
        self._octets += size
        return None if longest is None else longest.key

    def take(self) -> tuple[Queue, Datagram] | None:
        """Return what is handled next; its queue waits until it is told how long that took."""
        if not self._order:
            return None
        used, _, queue = heappop(self._order)
        self._now = max(self._now, used)
        datagram = queue.datagrams.popleft()
        self._forget(queue, datagram)
        return queue, datagram

    def charge(self, queue: Queue, seconds: float) -> None:
        """Take note of how long it took to handle what was taken."""
        seconds = max(seconds, LEAST_TIME)
        queue.used += seconds
        self._served[queue] = self._served.get(queue, 0.0) + seconds
        if queue.datagrams:
            self._line_up(queue)
        elif len(self._queues) > MAX_IDLE:
            self._queues = {key: each for key, each in self._queues.items() if each.datagrams}

    def settle(self, seconds: float) -> None:
        """Share out the time of what followed from all that was handled since the last settlement."""
        total = sum(self._served.values())
        for queue, own in self._served.items():
            queue.used += seconds * own / total
        self._served.clear()

    def oldest(self) -> float | None:
        """Return when the oldest datagram came that others wait for: not one of a queue that is longer than fair."""
        fair = (queue for _, _, queue in self._order if queue.octets <= FAIR_ROOM)
        return min((queue.datagrams[0].received for queue in fair), default=None)

    def _line_up(self, queue: Queue) -> None:
        self._count += 1
        heappush(self._order, (queue.used, self._count, queue))

    def _forget(self, queue: Queue, datagram: Datagram) -> None:
        size = len(datagram.data) + OVERHEAD
        queue.octets -= size
        self._octets -= size
