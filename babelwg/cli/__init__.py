"""The command line: it asks the daemon over the control socket and renders what comes back."""

import gc
import io
import os
import sys

__all__ = ["main"]

# Implementation constants
COLLECT_AFTER = 200_000  # new objects: a table of ten thousand routes holds no garbage


def main() -> None:
    """Run `babelwg`; the process ends with the command's exit code."""
    gc.set_threshold(COLLECT_AFTER)
    code = 1
    _let_all_be_written()
    try:
        code = _run()
        if sys.stdout is not None:  # it is none where descriptor 1 was closed
            sys.stdout.flush()
    except KeyboardInterrupt:
        # While modules are read; later click says the same.
        print("\nAborted!", file=sys.stderr)
    except OSError as error:
        # What is left to say may not fit either, so nothing is said twice.
        print(f"babelwg: {error.strerror or error}", file=sys.stderr)
    # All is closed and said: to take modules and rows apart, one by one, would take a fifth of a command's time.
    os._exit(code)


def _let_all_be_written() -> None:
    """Let no character end a command that the encoding of its output has not, such as … in Latin-1."""
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper) and out.errors == "strict":
        # In UTF-8 only a file's name may have others, and is written as the octets that it is.
        out.reconfigure(errors="surrogateescape" if out.encoding == "utf-8" else "replace")


def _run() -> int:
    """Run the command; return its exit code."""
    from babelwg.cli.commands import cli

    if "_BABELWG_COMPLETE" in os.environ:
        from babelwg.cli.completing import register

        register()
    try:
        cli.main(prog_name="babelwg")
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
