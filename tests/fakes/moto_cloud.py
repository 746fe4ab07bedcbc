"""moto's server in this process: an AWS of one's own, empty at its start."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from moto.server import ThreadedMotoServer


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


def reset(url: str) -> None:
    """Empty moto: its state is the process's, not the server's. Its Lambda keeps code without Docker."""
    for path, body in (("reset", b""), ("config", b'{"lambda": {"use_docker": false}}')):
        request = urllib.request.Request(f"{url}/moto-api/{path}", body, {"Content-Type": "application/json"}, method="POST")
        urllib.request.urlopen(request).close()
