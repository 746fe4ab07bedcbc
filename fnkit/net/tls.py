"""TLS for connections that plain sockets open; a module of its own because importing `ssl` costs milliseconds."""

from __future__ import annotations

import ssl

TYPE_CHECKING = False
if TYPE_CHECKING:
    import socket


def wrap(sock: socket.socket, host: str, context: ssl.SSLContext | None) -> socket.socket:
    """Return *sock* with TLS on it; the certificate must be valid for *host*. Raises `OSError` (`ssl.SSLError`)."""
    return (context or ssl.create_default_context()).wrap_socket(sock, server_hostname=host)
