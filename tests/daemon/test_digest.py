"""News of the kernel that come one by one, each of which takes long to digest."""

import asyncio
from itertools import pairwise

from babelwg.daemon.digest import SHARE, Digest
from tests.daemon.virtualtime import run, work

EFFORT = 0.01  # seconds


class Listener:
    """Works on whatever it is told, and remembers when that was."""

    def __init__(self) -> None:
        self.told: list[tuple[float, set[str]]] = []

    def tell(self, what: set[str]) -> None:
        self.told.append((asyncio.get_running_loop().time(), what))
        work(EFFORT)


def test_what_comes_alone_is_told_at_once() -> None:
    async def main() -> None:
        listener = Listener()
        digest = Digest(listener.tell)
        digest.take({"link"})
        await asyncio.sleep(1.0)
        digest.take({"address"})
        assert listener.told == [(0.0, {"link"}), (1.0 + EFFORT, {"address"})]

    run(main())


def test_a_flood_is_told_in_few_words_and_leaves_the_loop_to_others() -> None:
    async def main() -> None:
        listener = Listener()
        digest = Digest(listener.tell)
        for _ in range(100):
            digest.take({"link"})
            digest.take({"address"})
            await asyncio.sleep(0.001)
        digest.take({"main"})
        await asyncio.sleep(1.0)
        begun = [when for when, _ in listener.told]
        assert all(later - sooner > 0.99 * SHARE * EFFORT for sooner, later in pairwise(begun))
        assert len(begun) <= 10
        assert listener.told[0][1] == {"link"}
        assert listener.told[1][1] == {"link", "address"}
        assert "main" in listener.told[-1][1]

    run(main())


def test_nothing_is_told_after_the_end() -> None:
    async def main() -> None:
        listener = Listener()
        digest = Digest(listener.tell)
        digest.take({"link"})
        digest.take({"address"})
        digest.close()
        await asyncio.sleep(1.0)
        assert [what for _, what in listener.told] == [{"link"}]

    run(main())


def test_a_mistake_in_telling_does_not_end_the_telling() -> None:
    async def main() -> None:
        told = []

        def fail(what: set[str]) -> None:
            told.append(what)
            raise ZeroDivisionError("broken")

        digest = Digest(fail)
        for _ in range(2):
            try:
                digest.take({"link"})
            except ZeroDivisionError:
                await asyncio.sleep(1.0)
        assert len(told) == 2

    run(main())
