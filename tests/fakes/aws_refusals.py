"""An endpoint that answers as AWS does when it refuses, and remembers what it was asked."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Answer = tuple[int, dict[str, str], object]  # status, headers, and a document


class RefusingAws:
    """Gives the *answers* in turn, the last of them from then on; they may be exchanged while it runs."""

    def __init__(self, *answers: Answer) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str, dict[str, str], bytes]] = []  # method, path, headers with small names, body
        self.url = ""
        self._lock = threading.Lock()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Answer:
        with self._lock:
            self.asked.append((method, path, headers, body))
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]


def sqs_refusal(code: str, message: str) -> Answer:
    """Return an error of SQS: a code of its own, and the older one in a header."""
    kind = f"com.amazonaws.sqs#{code}" if code[0].isupper() and "." not in code else code
    return 400, {"x-amzn-query-error": f"{code};Sender"}, {"__type": kind, "message": message}


def json_refusal(code: str, message: str, *, status: int = 400) -> Answer:
    """Return an error of a JSON service."""
    return status, {}, {"__type": code, "message": message}


@contextmanager
def refusing_aws(*answers: Answer) -> Iterator[RefusingAws]:
    """Run the endpoint on a port of its own."""
    aws = RefusingAws(*answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            headers = {name.lower(): value for name, value in self.headers.items()}
            status, more, document = aws.answer(self.command, self.path, headers, body)
            data = json.dumps(document).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/x-amz-json-1.0", **more, "Content-Length": str(len(data))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_POST

        def log_message(self, format: str, *args: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    aws.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield aws
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
