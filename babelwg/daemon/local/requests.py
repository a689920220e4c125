"""The requests of babeld's local protocol: one line, one request."""

from dataclasses import dataclass

from babelwg.config.babeld import RUN_TIME
from babelwg.config.babeld.lexer import Mistake, Words


@dataclass(frozen=True, slots=True)
class Question:
    """A request that changes nothing: dump, monitor, unmonitor, quit, or nothing at all."""

    word: str


@dataclass(frozen=True, slots=True)
class FlushInterface:
    """A request to run on an interface no longer."""

    name: str


@dataclass(frozen=True, slots=True)
class Directive:
    """A request to take a line as if it stood in the configuration."""

    line: str


@dataclass(frozen=True, slots=True)
class ReopenLog:
    """A request to write the log to the file that has its name now."""


Request = Question | FlushInterface | Directive | ReopenLog
QUESTIONS = ("dump", "monitor", "unmonitor", "quit")


def read_request(line: str) -> Request:
    """Return what a line asks for; Mistake where it asks for nothing that may be asked."""
    words = Words(line.rstrip("\n"))
    if not words.more:
        return Question("")
    column = words.column
    word = words.word("a request")
    if word in RUN_TIME:
        return Directive(line.rstrip("\n"))
    if word == "flush":
        words.choice("interface", ("interface",))
        request: Request = FlushInterface(words.word("the name of an interface"))
    elif word == "reopen-logfile":
        request = ReopenLog()
    elif word in QUESTIONS:
        request = Question(word)
    else:
        raise Mistake("this is no request", column)
    words.finish()
    return request
