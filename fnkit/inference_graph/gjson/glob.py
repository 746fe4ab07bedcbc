"""Match text against GJSON's wildcard patterns.

`*` stands for any run of characters, `?` for one character, a backslash takes the next character as it is. A pattern is cut
at its stars; each piece then has to be found after the one before, at the earliest place, which decides the match without
going back, in time proportional to text times pattern. (The original tries and goes back, and gives up with "no match" after
10,000 steps for each byte of the text; only a pattern of many stars against a long text can show the difference.)
"""

from __future__ import annotations

import re
from collections.abc import Callable

_INVALID = re.compile("[\udc80-\udcff]")
_TOKEN = re.compile(r"\\(.)|(\\)|(\*)|(\?)|([^\\*?]+)", re.S)


def matcher(pattern: bytes) -> Callable[[bytes], bool]:
    """Return the test whether a whole text matches *pattern*. Every byte that is not UTF-8 counts as one U+FFFD."""
    matches = text_matcher(pattern)
    return lambda text: matches(_characters(text))


def text_matcher(pattern: bytes) -> Callable[[str], bool]:
    """Return the test whether a whole text of characters matches *pattern*."""
    pieces = _pieces(_characters(pattern))
    if pieces is None:
        return lambda _text: False
    if len(pieces) == 1:
        whole = re.compile(pieces[0], re.S)
        return lambda text: whole.fullmatch(text) is not None
    first = re.compile(pieces[0], re.S)
    middle = tuple(re.compile(piece, re.S) for piece in pieces[1:-1] if piece)
    last = re.compile(pieces[-1] + r"\Z", re.S)
    last_length = _length(pieces[-1])

    def matches(characters: str) -> bool:
        found = first.match(characters)
        if found is None:
            return False
        position = found.end()
        for piece in middle:
            found = piece.search(characters, position)
            if found is None:
                return False
            position = found.end()
        start = len(characters) - last_length
        return start >= position and last.match(characters, start) is not None

    return matches


def _characters(text: bytes) -> str:
    decoded = text.decode("utf-8", "surrogateescape")
    return decoded if decoded.isascii() else _INVALID.sub("\ufffd", decoded)


def _pieces(pattern: str) -> list[str] | None:
    """Return the regular expressions between the stars; None if the pattern can match nothing.

    A lone backslash at the end matches a backslash after a star, and nothing without one.
    """
    pieces = [""]
    for escaped, lone, star, any_one, plain in _TOKEN.findall(pattern):
        if star:
            pieces.append("")
        elif lone and len(pieces) == 1:
            return None
        else:
            pieces[-1] += "." if any_one else re.escape(escaped or lone or plain)
    return pieces


def _length(piece: str) -> int:
    """Return how many characters the regular expression *piece* matches: its literals and dots."""
    return len(re.sub(r"\\(.)", r"\1", piece, flags=re.S))
