"""moto's server, in this process or in one of its own: an AWS of one's own, empty at its start."""

from __future__ import annotations

import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from moto.server import ThreadedMotoServer

from tests.fakes.patience import wait_until
from tests.fakes.ports import free_port


@contextmanager
def moto_cloud() -> Iterator[str]:
    """Yield the URL of a moto server that listens on a port of its own."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    url = f"http://{host}:{port}"
    reset(url)
    try:
        yield url
    finally:
        server.stop()


_SERVE = """
import sys
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

run_simple("127.0.0.1", int(sys.argv[1]), DomainDispatcherApplication(create_backend_app), threaded=sys.argv[2] == "threads")
"""


@contextmanager
def moto_process(*, threads: bool = True) -> Iterator[str]:
    """Yield the URL of a moto server that is a process of its own, so that a load on it does not wait for the tests.

    Without *threads* it takes one request after the other: its Kinesis loses records that are put at the same time.
    """
    port = free_port()
    command = [sys.executable, "-c", _SERVE, str(port), "threads" if threads else "none"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            wait_until(lambda: _answers(f"http://127.0.0.1:{port}/moto-api/"), "moto's server")
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()


def _answers(url: str) -> bool:
    with suppress(OSError):
        urllib.request.urlopen(url).close()
        return True
    return False


def reset(url: str) -> None:
    """Empty moto: its state is the process's, not the server's. Its Lambda keeps code without Docker."""
    for path, body in (("reset", b""), ("config", b'{"lambda": {"use_docker": false}}')):
        request = urllib.request.Request(f"{url}/moto-api/{path}", body, {"Content-Type": "application/json"}, method="POST")
        urllib.request.urlopen(request).close()
