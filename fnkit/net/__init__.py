"""An HTTP/1.1 client of the standard library alone, written once for asyncio and for plain sockets.

::

    client      what callers use: Client, Reply, the pool of idle connections
    http1       what bytes mean: heads and bodies, without any I/O
    url         where a URL leads
    stream      the seam: reading, writing and closing a connection
    aio         connections of an asyncio loop
    blocking    connections of plain sockets, whose coroutines never suspend
    errors      what can go wrong

Importing `fnkit.net.client` and `fnkit.net.blocking` does not import asyncio or ssl.
"""
