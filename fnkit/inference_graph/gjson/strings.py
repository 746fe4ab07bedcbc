"""Turn JSON strings into text and text into JSON strings, as GJSON does it."""

from __future__ import annotations

import re

_RUN = re.compile(rb"[^\x00-\x1f\\]++")
_ESCAPED = {0x22: b'"', 0x5C: b"\\", 0x2F: b"/", 0x62: b"\b", 0x66: b"\f", 0x6E: b"\n", 0x72: b"\r", 0x74: b"\t"}
_TERMINATED = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"\Z', re.S)
_HEX = re.compile(rb"[0-9a-fA-F]{4}")
_REPLACEMENT = "\ufffd".encode()
_NEEDS_ESCAPE = re.compile('[\x00-\x1f<>&\\\\"\u2028\u2029\udc80-\udcff]')
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\\": "\\\\", '"': '\\"'}


def text_of(raw: bytes) -> bytes:
    """Return the text of the JSON string *raw*, without its quotes and with its escapes resolved.

    The closing quote may be missing. A control character or an escape that JSON does not know ends the text,
    but only if there is an escape at all.
    """
    inner = raw[1:-1] if _TERMINATED.match(raw) else raw[1:]
    return unescape(inner) if b"\\" in inner else inner


def unescape(text: bytes) -> bytes:
    """Resolve the escapes of *text*; a lone surrogate becomes U+FFFD, the first fault ends the text."""
    out: list[bytes] = []
    position, end = 0, len(text)
    while position < end:
        if found := _RUN.match(text, position):
            out.append(found[0])
            position = found.end()
            continue
        if text[position] != 0x5C or position + 1 >= end:
            break
        escape = text[position + 1]
        if escape == 0x75:
            if position + 6 > end:
                break
            piece, position = _unicode(text, position)
        elif (known := _ESCAPED.get(escape)) is not None:
            piece, position = known, position + 2
        else:
            break
        out.append(piece)
    return b"".join(out)


def _unicode(text: bytes, position: int) -> tuple[bytes, int]:
    """Return the UTF-8 of the \\uXXXX escape at *position*, with its other half if it has one, and where it ends."""
    code = _code_unit(text, position + 2)
    position += 6
    if not 0xD800 <= code <= 0xDFFF:
        return chr(code).encode(), position
    if text[position : position + 2] != b"\\u" or position + 6 > len(text):
        return _REPLACEMENT, position
    low = _code_unit(text, position + 2)
    if code <= 0xDBFF and 0xDC00 <= low <= 0xDFFF:
        return chr(0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00)).encode(), position + 6
    return _REPLACEMENT, position + 6


def _code_unit(text: bytes, position: int) -> int:
    found = _HEX.match(text, position)
    return int(found[0], 16) if found else 0


def quote(text: bytes) -> bytes:
    """Return *text* as a JSON string; `<`, `>`, `&` and the line separators U+2028 and U+2029 are escaped, for HTML's sake."""
    decoded = text.decode("utf-8", "surrogateescape")
    return b'"' + _NEEDS_ESCAPE.sub(_escape, decoded).encode() + b'"'


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    if character >= "\udc80":
        return "\\ufffd"
    return _SHORT.get(character) or f"\\u{ord(character):04x}"
