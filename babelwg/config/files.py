"""Files read with bounds and written whole: temporary file, fsync, rename, directory fsync."""

import contextlib
import errno
import fcntl
import os
import stat
from collections.abc import Iterator
from pathlib import Path

from babelwg.config.errors import ConfigError, ConfigErrors

MAX_SIZE = 1 << 20  # octets; a configuration that is larger is a mistake


def read_text(path: Path) -> str:
    """Return the UTF-8 text of a configuration file."""
    try:
        data = _read_octets(path, secret=False)
    except (OSError, ValueError) as error:
        raise ConfigErrors([ConfigError(str(path), None, reason(error))]) from error
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        message = f"octet 0x{data[error.start]:02x} is not UTF-8 text"
        raise ConfigErrors([ConfigError(str(path), line, message)]) from error


def read_secret(path: Path) -> str:
    """Return the text of a file that only its owner may read; ValueError says in words what is wrong."""
    try:
        return _read_octets(path, secret=True).decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not text") from error
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: {reason(error)}") from error


def reason(error: OSError | ValueError) -> str:
    """Return in words why a file cannot be read."""
    if isinstance(error, FileNotFoundError):
        return "no such file"
    if isinstance(error, PermissionError):
        return "this user may not read it"
    if isinstance(error, OSError):
        return f"cannot be read: {error.strerror or error}"
    return str(error)


def write_whole(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Replace a file so that a reader sees the old or the new one, also after a crash."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    try:
        create(temporary, data, mode)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_directory(path.parent)


def write_named(path: Path, data: bytes, mode: int) -> None:
    """Write a file that a user named as `write_whole` does. Raises OSError for what is no regular file."""
    if path.exists() and not path.is_file():
        # A device such as /dev/null must not become one, for all who use it.
        raise OSError(errno.EEXIST, "it is no regular file", str(path))
    write_whole(path, data, mode)


def rewrite(path: Path, data: bytes) -> None:
    """Replace a file as `write_whole` does; the new one has the mode and the owner of the old, and a link stays."""
    path = path.resolve()
    before = path.stat()
    temporary = path.with_name(f".{path.name}.{os.getpid()}.new")
    temporary.unlink(missing_ok=True)
    try:
        create(temporary, data, 0o600)
        if (before.st_uid, before.st_gid) != (os.geteuid(), os.getegid()):
            os.chown(temporary, before.st_uid, before.st_gid)
        temporary.chmod(stat.S_IMODE(before.st_mode))
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    _sync_directory(path.parent)


def remove(path: Path) -> None:
    """Remove a file, and wait until it is gone from the disk."""
    path.unlink()
    _sync_directory(path.parent)


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Keep others that ask for this lock from changing files of a directory meanwhile."""
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def create(path: Path, data: bytes, mode: int = 0o600) -> None:
    """Write a file that must not exist yet, and wait until it is on the disk."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def _read_octets(path: Path, secret: bool) -> bytes:
    # O_NONBLOCK keeps a named pipe without a writer from holding us up for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        _refuse_unfit(path, os.fstat(descriptor), secret)
        data = b""
        while chunk := os.read(descriptor, MAX_SIZE + 1 - len(data)):
            data += chunk
    finally:
        os.close(descriptor)
    if len(data) > MAX_SIZE:
        raise ValueError(f"is larger than {MAX_SIZE >> 20} MiB")
    return data


def _refuse_unfit(path: Path, status: os.stat_result, secret: bool) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise ValueError("is a directory, expected a file")
    if not stat.S_ISREG(status.st_mode):
        raise ValueError("is not a regular file")
    if status.st_size > MAX_SIZE:
        raise ValueError(f"is {status.st_size / (1 << 20):.1f} MiB, larger than {MAX_SIZE >> 20} MiB")
    if secret and status.st_mode & 0o077:
        mode = stat.S_IMODE(status.st_mode)
        raise ValueError(f"has mode {mode:04o}, so others may use the key; run: chmod 600 {path}")


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
