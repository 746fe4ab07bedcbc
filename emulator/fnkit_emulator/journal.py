"""What the emulator has to tell while it runs, as data: the command line shows it as text or as JSON lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Ready:
    """The emulator listens: *url* is the entry function's, *functions* are the URLs of all."""

    url: str
    functions: Mapping[str, str]

    def as_event(self) -> dict[str, object]:
        """Return the JSON object of this happening."""
        return {"event": "ready", "url": self.url, "functions": dict(self.functions)}


@dataclass(frozen=True, slots=True)
class Invoked:
    """An event has been answered.

    *status* is the HTTP status of a function URL (499: the client left), or of the Lambda API. *ms* counts from the hand-over to the
    worker to the end of the answer, *init_ms* is what a cold start took before that. *chunks* is 0 for buffered answers. *queue* brought
    the event, a batch of *batch* messages, of which the function named *failed* as failed; "" for what came by a request.
    """

    function: str
    request_id: str
    status: int
    ms: float
    cold: bool
    init_ms: float = 0.0
    chunks: int = 0
    size: int = 0
    memory_mb: int = 0
    error: str = ""
    at: float = field(default_factory=time.time)
    queue: str = ""
    batch: int = 0
    failed: int = 0

    def as_event(self) -> dict[str, object]:
        """Return the JSON object of this happening."""
        event: dict[str, object] = {
            "event": "invocation",
            "function": self.function,
            "request_id": self.request_id,
            "status": self.status,
            "ms": round(self.ms, 2),
            "cold": self.cold,
            "bytes": self.size,
            "memory_mb": self.memory_mb,
        }
        if self.cold:
            event["init_ms"] = round(self.init_ms, 2)
        if self.chunks:
            event["chunks"] = self.chunks
        if self.queue:
            event |= {"queue": self.queue, "batch": self.batch}
        if self.failed:
            event["failed"] = self.failed
        if self.error:
            event["error"] = self.error
        return event


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that a worker wrote to stdout or stderr."""

    function: str
    line: str

    def as_event(self) -> dict[str, object]:
        """Return the JSON object of this happening."""
        return {"event": "log", "function": self.function, "line": self.line}


@dataclass(frozen=True, slots=True)
class Notice:
    """Something that people should know: an environment that did not start, a refused request, the end. *function* may be ""."""

    text: str
    function: str = ""
    kind: str = "notice"

    def as_event(self) -> dict[str, object]:
        """Return the JSON object of this happening."""
        return {"event": self.kind, "function": self.function, "message": self.text}


Happening = Ready | Invoked | LogLine | Notice
Journal = Callable[[Happening], None]


def as_text(happening: Happening) -> str:
    """Return *happening* as a line for people."""
    if isinstance(happening, Ready):
        lines = [f"listening on {happening.url}"]
        width = max(map(len, happening.functions), default=0)
        lines += [f"  {name.ljust(width)}  {url}" for name, url in happening.functions.items()]
        return "\n".join(lines)
    if isinstance(happening, LogLine):
        return f"[{happening.function}] {happening.line}"
    if isinstance(happening, Notice):
        return f"[{happening.function}] {happening.text}" if happening.function else happening.text
    return _invoked_text(happening)


def _invoked_text(happening: Invoked) -> str:
    clock = time.strftime("%H:%M:%S", time.localtime(happening.at))
    parts = [clock, happening.function, str(happening.status), f"{happening.ms:.1f} ms"]
    parts.append(f"cold ({happening.init_ms:.1f} ms)" if happening.cold else "warm")
    if happening.chunks:
        parts.append("1 chunk" if happening.chunks == 1 else f"{happening.chunks} chunks")
    if happening.memory_mb:
        parts.append(f"{happening.memory_mb} MB")
    if happening.queue:
        parts.append(
            f"{happening.batch} from queue {happening.queue}{f', {happening.failed} failed' if happening.failed else ''}"
        )
    if happening.error:
        parts.append(happening.error)
    return "  ".join(parts)
