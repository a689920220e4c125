"""The command line: it asks the daemon over the control socket and renders what comes back."""

__all__ = ["main"]


def main() -> None:
    """Run `babelwg`; the process ends with the command's exit code."""
    from babelwg.cli.commands import cli

    cli.main(prog_name="babelwg")
