"""Figures of a node for Prometheus."""

from babelwg.daemon.metrics.exposition import Family, exposition
from babelwg.daemon.metrics.families import Sources, families

__all__ = ["Family", "Sources", "exposition", "families"]
