"""The in, out and install lines of a file in babeld's language as the policy of a speaker."""

from babelwg.babel.policy import Announcement, InstallResult
from babelwg.config.babeld.compiled import FilterList
from babelwg.config.babeld.filters import INFINITY, Filter, Subject
from babelwg.config.babeld.model import BabeldConfig


class FilterPolicy:
    """What the filters of a configuration answer; where no line matches, babeld lets everything through."""

    def __init__(self, config: BabeldConfig) -> None:
        self._in = FilterList(config.in_filters)
        self._out = FilterList(config.out_filters)
        self._install = FilterList(config.install_filters)

    @property
    def lists(self) -> dict[str, FilterList]:
        """The lists by the word that begins their lines."""
        return {"in": self._in, "out": self._out, "install": self._install}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, FilterPolicy) and self._lines() == other._lines()

    def __hash__(self) -> int:
        return hash(self._lines())

    def metric_in(self, announcement: Announcement) -> int:
        """Return what is added to the metric of a received route; 65535 drops it."""
        return _metric(self._in, announcement)

    def metric_out(self, announcement: Announcement) -> int:
        """Return what is added to the metric of an announced route; 65535 keeps it back."""
        return _metric(self._out, announcement)

    def installs(self, announcement: Announcement) -> bool:
        """Return whether a received route may be selected and written into the kernel."""
        return _metric(self._install, announcement) < INFINITY

    def install_result(self, announcement: Announcement) -> InstallResult:
        """Return where a route that `installs` goes."""
        line = self._install.first_match(subject_of(announcement))
        return InstallResult() if line is None else InstallResult(line.table, line.preferred_source)

    def line_in(self, announcement: Announcement) -> Filter | None:
        """Return the in line that decides about a received route, None where none matches."""
        return self._in.first_match(subject_of(announcement))

    def line_out(self, announcement: Announcement) -> Filter | None:
        """Return the out line that decides about an announced route, None where none matches."""
        return self._out.first_match(subject_of(announcement))

    def line_install(self, announcement: Announcement) -> Filter | None:
        """Return the install line that decides about a received route, None where none matches."""
        return self._install.first_match(subject_of(announcement))

    def _lines(self) -> tuple[tuple[Filter, ...], ...]:
        return self._in.lines, self._out.lines, self._install.lines


def subject_of(announcement: Announcement) -> Subject:
    """Return what a filter line sees of an announcement."""
    prefix = announcement.prefix
    return Subject(
        prefix.destination,
        prefix.source,
        interface=announcement.interface,
        neighbour=announcement.neighbour,
        router_id=announcement.router_id,
    )


def _metric(filters: FilterList, announcement: Announcement) -> int:
    if not filters.lines:
        return 0
    line = filters.decide(subject_of(announcement))
    return 0 if line is None else line.metric
