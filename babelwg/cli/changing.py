"""Changes to configuration files: checked by the real loader, written whole, taken back when the daemon refuses."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from babelwg.cli.client import ask
from babelwg.cli.exits import CONFIGURATION, NEGATIVE, NO_DAEMON, PERMISSION, Failure, nearest

if TYPE_CHECKING:
    from babelwg.config import Config

RELOAD_TIMEOUT = 30.0  # seconds
Texts = Mapping[Path, str | None]  # None for a file that is not to be


@contextlib.contextmanager
def changing(config: Path, is_new: bool = False) -> Iterator[None]:
    """Keep other commands from changing the configuration meanwhile; what cannot be written is a Failure."""
    from babelwg.config import ConfigErrors
    from babelwg.config.files import locked

    if not config.exists() and not is_new:
        raise Failure(f"{config}: no such file; `babelwg init` writes a first one", CONFIGURATION)
    try:
        config.parent.mkdir(parents=True, exist_ok=True)
        with locked(config.parent):
            yield
    except ConfigErrors as errors:
        raise Failure(str(errors), CONFIGURATION) from None
    except OSError as error:
        code = PERMISSION if isinstance(error, PermissionError) else CONFIGURATION
        raise Failure(f"cannot write {error.filename or config}: {error.strerror}", code) from None


@contextlib.contextmanager
def secrets(keys: Mapping[Path, str]) -> Iterator[list[Path]]:
    """Write keys to new files of mode 0600; when what follows fails, they are removed again."""
    from babelwg.config.files import create

    written: list[Path] = []
    try:
        for path, key in keys.items():
            if path.exists():
                raise Failure(f"{path} exists and is not overwritten", CONFIGURATION)
            create(path, f"{key}\n".encode(), 0o600)
            written.append(path)
        yield written
    except BaseException:
        for path in written:
            path.unlink(missing_ok=True)
        raise


def find_peer(config: Path, name: str) -> tuple[Path, str]:
    """Return the file that holds a peer, and its text. Raises ConfigErrors."""
    from babelwg.config.files import read_text
    from babelwg.config.toml import peer_files
    from babelwg.config.toml.edit import peer_names
    from babelwg.config.toml.table import parse_document

    known: list[str] = []
    for file in (config, *peer_files(config)):
        text = read_text(file)
        parse_document(text, str(file))  # for the complaint with its line
        names = [found for found in peer_names(text) if found is not None]
        if name in names:
            return file, text
        known += names
    raise Failure(f'there is no peer "{name}" in {config} or peers.d{nearest(name, known)}', NEGATIVE)


def propose(config: Path, texts: Texts) -> "Config":
    """Return the configuration that new texts would make; where it has mistakes, a Failure tells them."""
    from babelwg.config import ConfigErrors
    from babelwg.config.files import MAX_SIZE
    from babelwg.config.toml import load_proposed

    for path, text in texts.items():
        if text is not None and len(text.encode()) > MAX_SIZE:
            limit = f"{path} would be larger than {MAX_SIZE >> 20} MiB, which no configuration is"
            raise Failure(f"nothing is changed: {limit}", CONFIGURATION)
    try:
        return load_proposed(config, texts)
    except ConfigErrors as errors:
        raise Failure(f"nothing is changed, because it would be wrong:\n{errors}", CONFIGURATION) from None


def put_in_place(config: Path, texts: Texts, socket: str | None) -> tuple[bool, list[str]]:
    """Write checked texts and reload the daemon behind `socket`; return whether it has, and notes.

    A daemon that refuses gets the old files back.
    """
    before = {path: path.read_bytes() if path.exists() else None for path in texts}
    after = {path: None if text is None else text.encode() for path, text in texts.items()}
    _write(after)
    if socket is None:
        return False, []
    return _reload(config, socket, lambda: _write(before))


def _write(contents: Mapping[Path, bytes | None]) -> None:
    from babelwg.config.files import create, remove, rewrite

    for path, data in contents.items():
        if data is None:
            remove(path)
        elif path.exists():
            rewrite(path, data)
        else:
            create(path, data, 0o644)


def _reload(config: Path, socket: str, take_back: Callable[[], None]) -> tuple[bool, list[str]]:
    try:
        running = ask(socket, "status").data
        other = running.get("config") if isinstance(running, dict) else None
        if other and Path(other).is_absolute() and Path(other).resolve() != config.resolve():
            return False, [f"The daemon at {socket} reads {other}; it was not asked to reload."]
        data: Any = ask(socket, "reload", timeout=RELOAD_TIMEOUT).data
    except Failure as failure:
        if failure.exit_code == NO_DAEMON:
            return False, ["No daemon answered; the next one that starts reads it."]
        if failure.exit_code == PERMISSION:
            return False, [f"Not reloaded: {failure.format_message()}."]
        take_back()
        raise Failure(
            f"the daemon refused, and the old file is back:\n{failure.format_message()}", failure.exit_code
        ) from None
    notes = data.get("notes") or [] if isinstance(data, dict) else []
    return True, [str(note) for note in notes]
