"""The words of a line in babeld's language, and the values that words stand for."""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import NamedTuple

from babelwg.babel.wire.prefix import Prefix
from babelwg.config.addresses import parse_network
from babelwg.config.errors import did_you_mean, quoted

MAX_WORD = 255  # octets
WHITE_SPACE = " \t\r"
WORD_END = re.compile(r"[ \t\r\n#]|\Z")
INTEGER = re.compile(r"0[xX][0-9a-fA-F]{1,16}|[0-9]{1,19}", re.ASCII)
FIXED_POINT = re.compile(r"(?=\.?[0-9])([0-9]{0,9})(?:\.([0-9]*))?", re.ASCII)
PAIRS = r"[0-9a-fA-F]{2}(?:[:-][0-9a-fA-F]{2})"
ROUTER_ID = re.compile(PAIRS + "{7}|" + PAIRS + "{5}", re.ASCII)
BOOLEANS = {"true": True, "yes": True, "false": False, "no": False, "default": None, "auto": None}


class Mistake(ValueError):
    """What is wrong with a line; `column` counts from 1."""

    def __init__(self, message: str, column: int) -> None:
        self.column = column
        super().__init__(message)


class Word(NamedTuple):
    """A word, the column that it begins in, and whether quotation marks stood around it."""

    text: str
    column: int
    is_quoted: bool


def split(line: str) -> list[Word]:
    """Return the words of a line without its comment."""
    words: list[Word] = []
    position = 0
    while position < len(line):
        character = line[position]
        if character == "#":
            break
        if character in WHITE_SPACE:
            position += 1
            continue
        start = position
        if character == '"':
            text, position = _quoted_string(line, start)
        else:
            end = WORD_END.search(line, start)
            assert end is not None, "the end of the text matches"
            position = end.start()
            text = line[start:position]
        if len(text.encode(errors="surrogatepass")) > MAX_WORD:
            raise Mistake(f"a word has at most {MAX_WORD} octets", start + 1)
        words.append(Word(text, start + 1, character == '"'))
    return words


class Words:
    """A cursor over the words of one line; each method takes the next word or raises Mistake."""

    def __init__(self, line: str) -> None:
        self._words = split(line)
        self._next = 0
        self._end = len(line) + 1

    @property
    def more(self) -> bool:
        """Whether a word is left."""
        return self._next < len(self._words)

    @property
    def column(self) -> int:
        """The column of the next word, or of the end of the line."""
        return self._words[self._next].column if self.more else self._end

    def peek(self) -> str | None:
        """Return the next word without taking it, None at the end."""
        return self._words[self._next].text if self.more else None

    def string(self, what: str) -> str:
        """Return the next word, which may be a string in quotation marks."""
        if not self.more:
            raise Mistake(f"expected {what} at the end of the line", self._end)
        word = self._words[self._next]
        self._next += 1
        return word.text

    def word(self, what: str) -> str:
        """Return the next word, which may not stand in quotation marks."""
        if self.more and self._words[self._next].is_quoted:
            raise Mistake(f"expected {what}, found a string in quotation marks", self.column)
        return self.string(what)

    def choice(self, what: str, known: Iterable[str]) -> str:
        """Return the next word, which is one of those known."""
        column, words = self.column, list(known)
        word = self.word(what)
        if word not in words:
            raise Mistake(f"{quoted(word)} is not {what}{did_you_mean(word, words)}", column)
        return word

    def integer(self, low: int, high: int) -> int:
        """Return an integer as C writes one: decimal, 0x hexadecimal or 0 octal."""
        column = self.column
        word = self.word(f"an integer {low}-{high}")
        value = c_integer(word)
        if value is None or not low <= value <= high:
            raise Mistake(f"{quoted(word)} is not an integer {low}-{high}", column)
        return value

    def boolean(self) -> bool | None:
        """Return true or false; None where the word asks for the default."""
        return BOOLEANS[self.choice("true, false or default", BOOLEANS)]

    def thousandths(self, what: str, low: int, high: int) -> int:
        """Return 1000 times a number with up to three decimals, between two bounds of such thousandths."""
        column = self.column
        word = self.word(what)
        match = FIXED_POINT.fullmatch(word)
        value = int(match[1] or 0) * 1000 + int(((match[2] or "") + "000")[:3]) if match else -1
        if not low <= value <= high:
            raise Mistake(f"{quoted(word)} is not {what} ({low / 1000:g}-{high / 1000:g})", column)
        return value

    def prefix(self) -> Prefix:
        """Return a prefix; an address alone is a host, `default` is ::/0."""
        column = self.column
        word = self.word("a prefix")
        try:
            return parse_network("::/0" if word == "default" else word)
        except ValueError as error:
            raise Mistake(str(error), column) from None

    def address(self) -> bytes:
        """Return a packed address."""
        column = self.column
        word = self.word("an address")
        try:
            return ip_address("" if "%" in word else word).packed
        except ValueError:
            raise Mistake(f"{quoted(word)} is not an IPv4 or IPv6 address", column) from None

    def router_id(self) -> bytes:
        """Return a router-id of 8 pairs; 6 pairs are a MAC-48 and get ff:fe in the middle."""
        column = self.column
        word = self.word("a router-id")
        if not ROUTER_ID.fullmatch(word):
            raise Mistake(f"{quoted(word)} is not a router-id: 8 (or 6) pairs of hex digits with :", column)
        octets = bytes.fromhex(re.sub("[:-]", "", word))
        octets = octets if len(octets) == 8 else octets[:3] + b"\xff\xfe" + octets[3:]
        if octets in (bytes(8), b"\xff" * 8):
            raise Mistake("a router-id is neither all zero nor all one", column)
        return octets

    def finish(self) -> None:
        """Raise Mistake when words are left."""
        if self.more:
            word = self._words[self._next]
            raise Mistake(f"unexpected {quoted(word.text)} after the directive", word.column)


def c_integer(word: str) -> int | None:
    """Return the integer that C's strtol reads in a whole word, or None."""
    if not INTEGER.fullmatch(word):
        return None
    if word[:2] in ("0x", "0X"):
        return int(word, 16)
    if word[0] == "0" and len(word) > 1:
        return int(word, 8) if set(word) <= set("01234567") else None
    return int(word)


def _quoted_string(line: str, start: int) -> tuple[str, int]:
    text, position = "", start + 1
    while position < len(line):
        character = line[position]
        if character == '"':
            return text, position + 1
        if character == "\\":
            position += 1
            if position == len(line):
                break
            character = line[position]
        text += character
        position += 1
    raise Mistake("the string has no closing quotation mark", start + 1)
