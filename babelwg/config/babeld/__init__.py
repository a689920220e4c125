"""babeld's configuration language: words, grammar, and the frozen values it gives."""

from babelwg.babel.policy import InstallResult
from babelwg.config.babeld.compiled import FilterList
from babelwg.config.babeld.filters import Filter, Subject
from babelwg.config.babeld.grammar import (
    RUN_TIME,
    Line,
    amend,
    lines_of,
    load_babeld,
    parse_babeld,
    parse_lines,
)
from babelwg.config.babeld.model import BabeldConfig, BabelInterface, InterfaceOptions
from babelwg.config.babeld.policy import FilterPolicy

__all__ = [
    "RUN_TIME",
    "BabelInterface",
    "BabeldConfig",
    "Filter",
    "FilterList",
    "FilterPolicy",
    "InstallResult",
    "InterfaceOptions",
    "Line",
    "Subject",
    "amend",
    "lines_of",
    "load_babeld",
    "parse_babeld",
    "parse_lines",
]
