"""Questions in turn: what they take of the loop they leave to others, however many ask and however often."""

import asyncio
import types
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar

T = TypeVar("T")

# Implementation constants
SHARE = 3.0  # of the time, questions take a third at most
CREDIT = 0.25  # seconds that they may take at once, so that nobody waits who asks alone


class Turns:
    """Lets questions begin only while the loop is not theirs most of the time."""

    def __init__(self) -> None:
        self._door = asyncio.Lock()
        self._paid = 0.0  # the loop's time until which what was taken belongs to others

    async def take(self, question: Coroutine[Any, Any, T]) -> T:
        """Return the answer to a question, which waits behind those that came before it."""
        loop = asyncio.get_running_loop()
        try:
            async with self._door:
                while (debt := self._paid - loop.time() - CREDIT) > 0:
                    await asyncio.sleep(debt)
        except BaseException:
            question.close()
            raise
        return await _metered(question, self._note, loop.time)

    def _note(self, spent: float) -> None:
        self._paid = max(self._paid, asyncio.get_running_loop().time() - spent) + SHARE * spent


@types.coroutine
def _metered(
    question: Coroutine[Any, Any, T], note: Callable[[float], None], clock: Callable[[], float]
) -> Generator[Any, Any, T]:
    """Return what a coroutine returns, and note the seconds of each of its steps but not those between."""
    thrown: BaseException | None = None
    while True:
        start = clock()
        try:
            awaited = question.send(None) if thrown is None else question.throw(thrown)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        finally:
            note(clock() - start)
        thrown = None
        try:
            yield awaited
        except BaseException as error:  # noqa: BLE001 - a cancellation is for the question, as all else is
            thrown = error
