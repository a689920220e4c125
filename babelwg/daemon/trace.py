"""The way of packets hop by hop: requests that die on the way, and who says so."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal, Protocol

from babelwg.linux.probes.echo import Reply
from babelwg.linux.probes.uplink import ProbeFailed

# Implementation constants
MAX_HOPS = 32
PROBES = 3  # to each hop, at the same time
WAVE = 4  # hops that are asked at the same time
PATIENCE = 1.2  # seconds for the answers of a wave

End = Literal["reached", "unreachable", "loop", "silence", "too-far", "no-way"]


class Sender(Protocol):
    """What sends requests that live for some hops."""

    def send(self, hops: int) -> asyncio.Future[Reply]: ...
    def forget(self, future: asyncio.Future[Reply]) -> None: ...


@dataclass(slots=True)
class Hop:
    """One hop: what came back from there, and how many requests were lost."""

    number: int
    replies: list[Reply] = field(default_factory=list)
    lost: int = 0

    @property
    def address(self) -> bytes | None:
        """Who answers (packed); where several do, the one that answered first."""
        return self.replies[0].address if self.replies else None

    @property
    def is_end(self) -> bool:
        """Whether packets go no further than here."""
        return any(reply.kind != "expired" for reply in self.replies)


@dataclass(frozen=True, slots=True)
class Trail:
    """The hops as far as packets get, and why they get no further."""

    hops: tuple[Hop, ...]
    end: End
    words: str


async def trace(sender: Sender, patience: float = PATIENCE) -> Trail:
    """Return the way of packets; it takes eight times `patience` (seconds) at most."""
    hops: list[Hop] = []
    for first in range(1, MAX_HOPS + 1, WAVE):
        try:
            wave = await _ask(sender, range(first, first + WAVE), patience)
        except ProbeFailed as failed:
            return Trail(tuple(hops), "no-way", f"packets do not leave this node: {failed}")
        for hop in wave:
            hops.append(hop)
            if hop.is_end:
                return _ended(hops)
            if (earlier := _seen_before(hops)) is not None:
                return Trail(tuple(hops), "loop", f"packets loop: hop {hop.number} is hop {earlier} again")
        if not any(hop.replies for hop in wave):
            break
    answered = max((hop.number for hop in hops if hop.replies), default=0)
    if len(hops) == MAX_HOPS and answered > MAX_HOPS - WAVE:
        return Trail(tuple(hops), "too-far", f"further than {MAX_HOPS} hops")
    where = f"beyond hop {answered}" if answered else "at all"
    return Trail(tuple(hops[: answered + 1]), "silence", f"nobody answers {where}")


async def _ask(sender: Sender, numbers: Iterable[int], patience: float) -> list[Hop]:
    """Ask some hops at the same time; return when all answered up to the first at which packets end."""
    hops = {number: Hop(number) for number in numbers}
    waiting: dict[asyncio.Future[Reply], Hop] = {}
    try:
        for number, hop in hops.items():
            for _ in range(PROBES):
                waiting[sender.send(number)] = hop
        deadline = asyncio.get_running_loop().time() + patience
        while needed := _needed(waiting, hops.values()):
            left = deadline - asyncio.get_running_loop().time()
            done, _ = await asyncio.wait(needed, timeout=left, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
            for future in sorted(done, key=lambda future: future.result().rtt):
                waiting.pop(future).replies.append(future.result())
    finally:
        for future, hop in waiting.items():
            hop.lost += 1
            sender.forget(future)
    return [*hops.values()]


def _needed(waiting: dict[asyncio.Future[Reply], Hop], hops: Iterable[Hop]) -> list[asyncio.Future[Reply]]:
    end = min((hop.number for hop in hops if hop.is_end), default=MAX_HOPS)
    return [future for future, hop in waiting.items() if hop.number <= end]


def _ended(hops: list[Hop]) -> Trail:
    last = next(reply for reply in hops[-1].replies if reply.kind != "expired")
    if last.kind == "reply":
        number = hops[-1].number
        return Trail(tuple(hops), "reached", f"reached in {number} hop{'' if number == 1 else 's'}")
    return Trail(tuple(hops), "unreachable", f"ends at hop {hops[-1].number}: {last.words}")


def _seen_before(hops: list[Hop]) -> int | None:
    """Return the hop that the last one is once more, with another one between."""
    address = hops[-1].address
    if address is None:
        return None
    return next((hop.number for hop in hops[:-2] if hop.address == address), None)
