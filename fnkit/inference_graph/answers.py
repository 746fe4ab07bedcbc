"""What the router says to its client: status, headers and body, as Go's server would write them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fnkit.inference_graph.go_json import encode, valid
from fnkit.inference_graph.sniff import detect_content_type

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from fnkit.inference_graph.graph import Outcome

JSON = "application/json"


@dataclass(frozen=True, slots=True)
class ClientAnswer:
    """An answer for the client; no content type: the header is absent."""

    status: int
    body: bytes | AsyncIterator[bytes]
    content_type: str = ""


def answer_of(outcome: Outcome) -> ClientAnswer:
    """Return what a client sees of *outcome*.

    Headers of a service never pass. The content type is `application/json` if the body is JSON, else what Go sniffs from it, and
    absent for an empty body. A stream, which cannot be looked into, keeps the type that its service gave.
    """
    if outcome.cause:
        return ClientAnswer(outcome.status, error_body(outcome.cause), JSON)
    body = outcome.body
    if not isinstance(body, bytes):
        return ClientAnswer(outcome.status, body, outcome.content_type)
    if outcome.status in (204, 304):
        return ClientAnswer(outcome.status, b"")
    return ClientAnswer(outcome.status, body, content_type(body))


def content_type(body: bytes) -> str:
    """Return the content type that the router gives *body*."""
    if not body:
        return ""
    return JSON if valid(body) else detect_content_type(body)


def error_body(cause: str) -> bytes:
    """Return the body of a failed request."""
    return b'{"error":"Failed to process request","cause":%b}' % encode(cause)
