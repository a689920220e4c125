"""The files of the page, read into memory once: a request never names a file on the disk."""

import hashlib
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import NamedTuple

TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


class PageFile(NamedTuple):
    """What is sent for one path, and the tag by which a browser knows that it has it."""

    body: bytes
    content_type: str
    tag: str


def page_files() -> dict[str, PageFile]:
    """Return every file of the page by the path that a browser asks for."""
    found: dict[str, PageFile] = {}
    _gather(files(__package__).joinpath("static"), "/", found)
    found["/"] = found["/index.html"]
    return found


def _gather(directory: Traversable, path: str, found: dict[str, PageFile]) -> None:
    for entry in directory.iterdir():
        if entry.is_dir():
            _gather(entry, f"{path}{entry.name}/", found)
            continue
        kind = TYPES.get(f".{entry.name.rpartition('.')[2]}")
        if kind is not None:
            body = entry.read_bytes()
            found[path + entry.name] = PageFile(body, kind, f'"{hashlib.sha256(body).hexdigest()[:16]}"')
