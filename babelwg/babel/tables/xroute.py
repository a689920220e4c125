"""Prefixes that this node announces itself (RFC 8966, section 3.7)."""

from typing import NamedTuple

from babelwg.babel.wire.prefix import Prefix


class Xroute(NamedTuple):
    """A prefix of ours and the metric it starts with."""

    prefix: Prefix
    metric: int
