"""A drop-in for KServe's router: one InferenceGraph behind an HTTP server of its own.

::

    requests    what a client's bytes mean
    connection  one client: reads requests, writes answers, keeps the limits of time
    front       what the paths are: /readyz, /metrics, redirects of unclean paths, the graph
    metrics     counters and durations in Prometheus' format
    server      listening, signals, draining

The server is written by hand on asyncio's protocols: a router adds its whole cost to every request, and a general server costs more
than the routing itself.
"""
