"""Guess the content type of a body from its first bytes, as Go's net/http does.

Go follows the WHATWG's MIME sniffing standard and looks at the first 512 bytes. The router's answers get their content type
this way when they are not JSON.
"""

from __future__ import annotations

import re

_SNIFFED = 512
_HTML = re.compile(
    rb"[ \t\n\x0c\r]*<(?:!doctype html|html|head|script|iframe|h1|div|font|table|a|style|title|b|body|br|p|!--)[ >]", re.I
)
_XML = re.compile(rb"[ \t\n\x0c\r]*<\?xml")
_SIGNATURES: tuple[tuple[re.Pattern[bytes], str], ...] = tuple(
    (re.compile(pattern, re.S), content_type)
    for pattern, content_type in (
        (rb"%PDF-", "application/pdf"),
        (rb"%!PS-Adobe-", "application/postscript"),
        (rb"\xfe\xff..", "text/plain; charset=utf-16be"),
        (rb"\xff\xfe..", "text/plain; charset=utf-16le"),
        (rb"\xef\xbb\xbf.", "text/plain; charset=utf-8"),
        (rb"\x00\x00[\x01\x02]\x00", "image/x-icon"),
        (rb"BM", "image/bmp"),
        (rb"GIF8[79]a", "image/gif"),
        (rb"RIFF....WEBPVP", "image/webp"),
        (rb"\x89PNG\r\n\x1a\n", "image/png"),
        (rb"\xff\xd8\xff", "image/jpeg"),
        (rb"FORM....AIFF", "audio/aiff"),
        (rb"ID3", "audio/mpeg"),
        (rb"OggS\x00", "application/ogg"),
        (rb"MThd\x00\x00\x00\x06", "audio/midi"),
        (rb"RIFF....AVI ", "video/avi"),
        (rb"RIFF....WAVE", "audio/wave"),
        (rb"\x1a\x45\xdf\xa3", "video/webm"),
        (rb".{34}LP", "application/vnd.ms-fontobject"),
        (rb"\x00\x01\x00\x00", "font/ttf"),
        (rb"OTTO", "font/otf"),
        (rb"ttcf", "font/collection"),
        (rb"wOFF", "font/woff"),
        (rb"wOF2", "font/woff2"),
        (rb"\x1f\x8b\x08", "application/x-gzip"),
        (rb"PK\x03\x04", "application/zip"),
        (rb"Rar!\x1a\x07(?:\x00|\x01\x00)", "application/x-rar-compressed"),
        (rb"\x00asm", "application/wasm"),
    )
)
_BINARY = re.compile(rb"[\x00-\x08\x0b\x0e-\x1a\x1c-\x1f]")


def detect_content_type(body: bytes) -> str:
    """Return the content type of *body*; text or bytes if nothing better is known."""
    data = body[:_SNIFFED]
    if _HTML.match(data):
        return "text/html; charset=utf-8"
    if _XML.match(data):
        return "text/xml; charset=utf-8"
    for pattern, content_type in _SIGNATURES[:17]:
        if pattern.match(data):
            return content_type
    if _is_mp4(data):
        return "video/mp4"
    for pattern, content_type in _SIGNATURES[17:]:
        if pattern.match(data):
            return content_type
    text = data.lstrip(b" \t\n\x0c\r")
    return "application/octet-stream" if _BINARY.search(text) else "text/plain; charset=utf-8"


def _is_mp4(data: bytes) -> bool:
    """An MP4 file starts with a box `ftyp` that lists a brand starting with `mp4`."""
    if len(data) < 12:
        return False
    size = int.from_bytes(data[:4])
    if len(data) < size or size % 4 or data[4:8] != b"ftyp":
        return False
    return any(data[start : start + 3] == b"mp4" for start in range(8, size, 4) if start != 12)
