"""Events of every shape, and the answers to them."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator

import pytest

from fnkit.engine import Event, WireResponse, drive
from fnkit.runtime.direct_events import answer_direct, read_direct
from fnkit.runtime.http_events import Failures, answer_stream, answer_whole, is_http, read_request
from fnkit.runtime.invocation import Failure, Invocation, Streamed, Whole
from fnkit.runtime.queue_events import is_batch, read_batch, run_batch

TEXT = (("content-type", "text/plain"),)


class Kept(Failures):
    def __init__(self) -> None:
        self.failures: list[Failure] = []

    def report(self, failure: Failure) -> None:
        self.failures.append(failure)


def request(**changes: object) -> dict[str, object]:
    return {
        "version": "2.0", "rawPath": "/a%2Fb", "rawQueryString": "p=1", "headers": {"content-type": "text/plain"},
        "requestContext": {"http": {"method": "PUT", "path": "/a/b"}, "requestId": "id-1"}, "isBase64Encoded": False, **changes,
    }  # fmt: skip


def stream(*pieces: bytes | Exception) -> WireResponse:
    async def generate() -> AsyncIterator[bytes]:
        for piece in pieces:
            if isinstance(piece, Exception):
                raise piece
            yield piece

    return WireResponse(200, TEXT, generate())


def whole(response: WireResponse) -> dict[str, object]:
    answer = drive(answer_whole(response))
    assert isinstance(answer, Whole)
    found = json.loads(answer.body)
    assert isinstance(found, dict)
    return found


def test_a_request_becomes_an_event() -> None:
    event = read_request(request(body="hi", cookies=["a=1", "b=2"], queryStringParameters={"p": "1"}))

    assert (event.id, event.method, event.path, event.body, event.content_type) == ("id-1", "PUT", "/a%2Fb", b"hi", "text/plain")
    assert event.headers["cookie"] == "a=1; b=2"
    assert (event.query, event.query_string) == ({"p": "1"}, "p=1")  # type: ignore[attr-defined]  # attributes of the host
    assert repr(event.trigger) == "Trigger(kind='http', name='')"


def test_the_body_is_bytes_however_it_travelled() -> None:
    plain = read_request(request(body="é"))
    coded = read_request(request(body=base64.b64encode("é".encode()).decode(), isBase64Encoded=True))

    assert plain.body == coded.body == "é".encode()
    assert read_request(request()).body == b""


def test_a_body_that_is_not_the_base64_it_claims_to_be_is_refused() -> None:
    with pytest.raises(Failure, match="not base64"):
        read_request(request(body="!", isBase64Encoded=True))


@pytest.mark.parametrize("payload", [None, [], "x", {}, {"requestContext": 5}, {"requestContext": {"http": None}}])
def test_what_is_no_request_is_not_taken_for_one(payload: object) -> None:
    assert not is_http(payload)


def test_a_whole_answer_names_status_headers_and_cookies() -> None:
    response = WireResponse(201, (("X-A", "1"), ("x-a", "2"), ("Content-Length", "9"), ("Connection", "close")), b"hi", ("c=1",))

    assert whole(response) == {
        "statusCode": 201, "headers": {"x-a": "1,2"}, "cookies": ["c=1"], "body": "hi", "isBase64Encoded": False,
    }  # fmt: skip


def test_a_whole_answer_that_is_not_text_is_base64() -> None:
    assert whole(WireResponse(200, (), b"\xff"))["body"] == "/w=="


def test_a_stream_is_joined_where_the_url_is_buffered() -> None:
    assert whole(stream(b"a", b"b"))["body"] == "ab"


def test_a_stream_that_breaks_off_there_is_an_error_of_the_function() -> None:
    with pytest.raises(Failure, match="ValueError: half way"):
        whole(stream(b"a", ValueError("half way")))


def test_an_answer_that_is_too_large_there_is_an_error_with_the_remedy() -> None:
    with pytest.raises(Failure, match="enable streaming"):
        whole(WireResponse(200, (), b"x" * 6_300_000))


def test_a_streamed_answer_without_a_body_has_one_byte() -> None:
    answer = answer_stream(WireResponse(204, (), b""), Kept())

    assert isinstance(answer, Whole)
    assert answer.body.partition(b"\0" * 8)[2] == b"\n"


def test_a_stream_that_breaks_off_is_reported() -> None:
    kept = Kept()
    answer = answer_stream(stream(b"a", ValueError("half way")), kept)
    assert isinstance(answer, Streamed)

    first = drive(anext(answer.pieces))
    with pytest.raises(Failure):
        drive(anext(answer.pieces))

    assert first == b"a"
    assert [failure.kind for failure in kept.failures] == ["ValueError"]


@pytest.mark.parametrize(
    "response",
    [
        WireResponse(200, (("X-A", "a\r\nb"),), b""),
        WireResponse(200, (("X A", "a"),), b""),
        WireResponse(200, (("X-A", "snow ☃"),), b""),
        WireResponse(200, (), b"", ("a=\0",)),
        WireResponse(42, (), b""),
    ],
)
def test_what_http_cannot_carry_becomes_a_500_that_says_so(response: WireResponse) -> None:
    found = whole(response)

    assert found["statusCode"] == 500
    assert str(found["body"]).startswith("MLRunInternalServerError: ")


@pytest.mark.parametrize(
    ("response", "answer"),
    [
        (WireResponse(200, (("content-type", "application/json; charset=utf-8"),), b'{"a": 1}'), b'{"a": 1}'),
        (WireResponse(200, TEXT, b"hi"), b'"hi"'),
        (WireResponse(204, (), b""), b"null"),
        (WireResponse(200, TEXT, b"\xff"), b'{"body": "/w==", "isBase64Encoded": true}'),
        (WireResponse(200, (("Content-Type", "application/x-ndjson"),), b'{"a": 1}\n2\n'), b'[{"a": 1},2]'),
    ],
)
def test_a_direct_invocation_is_answered_with_json(response: WireResponse, answer: bytes) -> None:
    found = drive(answer_direct(response))

    assert isinstance(found, Whole)
    assert found.body == answer


def test_an_error_is_one_of_the_function_there_under_its_own_name() -> None:
    with pytest.raises(Failure) as caught:
        drive(answer_direct(WireResponse(400, TEXT, b"KeyError: 'x'")))
    with pytest.raises(Failure) as other:
        drive(answer_direct(WireResponse(503, TEXT, b"come back later")))

    assert (caught.value.kind, caught.value.message) == ("KeyError", "'x'")
    assert (other.value.kind, other.value.message) == ("Http503", "come back later")


def test_a_direct_text_stays_text() -> None:
    event = read_direct('{"a": 1}', Invocation("id", b""))

    assert (event.body, event.content_type, event.id) == ('{"a": 1}', "text/plain", "id")


def sqs(identifier: str, body: str, **attributes: str) -> dict[str, object]:
    source = {"eventSource": "aws:sqs", "eventSourceARN": "arn:aws:sqs:eu-west-1:1:orders"}
    return {"messageId": identifier, "body": body, "attributes": attributes, **source}


def kinesis(number: str, data: bytes) -> dict[str, object]:
    source = {"eventSource": "aws:kinesis", "eventSourceARN": "arn:aws:kinesis:eu-west-1:1:stream/orders"}
    inside = {"partitionKey": "k", "sequenceNumber": number, "data": base64.b64encode(data).decode()}
    return {"eventID": f"shardId-0:{number}", "kinesis": inside, **source}


def kafka(*values: tuple[str, int, bytes]) -> dict[str, object]:
    records: dict[str, list[dict[str, object]]] = {}
    for partition, offset, value in values:
        headers = [{"h": list(b"v")}]
        entry = {"topic": "t", "offset": offset, "key": base64.b64encode(b"k").decode(), "headers": headers}
        records.setdefault(partition, []).append({**entry, "value": base64.b64encode(value).decode()})
    return {"eventSource": "SelfManagedKafka", "records": records}


def failures(payload: dict[str, object], *bad: bytes, topics: tuple[str, ...] = ()) -> tuple[list[object], list[object]]:
    """Run a batch whose events with the bodies *bad* fail; return the identifiers that failed, and the bodies that ran."""
    ran: list[object] = []

    async def process(event: Event) -> None:
        ran.append(event.body)
        if event.body in bad:
            raise ValueError("bad")

    answer = drive(run_batch(read_batch(payload), process, Kept().report, named_topics=topics))
    assert isinstance(answer, Whole)
    return [item["itemIdentifier"] for item in json.loads(answer.body)["batchItemFailures"]], ran


def test_only_the_messages_that_failed_come_again() -> None:
    found = failures({"Records": [sqs("1", "a"), sqs("2", "b"), sqs("3", "c")]}, b"b")

    assert found == (["2"], [b"a", b"b", b"c"])


def test_nothing_of_a_message_group_runs_behind_a_failure() -> None:
    records = [sqs("1", "a", MessageGroupId="x"), sqs("2", "b", MessageGroupId="x"), sqs("3", "c", MessageGroupId="y")]

    assert failures({"Records": records}, b"a") == (["1", "2"], [b"a", b"c"])


def test_nothing_of_a_shard_runs_behind_a_failure() -> None:
    assert failures({"Records": [kinesis("1", b"a"), kinesis("2", b"b")]}, b"a") == (["1", "2"], [b"a"])


def test_a_batch_of_kafka_fails_as_a_whole_for_its_mapping_asks_for_no_names() -> None:
    with pytest.raises(ValueError, match="bad"):
        failures(kafka(("t-0", 5, b"a"), ("t-0", 6, b"b"), ("t-1", 9, b"c")), b"a", topics=("other", "t-0"))


def test_records_of_kafka_are_named_where_the_mapping_of_their_topic_asks_for_it() -> None:
    batch = kafka(("my-t-0", 5, b"a"), ("my-t-0", 6, b"b"), ("my-t-1", 9, b"c"))

    named, ran = failures(batch, b"a", topics=("my-t",))

    assert named == [{"partition": "my-t-0", "offset": 5}, {"partition": "my-t-0", "offset": 6}]
    assert ran == [b"a", b"c"]


def test_a_batch_of_kafka_without_a_failure_answers_with_none() -> None:
    assert failures(kafka(("t-0", 5, b"a"), ("t-1", 9, b"c"))) == ([], [b"a", b"c"])


def test_attributes_of_a_message_are_its_headers_key_and_encoding() -> None:
    record = sqs("1", "AP8=")
    texts = {"fnkit-key": "k", "fnkit-encoding": "base64", "traceparent": "00-1"}
    record["messageAttributes"] = {name: {"stringValue": value, "dataType": "String"} for name, value in texts.items()}

    (read,) = read_batch({"Records": [record]})

    assert (read.event.body, read.event.key, read.event.headers) == (b"\x00\xff", "k", {"traceparent": "00-1"})


def test_records_know_where_they_come_from() -> None:
    (first,) = read_batch({"Records": [sqs("1", "a", MessageGroupId="g", SentTimestamp="12")]})
    (second,) = read_batch({"Records": [kinesis("1", b"a")]})
    (third,) = read_batch(kafka(("t-0", 5, b"a")))

    found = [(repr(record.event.trigger), record.event.key, record.event.offset) for record in (first, second, third)]
    assert found == [
        ("Trigger(kind='sqs', name='orders')", "g", None),
        ("Trigger(kind='kinesis', name='orders')", "k", "1"),
        ("Trigger(kind='kafka', name='t')", "k", 5),
    ]
    assert third.event.headers == {"h": "v"}


def test_a_message_of_a_queue_step_brings_id_key_and_body() -> None:
    wrapper = json.dumps({"full_event_wrapper": True, "body": {"a": 1}, "key": "k", "id": "e1"})

    (record,) = read_batch({"Records": [sqs("1", wrapper)]})

    assert (record.event.id, record.event.key, record.event.body) == ("e1", "k", {"a": 1})


def test_a_batch_that_cannot_be_read_fails_as_a_whole() -> None:
    with pytest.raises(Failure, match="the batch of the queue cannot be read"):
        read_batch({"Records": [{"eventSource": "aws:sqs"}]})


@pytest.mark.parametrize(
    "payload", [{}, {"Records": []}, {"Records": [{"eventSource": "aws:s3"}]}, {"Records": 5}, [], {"records": {}}]
)
def test_what_is_no_batch_is_not_taken_for_one(payload: object) -> None:
    assert not is_batch(payload)
