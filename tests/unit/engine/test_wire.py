"""Bodies in and out: decoding requests, encoding answers and streams."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Any

import pytest

from fnkit.engine import Event, Response, decode_body, error_response, receive, wire_value
from fnkit.errors import MLRunBadRequestError, MLRunInternalServerError
from fnkit.manifest.model import Step
from tests.fakes.engine import answer, chain, execute, flow, wire


@pytest.mark.parametrize(
    ("body", "content_type", "seen"),
    [
        ('{"a":1}', "", {"a": 1}),
        (b"[1]", "", [1]),
        ("5", "", 5),
        ("null", "", None),
        ('"s"', "", "s"),
        ("hello", "", "hello"),
        (b"\xff", "", b"\xff"),
        ('{"a":1}', "text/plain", '{"a":1}'),
        (b'{"a":1}', "application/octet-stream", b'{"a":1}'),
        ('{"a":1}', "application/json; charset=utf-8", {"a": 1}),
        ('{"a":1}', "Application/JSON", {"a": 1}),
        ('{"a":1}', "json", {"a": 1}),
        ('{"a":1}', "application/vnd.api+json", {"a": 1}),
        (b"", "application/json", b""),
        (b"", "", b""),
        ({"a": 1}, "application/json", {"a": 1}),
    ],
)
def test_a_body_is_decoded_by_its_content_type(body: object, content_type: str, seen: object) -> None:
    assert decode_body(body, content_type) == seen


def test_the_default_content_type_holds_where_a_request_has_none() -> None:
    assert decode_body('{"a":1}', "", "text/plain") == '{"a":1}'
    assert decode_body('{"a":1}', "application/json", "text/plain") == {"a": 1}


def test_a_body_that_is_not_what_its_content_type_says_is_answered_with_400() -> None:
    status, kind, text = wire(flow(*chain("Ident")), "{oops", content_type="application/json")

    assert (status, kind) == (400, "text/plain")
    assert text == b"failed to json decode event, Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"


def test_an_error_without_a_message_is_shown_as_python_writes_it() -> None:
    assert error_response(NotImplementedError()).body == "NotImplementedError: NotImplementedError()"
    assert error_response(ValueError("v")).body == "ValueError: v"


def test_an_empty_text_is_no_json_but_no_bytes_are_no_body() -> None:
    assert (decode_body("", ""), decode_body(b"", "application/json")) == ("", b"")
    with pytest.raises(MLRunBadRequestError, match="failed to json decode event, Expecting value"):
        decode_body("", "application/json")


def test_a_body_nested_too_deeply_is_a_bad_request() -> None:
    with pytest.raises(MLRunBadRequestError, match="failed to json decode event"):
        decode_body("[" * 100_000, "application/json")


def test_headers_may_name_the_event_and_its_path() -> None:
    event = Event(b"{}", headers={"MLRUN-EVENT-ID": "E7", "mlrun-event-path": "/p", "Content-Type": "text/plain"})

    receive(event)

    assert (event.id, event.path, event.body) == ("E7", "/p", b"{}")


@pytest.mark.parametrize(
    ("sent", "content_type", "body"),
    [
        ({"a": 1}, "application/json", b'{"a": 1}'),
        ("txt", "text/plain", b"txt"),
        ("[1]", "application/json", b"[1]"),
        ("5", "application/json", b"5"),
        ("{}", "application/json", b"{}"),
        ('"str"', "text/plain", b"str"),
        (b"\xffraw", "text/plain", b"\xffraw"),
        ("null", "application/json", b"null"),
        ("0", "application/json", b"0"),
        ("false", "application/json", b"false"),
    ],
)
def test_an_answer_is_json_unless_it_is_text_or_bytes(sent: object, content_type: str, body: bytes) -> None:
    assert wire(flow(*chain("Ident")), sent) == (200, content_type, body)


@pytest.mark.parametrize("content_type", ["", "application/json", "text/plain"])
def test_a_request_without_a_body_is_none_for_steps_as_in_a_mock_server(content_type: str) -> None:
    topology = flow(Step("a", handler="kind", responder=True), names={"kind": lambda body: type(body).__name__})

    assert wire(topology, b"", content_type=content_type) == (200, "text/plain", b"NoneType")


def test_a_response_whose_body_has_to_be_json_is_sent_as_json() -> None:
    kinds = [
        dict(wire_value(response).headers)["content-type"]
        for response in (
            Response(body={"a": 1}, status_code=201),
            Response(body=[]),
            Response(body="x"),
            Response(body={"a": 1}, content_type="text/plain"),
            Response(body={"a": 1}, content_type="application/problem+json"),
        )
    ]

    assert kinds == ["application/json", "application/json", "text/plain", "text/plain", "application/problem+json"]


def test_dates_and_arrays_are_written_as_json() -> None:
    class Array:
        def tolist(self) -> list[int]:
            return [1, 2]

    topology = flow(
        Step("a", handler="f", responder=True), names={"f": lambda body: {"d": datetime.date(2026, 1, 2), "n": Array()}}
    )

    assert wire(topology)[2] == b'{"d": "2026-01-02", "n": [1, 2]}'


def test_an_answer_that_is_no_json_is_a_clear_error() -> None:
    topology = flow(Step("a", handler="f", responder=True), names={"f": lambda body: {1, 2}})

    assert wire(topology) == (500, "text/plain", b"MLRunInternalServerError: an answer of type 'set' cannot be written as JSON")


def test_a_response_keeps_status_headers_and_content_type() -> None:
    topology = flow(*chain("Status"))

    assert answer(topology, {"b": "ok", "s": 207}) == Response(
        headers={"x-k": "v"}, body="ok", content_type="text/x-test", status_code=207
    )

    async def work() -> Any:
        return await topology(Event({"b": "go away", "s": 403}))

    response = execute(work())
    assert (response.status, response.headers, response.body) == (
        403,
        (("content-type", "text/x-test"), ("x-k", "v")),
        b"go away",
    )


@pytest.mark.parametrize("status", [0, 99, 101, 600, "ok", None, 2.5])
@pytest.mark.parametrize("streamed", [False, True])
def test_a_status_that_is_none_is_an_error_of_the_server(status: Any, streamed: bool) -> None:
    def bad(body: object) -> Response:
        return Response(status_code=status, body=(word for word in "ab") if streamed else "c")

    answered, _, text = wire(flow(Step("a", handler="f", responder=True), names={"f": bad}))

    assert (answered, text) == (
        500,
        f"MLRunInternalServerError: the answer's status {status!r} is not a number from 200 to 599".encode(),
    )


def test_an_answer_without_a_body_has_no_content_type() -> None:
    topology = flow(
        Step("a", handler="f", responder=True),
        names={"f": lambda body: Response(status_code=204, body="x", headers={"x-k": "v"})},
    )

    async def work() -> Any:
        response = await topology(Event())
        return response.headers, response.body

    assert execute(work()) == ((("x-k", "v"),), b"")


def test_a_response_is_shown_as_what_it_is() -> None:
    assert (
        repr(Response(body="nope", status_code=503))
        == "Response(headers={}, body='nope', status_code=503, content_type='text/plain')"
    )


def test_cookies_are_apart_from_the_headers() -> None:
    def cookie(body: object) -> Response:
        return Response(headers={"Set-Cookie": "a=b", "X-Y": "z"}, body="c")

    async def work() -> Any:
        return await flow(Step("a", handler="f", responder=True), names={"f": cookie})(Event())

    response = execute(work())

    assert response.cookies == ("a=b",)
    assert response.headers == (("content-type", "text/plain"), ("X-Y", "z"))


def test_a_content_type_among_the_headers_goes_first() -> None:
    topology = flow(
        Step("a", handler="f", responder=True), names={"f": lambda body: Response(headers={"Content-Type": "a/b"}, body="c")}
    )

    async def work() -> Any:
        return (await topology(Event())).headers

    assert execute(work()) == (("Content-Type", "a/b"),)


@pytest.mark.parametrize(
    "headers", [{"x": "a\r\nb: c"}, {"a b": "c"}, {"": "c"}, {"x": "\x00"}, {"schlüssel": "c"}, {"x": "日本"}]
)
@pytest.mark.parametrize("streamed", [False, True])
def test_a_header_with_illegal_characters_is_refused(headers: dict[str, str], streamed: bool) -> None:
    def bad(body: object) -> Response:
        return Response(headers=headers, body=(word for word in "ab") if streamed else "c")

    status, _, text = wire(flow(Step("a", handler="f", responder=True), names={"f": bad}))

    assert status == 500
    assert isinstance(text, bytes)
    assert b"characters that no header may have" in text


# --- streams


def streaming(*items: object, response: Any = None, **options: Any) -> Any:
    def make(body: object) -> object:
        chunks = (item for item in items)
        return response(chunks) if response else chunks

    return flow(Step("a", handler="f", responder=True), names={"f": make}, **options)


def test_text_and_bytes_stream_as_text() -> None:
    assert wire(streaming(b"bin1", "str2")) == (200, "text/plain", [b"bin1", b"str2"])


def test_other_values_in_a_text_stream_are_json() -> None:
    assert wire(streaming("a", {"b": 1}, None)) == (200, "text/plain", [b"a", b'{"b": 1}', b"null"])


def test_a_stream_of_dicts_is_one_json_value_a_line() -> None:
    items = ({"a": 1}, {"b": "x"}, 5, None, [1, 2], "s", b"t")

    assert wire(streaming(*items)) == (
        200,
        "application/x-ndjson",
        [b'{"a": 1}\n', b'{"b": "x"}\n', b"5\n", b"null\n", b"[1, 2]\n", b'"s"\n', b'"t"\n'],
    )


def test_bytes_that_are_no_text_break_a_stream_of_json() -> None:
    with pytest.raises(MLRunInternalServerError, match="cannot carry bytes that are not UTF-8"):
        wire(streaming({"a": 1}, b"\xff"))


def test_an_empty_stream_is_an_empty_text() -> None:
    assert wire(streaming()) == (200, "text/plain", [])


@pytest.mark.parametrize("accept", ["text/event-stream", "application/json, text/event-stream;q=0.9"])
def test_a_client_that_accepts_events_gets_events(accept: str) -> None:
    status, kind, chunks = wire(streaming("tok", "two\nlines", {"a": 1}), headers={"Accept": accept})

    assert (status, kind) == (200, "text/event-stream")
    assert chunks == [b"data: tok\n\n", b"data: two\ndata: lines\n\n", b'data: {"a": 1}\n\n']


@pytest.mark.parametrize("accept", ["*/*", "text/*", "text/event-stream; q=0"])
def test_a_client_that_does_not_name_events_gets_none(accept: str) -> None:
    assert wire(streaming("tok"), accept=accept)[1] == "text/plain"


def test_an_event_keeps_the_text_of_its_chunk() -> None:
    _, _, chunks = wire(streaming("line\u2028end\r\nnext\r", ""), accept="text/event-stream")

    assert chunks == ["data: line\u2028end\ndata: next\ndata: \n\n".encode(), b"data: \n\n"]


def test_a_graph_can_ask_for_events() -> None:
    topology = streaming("tok", options={"stream_content_type": "text/event-stream"})

    assert wire(topology)[1:] == ("text/event-stream", [b"data: tok\n\n"])


def test_a_response_with_a_generator_streams_under_its_status_and_headers() -> None:
    topology = streaming({"a": 1}, "x", response=lambda chunks: Response(body=chunks, status_code=202, headers={"x-k": "v"}))

    async def work() -> Any:
        response = await topology(Event())
        return response.status, response.headers, [data async for data in response.body]

    assert execute(work()) == (202, (("content-type", "application/x-ndjson"), ("x-k", "v")), [b'{"a": 1}\n', b'"x"\n'])


def test_a_declared_content_type_holds_for_the_whole_stream() -> None:
    def declared(kind: str) -> Any:
        return streaming({"a": 1}, "data: own\n\n", response=lambda chunks: Response(body=chunks, content_type=kind))

    assert wire(declared("application/json"))[1:] == ("application/json", [b'{"a": 1}\n', b'"data: own\\n\\n"\n'])
    assert wire(declared("text/event-stream"))[1:] == ("text/event-stream", [b'data: {"a": 1}\n\n', b"data: own\n\n"])
    assert wire(declared("text/html"))[1:] == ("text/html", [b'{"a": 1}', b"data: own\n\n"])


def test_an_async_generator_in_a_response_streams_too() -> None:
    async def chunks() -> Any:
        yield "a"
        yield "b"

    topology = flow(Step("a", handler="f", responder=True), names={"f": lambda body: Response(body=chunks(), status_code=201)})

    assert wire(topology) == (201, "text/plain", [b"a", b"b"])


def test_a_broken_chunk_closes_the_generator() -> None:
    ended: list[str] = []

    def items(body: object) -> Iterator[object]:
        try:
            yield {"a": 1}
            yield {1, 2}
        finally:
            ended.append("closed")

    with pytest.raises(MLRunInternalServerError, match="'set' cannot be written as JSON"):
        wire(flow(Step("a", handler="f", responder=True), names={"f": items}))
    assert ended == ["closed"]
