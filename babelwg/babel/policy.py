"""What the operator lets in, out and into the kernel: the questions a speaker asks of its filters."""

from typing import NamedTuple, Protocol

from babelwg.babel.wire.prefix import Prefix


class Announcement(NamedTuple):
    """A route as a filter sees it: what, from whom, and over which interface; addresses packed."""

    prefix: Prefix
    router_id: bytes
    interface: str
    neighbour: bytes | None = None  # None for what goes out


class InstallResult(NamedTuple):
    """How the shell writes a route into the kernel; None leaves the choice to it. The source address is packed."""

    table: int | None = None
    preferred_source: bytes | None = None


class Policy(Protocol):
    """Filters; each answer must stay the same until the speaker is given another policy."""

    def metric_in(self, announcement: Announcement) -> int:
        """Return what is added to the metric of a received route; 65535 drops it."""

    def metric_out(self, announcement: Announcement) -> int:
        """Return what is added to the metric of an announced route; 65535 keeps it back."""

    def installs(self, announcement: Announcement) -> bool:
        """Return whether a received route may be selected and written into the kernel."""

    def install_result(self, announcement: Announcement) -> InstallResult:
        """Return the table and the preferred source address of a received route; the core does not ask this."""


class AllowAll:
    """The policy without filters."""

    def metric_in(self, announcement: Announcement) -> int:
        return 0

    def metric_out(self, announcement: Announcement) -> int:
        return 0

    def installs(self, announcement: Announcement) -> bool:
        return True

    def install_result(self, announcement: Announcement) -> InstallResult:
        return InstallResult()
