"""The command line: it asks the daemon over the control socket and renders what comes back."""

import gc
import os
import sys

__all__ = ["main"]

# Implementation constants
COLLECT_AFTER = 200_000  # new objects: a table of ten thousand routes holds no garbage


def main() -> None:
    """Run `babelwg`; the process ends with the command's exit code."""
    gc.set_threshold(COLLECT_AFTER)
    from babelwg.cli.commands import cli

    if "_BABELWG_COMPLETE" in os.environ:
        from babelwg.cli.completing import register

        register()
    try:
        cli.main(prog_name="babelwg")
    except OSError as error:
        # What is left to say may not fit either, so nothing is said twice.
        sys.stdout = None
        print(f"babelwg: {error.strerror or error}", file=sys.stderr)
        sys.exit(1)
