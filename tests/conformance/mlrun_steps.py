"""The step classes of the observed cases, with fnkit's imports."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

from fnkit.errors import MLRunNotFoundError
from fnkit.steps import Choice
from tests.fakes.engine import Fuse, Rescue  # noqa: F401  # the cases name them as steps of this module


class Trail:
    """Append the step's own name to a list body."""

    def __init__(self, name: str | None = None) -> None:
        self.name = name

    def do(self, body: Any) -> Any:
        return [*list(body), self.name]


class Slicer:
    """Yield the words of a string."""

    def do(self, body: Any) -> Iterator[str]:
        yield from str(body).split()


class AsyncSlicer:
    """Yield the parts of a string."""

    def __init__(self, context: Any = None, name: str | None = None, sep: str = ",") -> None:
        self.sep = sep

    async def do(self, body: Any) -> AsyncIterator[str]:
        for word in body.split(self.sep):
            await asyncio.sleep(0)
            yield word


class HalfWay:
    """Yield some items, then raise."""

    def __init__(self, ok_items: int) -> None:
        self.ok_items = ok_items

    def do(self, body: Any) -> Iterator[str]:
        for number in range(self.ok_items):
            yield f"{body}-{number}"
        raise LookupError("stopped half way")


class Draft:
    """Count drafts."""

    def do(self, body: Any) -> Any:
        body["drafts"] = body.get("drafts", 0) + 1
        body.setdefault("log", []).append("draft")
        return body


class Review:
    """Accept after enough drafts."""

    def do(self, body: Any) -> Any:
        body["accepted"] = body["drafts"] >= body["need"]
        body["log"].append("review")
        return body


class Gate(Choice):
    """Lead back until the draft is accepted."""

    def select_outlets(self, body: Any) -> Any:
        return ["publish"] if body["accepted"] else ["draft"]


class Publish:
    """Log the end."""

    def do(self, body: Any) -> Any:
        body["log"].append("publish")
        return body


class Spin:
    """Lead back to itself until it has turned enough."""

    def do(self, body: Any) -> Any:
        body["turns"] = body.get("turns", 0) + 1
        return body

    def select_outlets(self, body: Any) -> Any:
        return ["Complete"] if body["turns"] >= body["want"] else ["spin"]


class PickChoice(Choice):
    """Choose what the body says."""

    def select_outlets(self, body: Any) -> Any:
        return body["to"]


class Mark:
    """Append a tag."""

    def __init__(self, tag: str) -> None:
        self.tag = tag

    def do(self, body: Any) -> Any:
        body.setdefault("marks", []).append(self.tag)
        return body


class Ident:
    """Return the body."""

    def do(self, body: Any) -> Any:
        return body


class TypeOf:
    """Name the body's type."""

    def do(self, body: Any) -> Any:
        return type(body).__name__


class Alt:
    """Has two methods."""

    def process(self, body: Any) -> Any:
        return ["process", body]

    def do(self, body: Any) -> Any:
        return ["do", body]


class Params:
    """Ask for parameters and secrets."""

    def __init__(self, context: Any) -> None:
        self.context = context

    def do(self, body: Any) -> Any:
        ask = self.context
        return [ask.get_param("alpha"), ask.get_param("beta", "none"), ask.get_secret("TOKEN"), ask.get_secret("MISSING")]


class Status:
    """Answer with a response of its own."""

    def __init__(self, context: Any) -> None:
        self.context = context

    def do(self, body: Any) -> Any:
        return self.context.Response(body=body["b"], status_code=body["s"], content_type="text/x-test", headers={"x-k": "v"})


class Hook:
    """Count calls of post_init."""

    def __init__(self, context: Any) -> None:
        self.calls: list[str] = []

    def post_init(self, mode: str = "sync", **more: Any) -> None:
        self.calls.append(mode)

    def do(self, body: Any) -> Any:
        return self.calls


def shout(body: Any) -> str:
    """Add a question mark."""
    return str(body) + "?"


def tail(body: Any) -> Any:
    """Wrap the body."""
    return {"tail": body}


def mixed(body: Any) -> Iterator[Any]:
    """Yield values of all kinds."""
    yield from ({"a": 1}, b"\x01", 5, None, [1, 2])


class Raiser:
    """Raise what the test asks for."""

    def __init__(self, error: str, text: str) -> None:
        self.error, self.text = error, text

    def do(self, body: Any) -> Any:
        raise {"ValueError": ValueError, "MLRunNotFoundError": MLRunNotFoundError}[self.error](self.text)


class Ints:
    """Yield whole numbers."""

    def __init__(self, count: int) -> None:
        self.count = count

    def do(self, body: Any) -> Iterator[int]:
        yield from range(self.count)


class BytesThenText:
    """Yield bytes, then text."""

    def do(self, body: Any) -> Iterator[object]:
        yield b"bin1"
        yield "str2"


class GenOrEcho(Choice):
    """Send the word `gen` to the generator, anything else to the echo."""

    def select_outlets(self, body: Any) -> Any:
        return ["gen"] if body == "gen" else ["echo"]


class Five:
    """Yield five chunks, each after the turn that others are given."""

    async def do(self, body: Any) -> AsyncIterator[int]:
        for number in range(5):
            await asyncio.sleep(0.02)
            yield number
