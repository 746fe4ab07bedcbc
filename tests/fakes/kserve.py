"""Mock services as the observed cases of KServe's router describe them, and what runs a case against a router."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from fnkit.net.http1 import ChunkedBody, LengthBody, find_head, parse_headers

CASES_FILE = Path(__file__).parents[1] / "conformance" / "data" / "kserve_router.json"


def load_cases() -> dict[str, Any]:
    data: dict[str, Any] = json.loads(CASES_FILE.read_text("utf-8"))
    return data


@dataclass
class Call:
    """One call that a service got; header names are kept as they were sent."""

    svc: str
    method: str
    path: str
    body: bytes
    headers: dict[str, list[str]] = field(default_factory=dict)


class MockService:
    """One service: answers as its description says and notes every call in *calls*."""

    def __init__(self, name: str, description: dict[str, Any], calls: list[Call]) -> None:
        self.name = name
        self.description = description
        self.calls = calls
        self._count = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1_000_000)

    @property
    def hostport(self) -> str:
        assert self._server is not None
        return f"127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            data = b""
            while True:
                call, data = await self._read(reader, data)
                if call is None:
                    break
                self.calls.append(call)
                if not await self._answer(call, writer):
                    break
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            writer.close()

    async def _read(self, reader: asyncio.StreamReader, data: bytes) -> tuple[Call | None, bytes]:
        while (cut := find_head(data))[0] < 0:
            more = await reader.read(65536)
            if not more:
                return None, b""
            data += more
        start, *lines = data[: cut[0]].decode("latin-1").split("\n")
        values = dict(parse_headers(lines))
        names = [line.partition(":")[0] for line in lines]
        headers: dict[str, list[str]] = {}
        for name, (_, value) in zip(names, parse_headers(lines), strict=True):
            headers.setdefault(name, []).append(value)
        chunked = values.get("transfer-encoding") == "chunked"
        decoder = ChunkedBody() if chunked else LengthBody(int(values.get("content-length", 0)))
        parts = [decoder.feed(data[cut[1] :])]
        while not decoder.done:
            parts.append(decoder.feed(await reader.read(1_000_000)))
        body = b"".join(parts)
        method, path, _ = start.split(" ")
        return Call(self.name, method, path, body, headers), decoder.rest

    async def _answer(self, call: Call, writer: asyncio.StreamWriter) -> bool:
        told = self.description
        if responses := told.get("responses"):
            told = {**told, **responses[min(self._count, len(responses) - 1)]}
        self._count += 1
        if told.get("delay_ms"):
            await asyncio.sleep(told["delay_ms"] / 1000)
        if told.get("abort"):
            return False
        body = call.body if told.get("echo") else told.get("body", "").encode("utf-8", "surrogateescape")
        status = told.get("status", 200)
        head = f"HTTP/1.1 {status} X\r\n"
        for name, value in (told.get("headers") or {}).items():
            head += f"{name}: {value}\r\n"
        if told.get("gzip") and "gzip" in ",".join(call.headers.get("Accept-Encoding", [])):
            body = gzip.compress(body, mtime=0)
            head += "Content-Encoding: gzip\r\n"
        head += f"Content-Length: {len(body) + told.get('short_by', 0)}\r\n\r\n"
        writer.write(head.encode() + (b"" if status in (204, 304) else body))
        await writer.drain()
        return not told.get("short_by")


class World:
    """The services of one case; *fill* puts their addresses into texts."""

    def __init__(self, descriptions: dict[str, dict[str, Any]]) -> None:
        self.calls: list[Call] = []
        self.services = {name: MockService(name, told, self.calls) for name, told in descriptions.items()}
        self._dead = ""

    async def __aenter__(self) -> Self:
        for service in self.services.values():
            await service.start()
        server = await asyncio.start_server(lambda *_: None, "127.0.0.1", 0)
        self._dead = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.close()
        await server.wait_closed()
        for service in self.services.values():
            service.description = self.fill(service.description)
        return self

    async def __aexit__(self, *_: object) -> None:
        for service in self.services.values():
            await service.stop()

    def fill(self, value: Any) -> Any:
        """Return *value* with every `{{svcX}}`, `{{svcX.hostport}}` and `{{dead}}` replaced."""
        if isinstance(value, dict):
            return {key: self.fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        return re.sub(r"\{\{(\w+)(\.hostport)?\}\}", self._address, value) if isinstance(value, str) else value

    def _address(self, found: re.Match[str]) -> str:
        name, bare = found[1], found[2]
        if name == "dead":
            return f"http://{self._dead}" if not bare else self._dead
        service = self.services.get(name)
        hostport = service.hostport if service is not None else self._dead
        return hostport if bare else f"http://{hostport}"


def seen_calls(calls: list[Call], watched: list[str]) -> list[dict[str, Any]]:
    """Return *calls* in the form of the cases."""
    found = []
    for call in calls:
        entry: dict[str, Any] = {
            "svc": call.svc,
            "method": call.method,
            "path": call.path,
            "body": call.body.decode("utf-8", "surrogateescape"),
        }
        headers = {name: call.headers[name] for name in watched if name in call.headers}
        if watched:
            entry["headers"] = headers
        found.append(entry)
    return found


def open_files() -> int:
    """Return how many files this process has open."""
    return len(os.listdir("/proc/self/fd"))
