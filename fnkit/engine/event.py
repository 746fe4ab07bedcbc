"""The event: what a request becomes inside a graph, and what each step may see of it."""

from __future__ import annotations

from os import urandom

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from fnkit.engine.node import Node


class Event:
    """One request on its way through a graph.

    *body* is what the steps pass on. *headers*, *method*, *path* and *content_type* are the request's. *key* is the partition key where a
    queue is involved. *trigger* is what started the event (None: a call over HTTP), *offset* and *time* its place in a queue.
    *accept* is the media type that the client asks for; empty means the `Accept` header, if there is one.

    The engine adds: `error` and `origin_state` (exception and name of the failing step, for error handlers), `streaming_step` and
    `chunk_id` (which step streams this chunk, and its number from 0), `terminated` (a step may set it to end a synchronous graph).
    *lineage* tells the copies of one event from each other: the branches that it took, its place among many, its message.
    Steps may add attributes of their own; branches share them.
    """

    __slots__ = (
        "__dict__",
        "_accept",
        "_at",
        "_counts",
        "_id",
        "body",
        "content_type",
        "headers",
        "key",
        "method",
        "path",
        "streaming_step",
    )

    # What few events have is kept in the class until it is set.
    trigger: object = None
    offset: int | str | None = None
    time: object = None
    error: object = None
    origin_state: str = ""
    chunk_id: int = -1
    terminated: bool = False
    lineage: tuple[str, ...] = ()

    def __init__(
        self,
        body: object = None,
        *,
        id: str = "",
        key: str = "",
        headers: Mapping[str, str] | None = None,
        method: str = "",
        path: str = "/",
        content_type: str = "",
        trigger: object = None,
        offset: int | str | None = None,
        time: object = None,
        accept: str = "",
    ) -> None:
        self.body = body
        self._id = id
        self.key = key
        self.headers: dict[str, str] = dict(headers) if headers else {}
        self.method = method
        self.path = path
        self.content_type = content_type
        self._accept = accept
        self.streaming_step = ""
        self._counts: list[int] | None = None  # entries into each step that lies on a cycle
        if trigger is not None:
            self.trigger = trigger
        if offset is not None:
            self.offset = offset
        if time is not None:
            self.time = time

    @property
    def id(self) -> str:
        """The event's identity: as given, otherwise 32 random hexadecimal digits, made when first asked for."""
        if not self._id:
            self._id = urandom(16).hex()
        return self._id

    @id.setter
    def id(self, value: str) -> None:
        self._id = value

    @property
    def accept(self) -> str:
        """The media types that the client accepts, as in the `Accept` header."""
        return self._accept or self.header("accept")

    @accept.setter
    def accept(self, value: str) -> None:
        self._accept = value

    @property
    def visit(self) -> Node | str | None:
        """Where the event is: the node of the step that it was last given to, or the key that its caller gave it."""
        return getattr(self, "_at", None)

    @visit.setter
    def visit(self, at: Node | str | None) -> None:
        self._at = at

    @property
    def idempotency_key(self) -> str:
        """What names this visit of this event to this step, and no other one.

        It is the same again at every further attempt, in whatever function the step runs, and when a queue or a client delivers the event
        again under the same id: `ID[:BRANCH...]/STEP[/STREAM.CHUNK]/VISIT`.
        """
        at = self.visit
        if isinstance(at, str):
            return at
        place = ":".join((self.id, *self.lineage))
        if at is None:
            return place
        chunk = f"/{self.streaming_step}.{self.chunk_id}" if self.streaming_step else ""
        number = self._counts[at.index] if at.limit and self._counts is not None else 1
        return f"{place}/{at.name}{chunk}/{number}"

    def header(self, name: str, default: str = "") -> str:
        """Return the header *name* (lower case), whatever case it was sent in."""
        for key, value in self.headers.items():
            if key.lower() == name:
                return value
        return default

    def copy(self, body: object) -> Event:
        """Return this event with another body: the same identity, counters of its own."""
        other = Event.__new__(type(self))
        other.body = body
        other._id = self._id or self.id
        other.key = self.key
        other.headers = self.headers.copy()
        other.method = self.method
        other.path = self.path
        other.content_type = self.content_type
        other._accept = self._accept
        other.streaming_step = self.streaming_step
        other._counts = None if self._counts is None else self._counts.copy()
        if self.__dict__:
            other.__dict__.update(self.__dict__)
        return other

    def chunk(self, body: object, step: str, number: int) -> Event:
        """Return the event that carries chunk *number* of the stream of *step*."""
        other = self.copy(body)
        other.streaming_step = step
        other.chunk_id = number
        return other

    def __repr__(self) -> str:
        return f"Event(id={self.id}, body={self.body}, method={self.method}, path={self.path})"
