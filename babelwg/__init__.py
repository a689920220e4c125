"""A Babel-integrated WireGuard overlay for community mesh networks."""

from babelwg.version import __version__

__all__ = ["__version__"]
