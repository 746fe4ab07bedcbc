"""Find out whether the router runs inside an Istio mesh, as KServe's router does before its first call of an https URL."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from fnkit.inference_graph.calls import CallFailed
from fnkit.inference_graph.go_text import call_fault
from fnkit.net.errors import ConnectError, NetError

if TYPE_CHECKING:
    from fnkit.net.client import Client

_SIDECAR = "http://localhost:15000"
_PATIENCE_S = 3.0


class IstioMesh:
    """Asks the sidecar once. Nobody listening, or an answer other than 200: there is no mesh.

    Any other failure fails the request that asked, and counts as no mesh from then on.
    """

    __slots__ = ("_client", "_known", "_lock", "_url")

    def __init__(self, client: Client, url: str = _SIDECAR) -> None:
        self._client = client
        self._url = url
        self._known: bool | None = None
        self._lock = asyncio.Lock()

    async def __call__(self) -> bool:
        """Return whether the sidecar is there. Raises `CallFailed` at most once."""
        if self._known is None:
            async with self._lock:
                if self._known is None:
                    self._known = await self._ask()
        return self._known

    async def _ask(self) -> bool:
        try:
            async with await self._client.request("GET", self._url, timeout_s=_PATIENCE_S) as reply:
                return reply.status == 200
        except ConnectError:
            return False
        except NetError as error:
            self._known = False
            raise CallFailed(call_fault(error, self._url).replace("Post ", "Get ", 1)) from error
