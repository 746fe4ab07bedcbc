"""Content types by first bytes."""

from __future__ import annotations

import pytest

from fnkit.inference_graph.sniff import detect_content_type


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (b"", "text/plain; charset=utf-8"),
        (b"<!-- x", "text/html; charset=utf-8"),
        (b"<bx>", "text/plain; charset=utf-8"),
        (b" \t<?xml?>", "text/xml; charset=utf-8"),
        (b"\xef\xbb\xbfa", "text/plain; charset=utf-8"),
        (b"\xfe\xffab", "text/plain; charset=utf-16be"),
        (b"RIFF1234WEBPVP8", "image/webp"),
        (b"\x00\x00\x00\x18ftypmp42....mp41", "application/octet-stream"),
        (b"\x00\x00\x00\x14ftypmp42....mp41", "video/mp4"),
        (b"\x00\x00\x00\x10ftypisom\x00\x00\x00\x00mp41", "application/octet-stream"),
        (b"\x00\x00\x00\x14ftypisom\x00\x00\x00\x00mp41", "video/mp4"),
        (b"Rar!\x1a\x07\x01\x00", "application/x-rar-compressed"),
        (b"a" * 34 + b"LP", "application/vnd.ms-fontobject"),
        (b"\x1b[0m", "text/plain; charset=utf-8"),
        (b"a" * 512 + b"\x00", "text/plain; charset=utf-8"),
        (b"a" * 511 + b"\x00", "application/octet-stream"),
    ],
)
def test_the_first_bytes_decide(body: bytes, content_type: str) -> None:
    assert detect_content_type(body) == content_type
