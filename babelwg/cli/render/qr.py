"""QR codes as text: two rows of modules in each line, light on dark as terminals are."""

from babelwg.cli.exits import NEGATIVE, Failure

BORDER = 2  # modules; cameras want some light around
HALVES = {(0, 0): "█", (0, 1): "▀", (1, 0): "▄", (1, 1): " "}  # by dark modules above and below


def check_segno() -> None:
    """Raise a Failure that says what to install where QR codes cannot be made."""
    if not _has_segno():
        raise Failure("QR codes need segno; install it, as by: pip install 'babelwg[qr]'", NEGATIVE)


def qr_text(text: str) -> str | None:
    """Return a text as a QR code; None where it is too long for one."""
    import segno

    try:
        rows = [list(row) for row in segno.make(text, error="l", micro=False).matrix_iter(border=BORDER)]
    except segno.DataOverflowError:
        return None
    if len(rows) % 2:
        rows.append([0] * len(rows[0]))
    lines = (
        "".join(HALVES[bool(a), bool(b)] for a, b in zip(above, below, strict=True))
        for above, below in zip(rows[::2], rows[1::2], strict=True)
    )
    return "".join(f"{line}\n" for line in lines)


def _has_segno() -> bool:
    try:
        import segno
    except ImportError:
        return False
    return segno is not None
