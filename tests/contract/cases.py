"""The graphs of the contract, the requests that they get, and what every host must answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from fnkit.manifest.model import CallOptions, Flow, Function, Manifest, Step


@dataclass(frozen=True, slots=True)
class Request:
    """A request to a graph."""

    body: bytes = b""
    content_type: str = "application/json"
    method: str = "POST"
    path: str = "/"
    headers: Mapping[str, str] = field(default_factory=dict)
    query: str = ""
    cookies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a host answered. *fault*: the answer broke off in its middle; the error's type where the host tells it, else `"?"`.

    *fault_text* is the text of that error, which a host shows that cannot stream.
    """

    status: int
    body: bytes
    content_type: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    cookies: tuple[str, ...] = ()
    fault: str = ""
    fault_text: bytes = b"chunk 2"


@dataclass(frozen=True, slots=True)
class Case:
    """One graph, one request, one outcome. Of the outcome's headers only those named here are compared."""

    name: str
    steps: tuple[Step, ...]
    request: Request
    outcome: Outcome
    cyclic: bool = False

    @property
    def manifest(self) -> Manifest:
        """The graph, not placed yet."""
        entry = Function("graph", "entry", module="steps", streaming=True)
        return Manifest(
            "graph", Flow(self.steps, allow_cyclic=self.cyclic), functions=(entry,), streaming=True, parameters={"colour": "red"}
        )


def chain(*targets: tuple[str, str, dict[str, object]]) -> tuple[Step, ...]:
    """Return the steps of a linear graph whose last step responds; each is given as name, class and arguments."""
    last = len(targets) - 1
    return tuple(
        Step(name, target=f"steps:{target}", args=args, after=(targets[at - 1][0],) if at else (), responder=at == last)
        for at, (name, target, args) in enumerate(targets)
    )


JSON = "application/json"
TEXT = "text/plain"
NOT_IN_TIME = "\nhint: give it more time, timeout_s in its call options, or less to do"

