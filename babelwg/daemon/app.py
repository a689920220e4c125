"""`babelwg daemon`: load the configuration, run the node until told to stop, say clearly why it cannot."""

import asyncio
import contextlib
import gc
import logging
import os
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from babelwg.config import BabeldConfig, Config, ConfigErrors, load, load_babeld
from babelwg.daemon.effective import babeld_of
from babelwg.daemon.logfile import set_up_log
from babelwg.daemon.node import Node
from babelwg.daemon.start import Fatal

log = logging.getLogger(__name__)

# Implementation constants
COLLECT_AFTER = 50_000  # new objects
# Exit codes of the command line
OK, FAILED, PERMISSION, CONFIGURATION = 0, 1, 4, 5
DEFAULT_STATE_DIR = Path("/var/lib/babelwg")


@dataclass(frozen=True, slots=True)
class DaemonOptions:
    """What the command line gives: one of `config` and `babeld_conf`; `state_dir` None for the default."""

    config: Path | None
    babeld_conf: Path | None
    state_dir: Path | None
    socket: Path
    log_level: str = "info"


def main(options: DaemonOptions) -> int:
    """Run the daemon in the foreground; return its exit code."""
    try:
        config = load_configuration(options)
    except ConfigErrors as errors:
        print(errors, file=sys.stderr)
        return CONFIGURATION
    babeld = babeld_of(config)
    try:
        set_up_log(options.log_level, babeld.log_file if babeld else None)
    except OSError as error:
        print(f"babelwg: cannot write the log: {error}", file=sys.stderr)
        return FAILED
    if babeld is not None and babeld.daemonise:
        _go_into_the_background()
    try:
        with _pid_file(babeld):
            return asyncio.run(_run(options, config))
    except Fatal as fatal:
        print(f"babelwg: {fatal}", file=sys.stderr)
        return fatal.code


def load_configuration(options: DaemonOptions) -> Config | BabeldConfig:
    """Read the configuration that the options name. Raises ConfigErrors."""
    if options.babeld_conf is not None:
        return load_babeld(options.babeld_conf)
    assert options.config is not None, "one of the two configurations is given"
    return load(options.config)


def state_directory(options: DaemonOptions, config: Config | BabeldConfig) -> Path:
    """Return where the daemon remembers: what the options say, else beside babeld's state file, else our own."""
    if options.state_dir is not None:
        return options.state_dir
    return DEFAULT_STATE_DIR if isinstance(config, Config) else Path(f"{config.state_file}.d")


def examine_without_daemon(config: Path, state: Path, socket: Path, why: str) -> list[dict[str, Any]]:
    """Return the findings of `doctor` about a node whose daemon does not answer."""
    from babelwg.daemon.doctor.offline import examine_offline  # a daemon that starts needs none of it

    return [finding.describe() for finding in examine_offline(config, state, socket, why)]


async def _run(options: DaemonOptions, config: Config | BabeldConfig) -> int:
    path = options.babeld_conf or options.config
    assert path is not None, "one of the two configurations is given"
    state_dir = state_directory(options, config)
    node = Node(config, path, state_dir, options.socket, lambda: load_configuration(options))
    loop = asyncio.get_running_loop()
    # Before anything is made, so that a signal during the start ends it in order, too.
    # SIGTERM leaves everything in place for the next start; SIGINT in the foreground takes all of it away.
    loop.add_signal_handler(signal.SIGTERM, node.request_stop, node.mode == "babeld")
    loop.add_signal_handler(signal.SIGINT, node.request_stop, True)
    loop.add_signal_handler(signal.SIGHUP, node.request_reload)
    async with node:
        # What the start has made stays; the tables grow by the thousand, and looking through them takes long.
        gc.collect()
        gc.freeze()
        gc.set_threshold(COLLECT_AFTER)
        await node.run()
    return OK


@contextlib.contextmanager
def _pid_file(babeld: BabeldConfig | None) -> Iterator[None]:
    """Keep our process number in the file that a line names; babeld's own is left to babeld."""
    name = babeld.pid_file if babeld else ""
    if name in ("", BabeldConfig().pid_file):
        yield
        return
    path = Path(name)
    try:
        path.write_text(f"{os.getpid()}\n")
    except OSError as error:
        raise Fatal(f"cannot write {path}: {error.strerror}") from error
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _go_into_the_background() -> None:
    """Leave the terminal and our parent, who sees us end; what is written goes to the log file, or nowhere."""
    if os.fork():
        os._exit(OK)
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    os.close(null)
