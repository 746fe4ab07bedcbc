"""The part of S3 that keeps a broker's log: objects in this process, with conditional writes and listings; it outlives its client.

The broker of the tests (Tansu) notes in `watermark.json` that a batch of messages takes the next offsets of its partition, and stores the
batch afterwards, as `records/OFFSET.batch`. Where two clients send at once, the later batch may be stored first; who reads the partition in
that moment is given the later one, goes on behind it, and never sees the earlier one, acknowledged as it is. Kafka does no such thing:
what stands behind a message that is still being written cannot be read. So listings leave out what stands behind a batch that has its
offsets and is still to be stored. They await it for a while only: what a broker that is killed has not stored is never stored, and its
offsets stay empty.
"""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

MODIFIED = "Sat, 01 Jan 2022 00:00:00 GMT"


class _Objects(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    objects: dict[str, bytes]
    awaited: dict[str, float]  # batches that have their offsets and are not stored yet, and until when they are awaited
    patience_s: float
    lock: threading.Lock

    def do_GET(self) -> None:
        path, query = self._place()
        if "list-type" in query:
            self._list(f"{path}/", query)
        elif (found := self.objects.get(path)) is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            self._answer(200, found, etag=_etag(found))

    do_HEAD = do_GET

    def do_PUT(self) -> None:
        path, _ = self._place()
        length = int(self.headers.get("content-length", "0"))
        body = self.rfile.read(length)
        if len(body) < length:  # its client was killed in the middle of it
            self.close_connection = True
            return
        with self.lock:
            present = self.objects.get(path)
            stale = self.headers.get("if-none-match") == "*" and present is not None
            expected = self.headers.get("if-match")
            stale |= expected is not None and (present is None or _etag(present) != expected)
            if not stale:
                self._await(path, present, body)
                self.objects[path] = body
        if stale:
            self._answer(412, b"<Error><Code>PreconditionFailed</Code></Error>")
        else:
            self._answer(200, b"", etag=_etag(body))

    def do_DELETE(self) -> None:
        self.objects.pop(self._place()[0], None)
        self._answer(204, b"")

    def _await(self, path: str, before: bytes | None, now: bytes) -> None:
        """Await the batch whose offsets are noted by what *path* held *before* and holds *now*; no longer await *path* itself."""
        self.awaited.pop(path, None)
        folder, found, _ = path.rpartition("/watermark.json")
        if found and (first := _next_offset(before)) < _next_offset(now):
            self.awaited[f"{folder}/records/{first:020}.batch"] = time.monotonic() + self.patience_s

    def _readable(self, start: str) -> list[str]:
        """Return the keys that begin with *start*, without those that stand behind an awaited batch."""
        with self.lock:
            keys = sorted(key for key in self.objects if key.startswith(start))
            awaited = sorted(path for path, until in self.awaited.items() if time.monotonic() < until)
        ends = {path.rpartition("/")[0]: path for path in reversed(awaited)}
        return [key for key in keys if key <= ends.get(key.rpartition("/")[0], key)]

    def _list(self, bucket: str, query: Mapping[str, list[str]]) -> None:
        prefix, delimiter = (query.get(name, [""])[0] for name in ("prefix", "delimiter"))
        start = bucket + prefix
        keys = self._readable(start)
        folders = {_folder(key, start, delimiter) for key in keys} - {""} if delimiter else set()
        contents = "".join(self._entry(key, bucket) for key in keys if not (delimiter and _folder(key, start, delimiter)))
        common = "".join(
            f"<CommonPrefixes><Prefix>{escape(folder[len(bucket) :])}</Prefix></CommonPrefixes>" for folder in sorted(folders)
        )
        head = f"<Name>{escape(bucket[1:-1])}</Name><Prefix>{escape(prefix)}</Prefix><IsTruncated>false</IsTruncated>"
        self._answer(200, f"<ListBucketResult>{head}{contents}{common}</ListBucketResult>".encode())

    def _entry(self, key: str, bucket: str) -> str:
        data = self.objects[key]
        about = f"<LastModified>2022-01-01T00:00:00.000Z</LastModified><ETag>{escape(_etag(data))}</ETag><Size>{len(data)}</Size>"
        return f"<Contents><Key>{escape(key[len(bucket) :])}</Key>{about}</Contents>"

    def _place(self) -> tuple[str, Mapping[str, list[str]]]:
        parts = urlsplit(self.path)
        return unquote(parts.path), parse_qs(parts.query)

    def _answer(self, status: int, body: bytes, *, etag: str = "") -> None:
        self.send_response_only(status)
        self.send_header("content-length", str(len(body)))
        self.send_header("last-modified", MODIFIED)
        if etag:
            self.send_header("etag", etag)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


def _etag(data: bytes) -> str:
    return f'"{hashlib.sha256(data).hexdigest()[:32]}"'


def _next_offset(watermark: bytes | None) -> int:
    """Return the offset that the next batch of a partition takes, by its `watermark.json`."""
    return int(json.loads(watermark)["high"] or 0) if watermark else 0


def _folder(key: str, start: str, delimiter: str) -> str:
    """Return what listings show instead of *key*, if it lies in a folder below *start*."""
    inside, found, _ = key[len(start) :].partition(delimiter)
    return f"{start}{inside}{delimiter}" if found else ""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that was killed breaks its connections: nothing to be told of."""


@contextmanager
def object_store(*, patience_s: float = 10.0) -> Iterator[str]:
    """Yield the endpoint of an empty store on loopback; every bucket is there. *patience_s*: how long a batch of a log is awaited."""
    fields = {"objects": {}, "awaited": {}, "patience_s": patience_s, "lock": threading.Lock()}
    handler = type("Handler", (_Objects,), fields)
    with _Server(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
