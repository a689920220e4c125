"""Where the log goes: the error output, or a file that may be moved away while it is written."""

import logging
import os
import sys

log = logging.getLogger(__name__)

HANDLER = "babelwg"  # the name of the handler that is ours


def set_up_log(level: str, file: str | None) -> None:
    """Write the log to the error output, or to a file. Raises OSError."""
    stamp = "" if "JOURNAL_STREAM" in os.environ and file is None else "%(asctime)s "
    handler = logging.FileHandler(file) if file else logging.StreamHandler(sys.stderr)
    handler.name = HANDLER
    logging.basicConfig(
        level=level.upper(),
        handlers=[handler],
        format=f"{stamp}%(levelname)s %(message)s",
        datefmt="%Y-%m-%dT%H:%M:%S",
    )
    for library in ("pyroute2", "asyncio"):
        logging.getLogger(library).setLevel(logging.WARNING)


def reopen_log(file: str | None) -> None:
    """Write the log to the file that has this name now; without a name it goes on to where it goes."""
    root = logging.getLogger()
    old = next((handler for handler in root.handlers if handler.name == HANDLER), None)
    if file is None or old is None:
        return
    try:
        new = logging.FileHandler(file)
    except OSError as error:
        log.error("log-not-reopened file=%s: %s", file, error.strerror)
        return
    root.removeHandler(old)
    old.close()
    new.name = HANDLER
    new.setFormatter(old.formatter)
    root.addHandler(new)
