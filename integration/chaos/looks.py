"""Looks that are taken again and again beside a storm."""

import threading
from collections.abc import Callable


def look_every(pause: float, look: Callable[[], None]) -> Callable[[], None]:
    """Take a look after every pause (seconds) in a thread of its own; return what ends that."""
    ended = threading.Event()

    def run() -> None:
        while not ended.wait(pause):
            look()

    def end() -> None:
        ended.set()
        thread.join()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return end
