"""A stand-in for the bundle's loop: a small Runtime API client on http.client that does what each event tells it to.

It is packed as `fnkit/runtime/loop.py` into the bundles of the emulator's tests, so it imports the standard library only. An event
`{"do": NAME, ...}` picks an action below; the event of a function URL carries that object as its body.
"""

import http.client
import json
import os
import signal
import socket
import sys
import threading
import time
from base64 import b64decode, b64encode

BASE = "/2018-06-01/runtime/"
PRELUDE_TYPE = "application/vnd.awslambda.http-integration-response"


class Gone(Exception):
    """The peer closed the connection of a streamed answer."""


class Client:
    def __init__(self, host):
        self.host = host
        self.connection = http.client.HTTPConnection(host)

    def next(self):
        self.connection.request("GET", BASE + "invocation/next")
        answer = self.connection.getresponse()
        if answer.status != 200:
            raise ConnectionError(answer.read())
        return answer.getheader("Lambda-Runtime-Aws-Request-Id"), answer.read(), dict(answer.getheaders())

    def post(self, path, body, headers=None):
        self.connection.request("POST", BASE + path, body=body, headers=headers or {})
        answer = self.connection.getresponse()
        return answer.status, answer.read()

    def stream(self, request_id, pieces, *, head=None, fault=None):
        """Post *pieces* as they come; Gone when the emulator hangs up."""
        sock = socket.create_connection(self.host.split(":"))
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        content_type = PRELUDE_TYPE if head is not None else "application/octet-stream"
        lines = [
            f"POST {BASE}invocation/{request_id}/response HTTP/1.1",
            f"Host: {self.host}",
            f"Content-Type: {content_type}",
            "Lambda-Runtime-Function-Response-Mode: streaming",
            "Transfer-Encoding: chunked",
            "Trailer: Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body",
        ]
        sock.sendall("\r\n".join([*lines, "", ""]).encode())
        try:
            if head is not None:
                self.chunk(sock, json.dumps(head).encode() + b"\0" * 8)
            for piece in pieces:
                self.chunk(sock, piece)
            end = "0\r\n"
            if fault is not None:
                body = b64encode(json.dumps(fault).encode()).decode()
                end += f"Lambda-Runtime-Function-Error-Type: {fault['errorType']}\r\n"
                end += f"Lambda-Runtime-Function-Error-Body: {body}\r\n"
            sock.sendall((end + "\r\n").encode())
            if not sock.recv(4096):
                raise Gone
        except (ConnectionError, Gone) as error:
            raise Gone from error
        finally:
            sock.close()

    @staticmethod
    def chunk(sock, piece):
        sock.settimeout(0)
        try:
            if sock.recv(1) == b"":
                raise Gone
        except BlockingIOError:
            pass
        finally:
            sock.settimeout(None)
        sock.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))


def main(bundle, environ):
    host = environ["AWS_LAMBDA_RUNTIME_API"]
    started = float(environ.get("START_DELAY", 0))
    time.sleep(started)
    if environ.get("FAIL_START"):
        Client(host).post(
            "init/error",
            json.dumps(
                {
                    "errorType": "Runtime.ImportModuleError",
                    "errorMessage": "no module named nope",
                    "stackTrace": [f'  File "{bundle}/steps.py", line 3, in <module>\n    import nope\n'],
                }
            ),
            {"Lambda-Runtime-Function-Error-Type": "Runtime.ImportModuleError"},
        )
        return 1
    count = int(environ.get("FNKIT_CONCURRENCY", "1"))
    delay = float(environ.get("THREAD_DELAY", "0"))
    threads = [threading.Thread(target=serve, args=(host, delay)) for _ in range(count - 1)]
    for thread in threads:
        thread.start()
    serve(host)
    return 0


def serve(host, delay=0.0):
    time.sleep(delay)
    client = Client(host)
    while True:
        try:
            request_id, body, headers = client.next()
        except (ConnectionError, OSError, http.client.HTTPException):
            os._exit(0)
        event = json.loads(body)
        work = event
        if "requestContext" in event:
            text = event.get("body") or "{}"
            work = json.loads(b64decode(text) if event.get("isBase64Encoded") else text)
        ACTIONS[work.get("do", "echo") if isinstance(work, dict) else "echo"](client, request_id, event, work, headers)


