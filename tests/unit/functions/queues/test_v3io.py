"""V3IO streams are written by the service's HTTP interface."""

from __future__ import annotations

import base64
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from fnkit.functions.queues.errors import QueueError
from fnkit.functions.queues.message import Message
from fnkit.functions.queues.senders import open_sender
from fnkit.functions.queues.spec import QueueSpec, read_spec


class Service:
    """Takes PutRecords, and answers as it is told."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, str, dict[str, object]]] = []
        self.failed = 0
        service = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_PUT(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                document = json.loads(body)
                service.requests.append((self.path, self.headers["x-v3io-function"], document))
                records = [{"SequenceNumber": 1, "ShardId": 0} for _ in document["Records"]]
                answer = json.dumps({"FailedRecordCount": service.failed, "Records": records}).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            do_POST = do_PUT

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()


@pytest.fixture
def service() -> Iterator[Service]:
    service = Service()
    yield service
    service.server.shutdown()
    service.server.server_close()


def spec_of(path: str) -> QueueSpec:
    spec, problems = read_spec("out", {"path": path})
    assert spec is not None, problems
    return spec


def test_messages_are_put_into_the_stream_eight_at_a_time(service: Service) -> None:
    sender = open_sender(spec_of("v3io:///projects/graphs/out"), {"V3IO_API": service.url, "V3IO_ACCESS_KEY": "key"})

    sender.send([Message(f"m{number}".encode(), "k") for number in range(10)])
    sender.close()

    assert [function for _, function, _ in service.requests] == ["PutRecords", "PutRecords"]
    assert all("/projects/" in path and "graphs/out" in path for path, _, _ in service.requests)
    records = [record for _, _, document in service.requests for record in document["Records"]]  # type: ignore[attr-defined]  # JSON
    assert [base64.b64decode(record["Data"]) for record in records] == [f"m{number}".encode() for number in range(10)]
    assert records[0]["PartitionKey"] == "k"


def test_a_message_with_a_partition_goes_to_that_shard(service: Service) -> None:
    sender = open_sender(spec_of("v3io:///projects/graphs/out"), {"V3IO_API": service.url, "V3IO_ACCESS_KEY": "key"})

    sender.send([Message(b"m", "k", partition=3)])
    sender.close()

    (_, _, document) = service.requests[0]
    assert document["Records"][0]["ShardId"] == 3  # type: ignore[index]  # JSON


def test_a_record_that_is_turned_away_is_an_error(service: Service) -> None:
    service.failed = 1
    sender = open_sender(spec_of("v3io:///projects/graphs/out"), {"V3IO_API": service.url, "V3IO_ACCESS_KEY": "key"})

    with pytest.raises(QueueError, match="1 records were turned away"):
        sender.send([Message(b"m")])
    sender.close()


def test_a_service_that_nobody_named_is_asked_for() -> None:
    with pytest.raises(QueueError) as refused:
        open_sender(spec_of("v3io:///projects/graphs/out"), {})

    assert refused.value.hint == "set V3IO_API"


def test_a_key_that_nobody_gave_is_asked_for(service: Service) -> None:
    with pytest.raises(QueueError) as refused:
        open_sender(spec_of("v3io:///projects/graphs/out"), {"V3IO_API": service.url})

    assert refused.value.hint == "set V3IO_ACCESS_KEY"
