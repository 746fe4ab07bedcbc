"""Ports for programs that must be told theirs."""

from __future__ import annotations

import itertools
import os
import socket

_FIRST, _EACH, _WORKERS = 20_000, 1_000, 12  # below those that the system gives to clients, and to servers without a wish
_turns = itertools.count(os.getpid())


def free_port() -> int:
    """Return a port of loopback that nobody uses, and that nobody gets who does not ask for it by its number.

    Each worker of the tests has ports of its own, and gets another one each time. A client can never be given its server's port as its
    own, which would connect it with itself while the server is away.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
    for _ in range(_EACH):
        port = _FIRST + worker * _EACH + next(_turns) % _EACH
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("no port is free")