def answer(client, request_id, value):
    client.post(f"invocation/{request_id}/response", json.dumps(value))


def echo(client, request_id, event, work, headers):
    answer(client, request_id, event)


def reply(client, request_id, event, work, headers):
    answer(client, request_id, work["value"])


def facts(client, request_id, event, work, headers):
    answer(
        client, request_id, {"pid": os.getpid(), "environ": dict(os.environ), "headers": headers, "modules": sorted(sys.modules)}
    )


def nap(client, request_id, event, work, headers):
    time.sleep(work["seconds"])
    answer(client, request_id, {"pid": os.getpid(), "value": work.get("value")})


def meet(client, request_id, event, work, headers):
    """Answer when as many of these run at once as *count* says: each leaves a file, and waits for the others'."""
    open(os.path.join(work["folder"], request_id), "w").close()
    while len(os.listdir(work["folder"])) < work["count"]:
        time.sleep(0.01)
    answer(client, request_id, {"pid": os.getpid(), "value": work.get("value")})


def say(client, request_id, event, work, headers):
    print("a line", work.get("text", ""))
    print("an error line", file=sys.stderr)
    answer(client, request_id, None)


def chatter(client, request_id, event, work, headers):
    sys.stdout.write("x" * work["size"])
    sys.stdout.write("\nend\n")
    sys.stdout.flush()
    answer(client, request_id, None)


def twice(client, request_id, event, work, headers):
    """Answer twice, and tell what the second answer got."""
    answer(client, request_id, 1)
    print("again:", *client.post(f"invocation/{request_id}/response", b"2"))


def fail(client, request_id, event, work, headers):
    error = {"errorType": "ValueError", "errorMessage": "no good", "stackTrace": ["steps.py:7"]}
    client.post(
        f"invocation/{request_id}/error", json.dumps(error), {"Lambda-Runtime-Function-Error-Type": "Function.ValueError"}
    )


def crash(client, request_id, event, work, headers):
    if work.get("signal"):
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(work.get("status", 3))


def grow(client, request_id, event, work, headers):
    hoard = []
    while True:
        hoard.append(b"x" * 4_000_000)
        time.sleep(0.002)


def large(client, request_id, event, work, headers):
    status, body = client.post(f"invocation/{request_id}/response", b'"' + b"x" * work["size"] + b'"')
    print("posted:", status, body.decode().strip())


def stream(client, request_id, event, work, headers):
    """Stream *count* numbered pieces; writes to the file *trace* when it was closed early.

    After each piece it waits for a file of its number in the folder *gate*, if there is one.
    """

    def pieces():
        for number in range(work.get("count", 5)):
            if number:
                time.sleep(work.get("pause", 0))
            yield (f"{work.get('name', 'piece')} {number}\n").encode() * work.get("times", 1)
            while "gate" in work and not os.path.exists(os.path.join(work["gate"], str(number))):
                time.sleep(0.002)
        if work.get("exit"):
            os._exit(1)

    head = work.get("head", {"statusCode": 200, "headers": {"Content-Type": "text/plain"}})
    try:
        client.stream(request_id, pieces(), head=head, fault=work.get("fault"))
    except Gone:
        if work.get("trace"):
            with open(work["trace"], "a") as trace:
                trace.write("closed\n")


def spawn(client, request_id, event, work, headers):
    """Start a process of its own, as users' code may, and tell its id."""
    import subprocess

    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
    answer(client, request_id, {"pid": os.getpid(), "child": child.pid})


def hang(client, request_id, event, work, headers):
    print("hanging", flush=True)
    time.sleep(1000)


ACTIONS = {
    function.__name__: function
    for function in (echo, reply, facts, nap, meet, say, chatter, twice, fail, crash, grow, large, stream, spawn, hang)
}
