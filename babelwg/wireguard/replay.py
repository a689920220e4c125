"""The replay window of RFC 6479: which counters of a session were seen, in a ring of words."""

# Specification constants
WINDOW_BITS = 8192  # stored
WORD_BITS = 64
WINDOW_SIZE = WINDOW_BITS - WORD_BITS  # usable: one word is always being cleared

_WORDS = WINDOW_BITS // WORD_BITS


class ReplayWindow:
    """Accepts each counter once, in any order within the last 8128."""

    __slots__ = ("_last", "_words")

    def __init__(self) -> None:
        self._last = -1
        self._words = [0] * _WORDS

    def accept(self, counter: int) -> bool:
        """Return whether a counter is new, and remember it; call only for authenticated packets."""
        word = counter >> 6
        if counter > self._last:
            self._advance(word)
            self._last = counter
        elif counter + WINDOW_SIZE <= self._last:
            return False
        index, bit = word % _WORDS, 1 << (counter & 63)
        if self._words[index] & bit:
            return False
        self._words[index] |= bit
        return True

    def values(self) -> tuple[int, list[int]]:
        """Return the greatest counter seen, and the words of the ring."""
        return self._last, self._words

    def set_values(self, last: int, words: list[int]) -> None:
        """Remember what another window has seen. Raises ValueError."""
        if len(words) != _WORDS:
            raise ValueError(f"a window of {len(words)} words, expected {_WORDS}")
        self._last, self._words = last, words

    def _advance(self, word: int) -> None:
        # Only words that the window moves over are cleared, so moving costs nothing per packet.
        current = self._last >> 6 if self._last >= 0 else -1
        for passed in range(max(current + 1, word - _WORDS + 1), word + 1):
            self._words[passed % _WORDS] = 0
