"""The end of a server that listens: no connection falls between its being accepted and its having a transport."""

from __future__ import annotations

import asyncio


async def finish_listening(server: asyncio.Server) -> None:
    """Do what `stop_listening` does, and return when the protocols of all accepted connections know of them."""
    stop_listening(server)
    for _ in range(3):  # the task of asyncio's accept begins; its transport is made; the protocol is told
        await asyncio.sleep(0)


def stop_listening(server: asyncio.Server) -> None:
    """Close *server* for new connections; those that it has accepted begin first.

    asyncio refuses to make the transport of an accepted connection once its server is closed, and nobody closes the socket then: the
    other end would wait for an answer for ever. So nothing more is accepted from now on, and the server is closed behind the beginnings
    that asyncio has scheduled already.
    """
    loop = asyncio.get_running_loop()
    for listener in server.sockets:
        loop.remove_reader(listener.fileno())
    loop.call_soon(server.close)
