"""Connections of plain sockets."""

from __future__ import annotations

import socket
import threading

from fnkit.net.blocking import SocketStream, end_wait, run

PATIENCE_S = 30


def test_another_thread_can_end_what_a_thread_waits_for() -> None:
    ours, theirs = socket.socketpair()
    stream, found = SocketStream(ours), []
    reader = threading.Thread(target=lambda: found.append(run(stream.read())), daemon=True)

    with theirs:
        reader.start()
        assert reader.ident is not None
        while not found and reader.is_alive():  # it may just be about to read
            end_wait(reader.ident)
            reader.join(0.01)
        reader.join(PATIENCE_S)
    stream.close()

    assert found == [b""]


def test_a_thread_that_waits_for_nothing_is_left_alone() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        stream = SocketStream(ours)
        theirs.sendall(b"one")
        assert run(stream.read()) == b"one"

        end_wait(threading.get_ident())
        theirs.sendall(b"two")

        assert run(stream.read()) == b"two"
