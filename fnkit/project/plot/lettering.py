"""How wide a text is, and where it is broken, without a font at hand."""

from __future__ import annotations

import re
from itertools import pairwise
from unicodedata import east_asian_width

# Advance widths of Helvetica in 1/1000 em, from Adobe's font metrics; other sans-serif fonts are near it.
_ASCII = (
    "278 278 355 556 556 889 667 191 333 333 389 584 278 333 278 278 556 556 556 556 556 556 556 556 556 556 278 "
    "278 584 584 584 556 1015 667 667 722 722 667 611 778 722 278 500 667 556 833 722 778 667 778 722 667 611 722 "
    "667 944 667 667 611 278 278 278 469 556 333 556 556 500 556 556 278 556 556 222 222 500 222 833 556 556 556 "
    "556 333 500 278 556 500 722 500 500 500 334 260 334 584"
)
_WIDTHS = {chr(32 + index): int(width) for index, width in enumerate(_ASCII.split())}
_SLACK = 1.1  # the viewer's font may be wider
_MONO = 0.61
_SEAM = re.compile(r"(?<=[-_./:, ])|(?<=[a-z0-9])(?=[A-Z])")


def width(text: str, size: float, *, bold: bool = False, mono: bool = False) -> float:
    """Return the width of one line of *text* in pixels at *size* pixels, with some slack for other fonts."""
    if mono:
        return sum(2 if east_asian_width(letter) in "WF" else 1 for letter in text) * _MONO * size
    units = sum(_WIDTHS.get(letter) or (1000 if east_asian_width(letter) in "WF" else 600) for letter in text)
    return units / 1000 * size * _SLACK * (1.16 if bold else 1)


def cut(text: str, letters: int) -> str:
    """Return *text* on one line, shortened to that many letters with an ellipsis."""
    line = " ".join(text.split())
    return line if len(line) <= letters else line[: letters - 1] + "…"


def wrap(text: str, letters: int, lines: int) -> tuple[str, ...]:
    """Break *text* at its seams (hyphens, dots, camel case) into at most *lines* lines of about *letters* letters."""
    pieces = _pieces(" ".join(text.split()), letters)
    rows = [""]
    for piece in pieces:
        if rows[-1] and len(rows[-1]) + len(piece.rstrip()) > letters:
            rows.append("")
        rows[-1] += piece
    if len(rows) > lines:
        rows = [*rows[: lines - 1], cut("".join(rows[lines - 1 :]), letters)]
    return tuple(row.strip() for row in rows)


def _pieces(text: str, letters: int) -> list[str]:
    seams = [0, *(match.start() for match in _SEAM.finditer(text)), len(text)]
    words = [text[start:end] for start, end in pairwise(seams) if start != end]
    return [word[start : start + letters] for word in words for start in range(0, len(word), letters)]
