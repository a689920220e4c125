"""`web`: the page in a browser."""

import secrets
from pathlib import Path
from typing import Any

import click

from babelwg.cli.client import Answer
from babelwg.cli.exits import NEGATIVE, PERMISSION, Failure
from babelwg.cli.group import Reader, reading

TOKEN_OCTETS = 32


@click.command()
@click.option(
    "--listen", metavar="WHERE", help="127.0.0.1:PORT, [::1]:PORT or unix:/PATH.  [default: port 6698]"
)
@click.option("--off", is_flag=True, help="No longer serve the page that this command has opened.")
@reading
def web(reader: Reader, listen: str | None, off: bool) -> None:
    """Print the link to the page of this node; have it served until the daemon stops.

    The link carries the token with which the page may also change something; do not hand it on. Where the
    configuration has a section [web], the page is always served.
    """
    if off and listen is not None:
        raise click.UsageError("--off and --listen exclude each other")
    if off:
        reader.print(reader.ask("web_close"), _render_off)
        return
    answer = reader.ask("web")
    if answer.data.get("token_missing"):
        _make_token(Path(answer.data["token_file"]))
    reader.print(_open(reader, answer, listen), _render)


def _open(reader: Reader, answer: Answer, listen: str | None) -> Answer:
    """Return where the page is, with its token for root; who may only read is told where it runs."""
    try:
        return reader.ask("web_open", {"listen": listen})
    except Failure as failure:
        if failure.exit_code == PERMISSION and answer.data.get("running") and listen is None:
            return answer
        raise


def _make_token(path: Path) -> None:
    from babelwg.config.files import create

    try:
        create(path, f"{secrets.token_urlsafe(TOKEN_OCTETS)}\n".encode(), 0o600)
    except FileExistsError:
        return
    except OSError as error:
        code = PERMISSION if isinstance(error, PermissionError) else NEGATIVE
        raise Failure(f"cannot write {path}: {error.strerror}", code) from None


def _render(data: dict[str, Any]) -> str:
    kind, _, path = str(data.get("listen")).partition(":")
    link = str(data.get("login_url") or data.get("url") or "http://localhost:6698/")
    return f"ssh -L 6698:{path} HOST, then open\n{link}" if kind == "unix" else link


def _render_off(data: dict[str, Any]) -> str:
    if data.get("running"):
        return f"The configuration serves the page, on {data.get('listen')}: take [web] out of it."
    return "The page is no longer served."
