"""What a run of the tests must not depend on: how it was started, and how fast the machine is."""

import os
import signal

from hypothesis import HealthCheck, settings


def settle() -> None:
    """Make the surroundings of a run the same everywhere; what it starts inherits them."""
    # A shell has what it starts in the background ignore these, and so would all that the tests start and interrupt.
    for number in (signal.SIGINT, signal.SIGQUIT, signal.SIGHUP):
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    # What may be read by others follows from this.
    os.umask(0o022)
    # The same examples in every run: what chance finds is found by hand, with --hypothesis-profile=search.
    settings.register_profile("search", deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("steady", settings.get_profile("search"), derandomize=True, database=None)
    settings.load_profile("steady")
