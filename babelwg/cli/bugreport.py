"""`bugreport`: all that somebody else needs to understand a fault, in one file, without secrets."""

import io
import socket as sockets
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from babelwg.cli.client import Answer
from babelwg.cli.exits import NEGATIVE, PERMISSION, Failure
from babelwg.cli.group import envelope, settings_of, socket_of, socket_option
from babelwg.cli.render.layout import Column, line_width, table, wrap
from babelwg.cli.setup import daemons_config_option, daemons_file

if TYPE_CHECKING:
    from babelwg.cli.report.contents import Part
    from babelwg.config import BabeldConfig, Config

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON (schema babelwg/1).")
COLUMNS = (
    Column("FILE", lambda row: row["name"]),
    Column("OCTETS", lambda row: str(row["octets"]), True),
)


@click.command()
@click.option(
    "-o",
    "--output",
    "to",
    type=click.Path(path_type=Path, readable=False),
    metavar="FILE",
    help="Where to write it.  [default: babelwg-report-TIME.tar.gz]",
)
@click.option("--list", "only_list", is_flag=True, help="Print what would be in it, and write nothing.")
@click.option("--private", is_flag=True, help="Give addresses and host names other names, always the same.")
@daemons_config_option
@socket_option
@json_option
@click.pass_context
def bugreport(
    ctx: click.Context,
    to: Path | None,
    only_list: bool,
    private: bool,
    config: Path | None,
    socket: str | None,
    as_json: bool,
) -> None:
    """Collect what explains a fault into one file, without keys.

    Private keys, preshared keys and all that looks like one are taken out. Look through the file before you
    publish it: names and, without --private, addresses are in it.
    """
    parts = list(_collect(socket_of(ctx, socket), config, private))
    target = to or Path(time.strftime("babelwg-report-%Y%m%d-%H%M%S.tar.gz"))
    if not only_list:
        _write(target, _archive(parts, target.name.removesuffix(".tar.gz")))
    files = [{"name": part.name, "octets": len(part.text.encode())} for part in parts]
    data = {"file": None if only_list else str(target), "files": files}
    if as_json or settings_of(ctx).as_json:
        click.echo(envelope(Answer(None, data)))
    else:
        click.echo(_render(data, line_width()))


def _collect(socket: str, path: Path | None, private: bool) -> "Iterator[Part]":
    """Yield the parts of a report, each as it may be seen by others."""
    from babelwg.cli.report.contents import Part, answers, programs, system

    place = daemons_file(socket) if path is None else (path, path.suffix != ".toml")
    config, complaint = _load(*place)
    clean = _cleaner(config, private)
    yield Part("config.txt", clean(_config_text(config) if config is not None else complaint))
    for source in (system(), answers(socket), programs()):
        for part in source:
            yield Part(clean(part.name), clean(part.text))


def _load(path: Path, is_babeld: bool) -> "tuple[Config | BabeldConfig | None, str]":
    from babelwg.config import ConfigErrors, load, load_babeld

    try:
        return (load_babeld(path) if is_babeld else load(path)), ""
    except ConfigErrors as errors:
        # What a wrong line quotes may be half a key: then only the places are told.
        return None, "".join(f"{error.file}:{error.line or 0}: wrong\n" for error in errors.errors)


def _cleaner(config: "Config | BabeldConfig | None", private: bool) -> Callable[[str], str]:
    from babelwg.cli.report.redaction import (
        Pseudonyms,
        Redactor,
        hosts_of,
        public_keys_of,
        secrets_of,
        seed_of,
    )

    hidden = secrets_of(config) if config is not None else []
    redact = Redactor(hidden, public_keys_of(config) if config is not None else ())
    if not private:
        return redact
    hosts = [*(hosts_of(config) if config is not None else ()), sockets.gethostname()]
    rename = Pseudonyms(seed_of(config), hosts)
    return lambda text: rename(redact(text))


def _config_text(config: "Config | BabeldConfig") -> str:
    from babelwg.config import Config
    from babelwg.config.babeld.text import babeld_text
    from babelwg.config.toml.text import toml_text

    return toml_text(config) if isinstance(config, Config) else babeld_text(config)


def _archive(parts: "list[Part]", folder: str) -> bytes:
    """Return the parts as one compressed archive."""
    from babelwg.cli.report.contents import MAX_PART

    octets = io.BytesIO()
    with tarfile.open(fileobj=octets, mode="w:gz") as archive:
        for part in parts:
            data = part.text.encode()[-MAX_PART:]
            entry = tarfile.TarInfo(f"{folder}/{part.name}")
            entry.size, entry.mode, entry.mtime = len(data), 0o600, int(time.time())
            archive.addfile(entry, io.BytesIO(data))
    return octets.getvalue()


def _write(target: Path, data: bytes) -> None:
    from babelwg.config.files import create

    try:
        create(target, data, 0o600)
    except FileExistsError:
        raise Failure(f"{target} exists; a report never overwrites", NEGATIVE) from None
    except OSError as error:
        code = PERMISSION if isinstance(error, PermissionError) else NEGATIVE
        raise Failure(f"cannot write {target}: {error.strerror}", code) from None


def _render(data: dict[str, Any], width: int) -> str:
    if data["file"] is None:
        return table(COLUMNS, data["files"], width)
    advice = "Look through it before you publish it: it has names and addresses of your network."
    return f"Wrote {data['file']}: {len(data['files'])} files, without keys.\n{wrap(advice, width, '')}"
