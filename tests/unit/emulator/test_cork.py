"""The held-back head of an answer."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, cast

from fnkit_emulator.cork import Cork

HEAD = b"HTTP/1.1 200 OK\r\n\r\n"


@dataclass
class Transport:
    """A transport that notes what is written."""

    written: list[bytes] = field(default_factory=list)
    closed: bool = False

    def write(self, data: bytes) -> None:
        self.written.append(data)

    def close(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed


def corked() -> tuple[Cork, Transport]:
    transport = Transport()
    return Cork(cast(Any, transport)), transport


async def test_a_head_leaves_with_the_first_bytes_of_its_body() -> None:
    cork, transport = corked()

    cork.write(HEAD)
    cork.write(b"body")
    cork.write(b"more")
    await asyncio.sleep(0)

    assert transport.written == [HEAD + b"body", b"more"]


async def test_a_head_without_a_body_leaves_in_the_same_turn() -> None:
    cork, transport = corked()

    cork.write(HEAD)
    before = list(transport.written)
    await asyncio.sleep(0)

    assert (before, transport.written) == ([], [HEAD])


async def test_closing_writes_what_is_held() -> None:
    cork, transport = corked()

    cork.write(HEAD)
    cork.close()

    assert (transport.written, transport.closed, cork.is_closing()) == ([HEAD], True, True)


async def test_an_interim_answer_is_not_held() -> None:
    cork, transport = corked()

    cork.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    assert transport.written == [b"HTTP/1.1 100 Continue\r\n\r\n"]
