"""The store of the tests' Kafka broker lets nobody read past a message that is still being written, and keeps whole objects only."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from urllib.parse import urlsplit

import pytest

from tests.fakes.object_store import object_store

PARTITION = "/log/clusters/c/topics/t/partitions/0000000000"
Place = tuple[str, int]


@pytest.fixture
def place() -> Iterator[Place]:
    with object_store() as endpoint:
        parts = urlsplit(endpoint)
        yield parts.hostname or "", parts.port or 0


def ask(client: HTTPConnection, method: str, path: str, body: bytes = b"") -> tuple[int, bytes]:
    client.request(method, path, body)
    answer = client.getresponse()
    return answer.status, answer.read()


def note_next(client: HTTPConnection, offset: int) -> None:
    """Note that the next batch of the partition begins at *offset*."""
    assert ask(client, "PUT", f"{PARTITION}/watermark.json", json.dumps({"low": None, "high": offset or None}).encode())[0] == 200


def store(client: HTTPConnection, offset: int) -> None:
    assert ask(client, "PUT", f"{PARTITION}/records/{offset:020}.batch", b"batch")[0] == 200


def listed(client: HTTPConnection) -> list[int]:
    _, found = ask(client, "GET", f"/log?list-type=2&prefix={PARTITION.removeprefix('/log/')}/records/")
    return [int(offset) for offset in re.findall(rb"(\d+)\.batch", found)]


def test_nothing_behind_a_batch_that_has_its_offsets_is_listed_before_that_batch_is_stored(place: Place) -> None:
    with closing(HTTPConnection(*place)) as client:
        for offset in (0, 2, 3, 5):
            note_next(client, offset)
        store(client, 0)
        store(client, 3)
        early = listed(client)

        store(client, 2)

        assert early == [0]
        assert listed(client) == [0, 2, 3]


def test_other_partitions_are_listed_meanwhile(place: Place) -> None:
    with closing(HTTPConnection(*place)) as client:
        other = PARTITION.replace("0000000000", "0000000001")
        note_next(client, 1)

        ask(client, "PUT", f"{other}/records/{7:020}.batch", b"batch")
        _, found = ask(client, "GET", "/log?list-type=2&prefix=clusters/")

        assert f"{other.removeprefix('/log/')}/records/{7:020}.batch".encode() in found


def test_a_batch_that_does_not_come_is_awaited_no_longer() -> None:
    with object_store(patience_s=0.0) as endpoint, closing(HTTPConnection(urlsplit(endpoint).netloc)) as client:
        note_next(client, 1)
        note_next(client, 2)

        store(client, 1)

        assert listed(client) == [1]


def test_an_object_that_breaks_off_is_not_stored(place: Place) -> None:
    with socket.create_connection(place) as half:
        half.sendall(b"PUT /log/object HTTP/1.1\r\ncontent-length: 10\r\n\r\nhal")
        half.shutdown(socket.SHUT_WR)
        said = half.recv(1)

    with closing(HTTPConnection(*place)) as client:
        assert said == b""
        assert ask(client, "GET", "/log/object")[0] == 404
