"""The grammar of a `key` line: id, type and value in any order."""

import re
from typing import get_args

from babelwg.babel.wire.mac import Algorithm, MacKey
from babelwg.config.babeld.lexer import Mistake, Words
from babelwg.config.errors import did_you_mean, quoted

ALGORITHMS: tuple[Algorithm, ...] = get_args(Algorithm)
MAX_VALUE: dict[Algorithm, int] = {"hmac-sha256": 64, "blake2s128": 32}  # octets
HEX = re.compile(r"(?:[0-9a-fA-F]{2})+", re.ASCII)
PARTS = ("id", "type", "value")


def read_key(words: Words) -> MacKey:
    """Return the key that the rest of a line describes."""
    name, algorithm, value, value_column = "", None, b"", 0
    while words.more:
        part = words.choice("id, type or value", PARTS)
        if part == "id":
            name = words.word("the id of the key")
        elif part == "type":
            algorithm = _algorithm(words)
        else:
            value_column = words.column
            value = parse_key_value(words.word("hexadecimal digits"), value_column)
    return make_key(name, algorithm, value, value_column or words.column)


def make_key(name: str, algorithm: Algorithm | None, value: bytes, column: int) -> MacKey:
    """Return a key from its parts; Mistake when one is missing or does not suit the others."""
    for missing, part in ((not name, "id"), (algorithm is None, "type"), (not value, "value")):
        if missing:
            raise Mistake(f"a key needs an id, a type and a value; the {part} is missing", column)
    assert algorithm is not None, "checked above"
    if len(value) > MAX_VALUE[algorithm]:
        raise Mistake(
            f"a key of type {algorithm} has at most {MAX_VALUE[algorithm]} octets, this one {len(value)}",
            column,
        )
    return MacKey(name, algorithm, value)


def parse_key_value(text: str, column: int) -> bytes:
    """Return the octets that hexadecimal digits stand for; the message never repeats them."""
    if not HEX.fullmatch(text):
        raise Mistake("the value of a key is an even number of hexadecimal digits", column)
    return bytes.fromhex(text)


def _algorithm(words: Words) -> Algorithm:
    column = words.column
    word = words.word("the type of the key")
    if word not in ALGORITHMS:
        known = " or ".join(ALGORITHMS)
        raise Mistake(
            f"{quoted(word)} is no type of key, expected {known}{did_you_mean(word, ALGORITHMS)}", column
        )
    return next(algorithm for algorithm in ALGORITHMS if algorithm == word)
