"""The end of a server that listens."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from fnkit_emulator.listening import finish_listening, stop_listening


class Noting(asyncio.Protocol):
    """A connection that closes at once, and tells that it was there."""

    def __init__(self, made: list[asyncio.BaseTransport]) -> None:
        self._made = made

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._made.append(transport)
        transport.close()


async def listening(made: list[asyncio.BaseTransport]) -> tuple[asyncio.Server, socket.socket]:
    """Return a server and a client whose connection the server's loop has not seen yet."""
    server = await asyncio.get_running_loop().create_server(lambda: Noting(made), "127.0.0.1", 0)
    client = socket.create_connection(server.sockets[0].getsockname()[:2])
    client.settimeout(60)
    return server, client


async def test_a_connection_that_has_just_been_accepted_begins() -> None:
    made: list[asyncio.BaseTransport] = []
    server, client = await listening(made)
    while len(asyncio.all_tasks()) == 1:  # noqa: ASYNC110 - until asyncio has accepted, and the task for the rest has not begun
        await asyncio.sleep(0)

    await finish_listening(server)

    assert len(made) == 1
    assert not server.is_serving()
    with client:
        assert await asyncio.to_thread(client.recv, 1) == b""


async def test_nothing_is_accepted_from_then_on() -> None:
    made: list[asyncio.BaseTransport] = []
    server, client = await listening(made)

    stop_listening(server)
    for _ in range(10):
        await asyncio.sleep(0)

    assert made == []
    assert not server.is_serving()
    with client, contextlib.suppress(ConnectionResetError):
        assert await asyncio.to_thread(client.recv, 1) == b""