CASES = (
    Case("echo", chain(("echo", "Echo", {})), Request(b'{"a": [1, "\xc3\xa9"]}'), Outcome(200, b'{"a": [1, "\\u00e9"]}', JSON)),
    Case("async echo", chain(("echo", "AsyncEcho", {})), Request(b'{"a": 1}'), Outcome(200, b'{"a": 1}', JSON)),
    Case("text", chain(("echo", "Echo", {})), Request(b"h\xc3\xa9llo", TEXT), Outcome(200, b"h\xc3\xa9llo", TEXT)),
    Case(
        "binary",
        chain(("bytes", "Bytes", {})),
        Request(b"\x00\xff\x01", "application/octet-stream"),
        Outcome(200, b"\x00\xff\x01", TEXT),
    ),
    Case(
        "linear",
        chain(("a", "Append", {"text": "1"}), ("b", "Append", {"text": "2"}), ("c", "Append", {})),
        Request(b'["x"]'),
        Outcome(200, b'["x", "a1", "b2", "c!"]', JSON),
    ),
    Case("stream", chain(("ticks", "Ticks", {})), Request(b"hi", TEXT), Outcome(200, b"0:hi;1:hi;2:hi;", TEXT)),
    Case("async stream", chain(("ticks", "AsyncTicks", {})), Request(b"hi", TEXT), Outcome(200, b"0:hi;1:hi;2:hi;", TEXT)),
    Case(
        "stream through a step",
        chain(("ticks", "Ticks", {"count": 2}), ("shout", "Shout", {})),
        Request(b"hi", TEXT),
        Outcome(200, b"0:HI;1:HI;", TEXT),
    ),
    Case(
        "stream of records",
        chain(("records", "Records", {})),
        Request(b'{"a": 1}'),
        Outcome(200, b'{"n": 0, "body": {"a": 1}}\n{"n": 1, "body": {"a": 1}}\n', "application/x-ndjson"),
    ),
    Case("error", chain(("broken", "Broken", {})), Request(b'"key"'), Outcome(400, b"KeyError: 'no key'", TEXT)),
    Case(
        "error with a remedy",
        chain(("refuses", "Refuses", {})),
        Request(b'"seat 3"'),
        Outcome(409, b"Taken: seat 3 is taken\nhint: wait a moment", TEXT),
    ),
    Case(
        "error that its handler knows by its base",
        (
            Step("refuses", target="steps:Refuses", on_error="reraises", responder=True),
            Step("reraises", target="steps:Reraises"),
        ),
        Request(b'"seat 3"'),
        Outcome(409, b"Taken: seat 3 is taken\nhint: wait a moment", TEXT),
    ),
    Case(
        "keys of chunks",
        chain(("ticks", "Ticks", {"count": 2}), ("key", "Key", {})),
        Request(b"hi", TEXT),
        Outcome(200, b"/key/ticks.0/1;/key/ticks.1/1;", TEXT),
    ),
    Case(
        "keys of branches that meet",
        (
            Step("a", target="steps:Echo"),
            Step("b", target="steps:Echo", after=("a",)),
            Step("c", target="steps:AsyncEcho", after=("a",)),
            Step("key", target="steps:Key", after=("b", "c")),
            Step("all", target="fnkit.steps:Merge", after=("key",), args={"expected_num_events": 2}),
            Step("sorted", target="steps:Sorted", after=("all",), responder=True),
        ),
        Request(b"hi", TEXT),
        Outcome(200, b'[":b/key/1;", ":c/key/1;"]', JSON),
    ),
    Case(
        "stream that fails at once",
        chain(("ticks", "Ticks", {"fail": 0})),
        Request(b"hi", TEXT),
        Outcome(400, b"ValueError: chunk 0", TEXT),
    ),
    Case(
        "stream that fails in its middle",
        chain(("ticks", "Ticks", {"fail": 2})),
        Request(b"hi", TEXT),
        Outcome(200, b"0:hi;1:hi;", TEXT, fault="ValueError"),
    ),
    Case(
        "async stream that fails in its middle",
        chain(("ticks", "AsyncTicks", {"fail": 2})),
        Request(b"hi", TEXT),
        Outcome(200, b"0:hi;1:hi;", TEXT, fault="ValueError"),
    ),
    Case(
        "status, headers and cookies",
        chain(("tea", "Teapot", {})),
        Request(b"hot", TEXT),
        Outcome(418, b"hot", "text/x-tea", {"x-kind": "earl grey"}, ("leaf=1; Path=/",)),
    ),
    Case(
        "streamed response",
        chain(("tea", "StreamedTea", {})),
        Request(b"hot", TEXT),
        Outcome(201, b"0:hot;1:hot;", "text/x-tea", {"x-kind": "oolong"}),
    ),
    Case(
        "a header with a line break",
        chain(("bad", "BadHeader", {})),
        Request(b"x", TEXT),
        Outcome(
            500,
            b"MLRunInternalServerError: the answer's header 'X-Bad': 'two\\r\\nlines' has characters that no header may have",
            TEXT,
        ),
    ),
    Case(
        "body that is not JSON",
        chain(("echo", "Echo", {})),
        Request(b"{"),
        Outcome(400, b"failed to json decode event, ...", TEXT),
    ),
    Case(
        "cycle",
        (
            Step("count", target="steps:Count", after=("again",), cycle_from=("again",)),
            Step("again", target="steps:Again", after=("count",)),
            Step("last", target="steps:Mark", after=("again",), responder=True),
        ),
        Request(b'{"n": 0, "until": 5}'),
        Outcome(200, b'{"n": 5, "until": 5, "by": "last"}', JSON),
        cyclic=True,
    ),
    Case(
        "choice",
        (
            Step("parity", target="steps:Parity"),
            Step("even", target="steps:Mark", after=("parity",)),
            Step("odd", target="steps:Mark", after=("parity",)),
            Step("echo", target="steps:Echo", after=("even", "odd"), responder=True),
        ),
        Request(b'{"n": 3}'),
        Outcome(200, b'{"n": 3, "by": "odd"}', JSON),
    ),
    Case(
        "request line, query and cookies",
        chain(("headers", "Headers", {})),
        Request(b"{}", path="/a%20b/c", headers={"X-Test": "1"}, query="p=1&p=2&q=%C3%A9", cookies=("a=1", "b=2"), method="PUT"),
        Outcome(
            200,
            b'{"method": "PUT", "path": "/a%20b/c", "query": {"p": "1,2", "q": "\\u00e9"}, "cookie": "a=1; b=2", "x": "1"}',
            JSON,
        ),
    ),
    Case(
        "late steps",
        (
            Step("waiting", target="steps:Waiting", call=CallOptions(timeout_s=0.1), on_error="sleeping", responder=True),
            Step("sleeping", target="steps:Sleeping", call=CallOptions(timeout_s=0.05)),
        ),
        Request(b"hi", TEXT),
        Outcome(504, f"StepTimeoutError: step 'sleeping' did not answer within 0.05 s{NOT_IN_TIME}".encode(), TEXT),
    ),
    Case(
        "late chunk",
        (Step("ticks", target="steps:StuckTicks", call=CallOptions(timeout_s=60, idle_timeout_s=0.3), responder=True),),
        Request(b"hi", TEXT),
        Outcome(
            200,
            b"0:hi;",
            TEXT,
            fault="StepTimeoutError",
            fault_text=b"the stream of step 'ticks' stood still for more than 0.3 s",
        ),
    ),
    Case(
        "step that fails twice",
        (Step("flaky", target="steps:Flaky", call=CallOptions(retry_on=("NotNow",), backoff_s=0.01), responder=True),),
        Request(b'{"n": 1}'),
        Outcome(200, b'{"n": 2, "keys": ["/flaky/1", "/flaky/1", "/flaky/1"]}', JSON),
    ),
    Case(
        "cycle that is too long",
        (
            Step("round", target="steps:Round", after=("again",), cycle_from=("again",), on_error="caught", max_iterations=3),
            Step("again", target="steps:Endless", after=("round",)),
            Step("last", target="steps:Mark", after=("again",), responder=True),
            Step("caught", target="steps:Caught"),
        ),
        Request(b'{"n": 0}'),
        Outcome(
            200,
            b'{"error": "RuntimeError", "is": true, "origin": "round", "key": "/caught/1", '
            b'"keys": ["/round/1", "/round/2", "/round/3"]}',
            JSON,
        ),
        cyclic=True,
    ),
)
