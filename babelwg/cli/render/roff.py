"""Pages in the language of man(7)."""

import re
from collections.abc import Iterable

# A word that looks like an option, a command or a file keeps its hyphens when it is copied from the page.
_CODE = re.compile(r"`([^`]+)`")


def header(name: str, section: int, version: str) -> list[str]:
    """Return the first lines of a page."""
    return [f'.TH "{escape(name.upper())}" {section} "" "babelwg {version}" "babelwg manual"', ".nh", ".ad l"]


def heading(title: str) -> str:
    """Return the line that begins a section of a page."""
    return f'.SH "{escape(title if title.startswith("[") else title.upper())}"'


def paragraphs(text: str) -> list[str]:
    """Return paragraphs as click has them: apart by empty lines, and as written after a line with \\b."""
    lines: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text.replace("\f", "\n\n").strip()):
        if paragraph.lstrip().startswith("\b"):
            written = paragraph.partition("\b")[2].strip("\n").splitlines()
            lines += [".PP", *example(written)]
        elif paragraph.strip():
            lines += [".PP", inline(" ".join(paragraph.split()))]
    return lines


def definitions(rows: Iterable[tuple[str, str]]) -> list[str]:
    """Return a list of terms in bold, each with what it means."""
    return [line for term, meaning in rows for line in (".TP", rf"\fB{escape(term)}\fR", inline(meaning))]


def example(lines: Iterable[str]) -> list[str]:
    """Return lines as they are, indented."""
    return [".RS 4", ".nf", *(escape(line) or r"\&" for line in lines), ".fi", ".RE"]


def inline(text: str) -> str:
    """Return running text, with what stands in backquotes in bold."""
    parts = _CODE.split(" ".join(text.split()))
    marked = [rf"\fB{escape(part)}\fR" if index % 2 else escape(part) for index, part in enumerate(parts)]
    return _guard("".join(marked))


def escape(text: str) -> str:
    """Return text that stands for itself."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq").replace("`", r"\(ga")
    text = text.replace('"', r"\(dq").replace("^", r"\(ha").replace("~", r"\(ti").replace("§", r"\(sc")
    return _guard(text)


def _guard(text: str) -> str:
    # A line that begins with a dot would be a request.
    return rf"\&{text}" if text.startswith(".") else text
