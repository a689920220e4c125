"""babeld's local socket protocol, so that tools written for babeld attach unchanged."""

from babelwg.daemon.local.service import LocalService

__all__ = ["LocalService"]
