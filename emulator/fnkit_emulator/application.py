"""The ASGI application: who answers which path, the beginning and the end.

    /                        function URL of the entry function
    /_functions/NAME/...     function URL of the function NAME
    /2015-03-31/functions... the Lambda API (also 2021-10-31 and 2021-11-15)
    /_fnkit/...              the emulator itself: health, functions, bundles

The `Host` header has to name this machine, so that no web page can reach the emulator through a name of its own (DNS rebinding); the
Lambda API and the emulator's own paths refuse requests that a foreign web page makes in a browser.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from urllib.parse import unquote, urlsplit

from fnkit_emulator import describe_functions
from fnkit_emulator.asgi import Receive, Scope, Send, header, respond, respond_json
from fnkit_emulator.deployed import HANDLER, Deployed, variables
from fnkit_emulator.function_url import FunctionUrl
from fnkit_emulator.journal import Journal, LogLine, Notice, Ready
from fnkit_emulator.lambda_api import LambdaApi
from fnkit_emulator.launcher import Launcher, ZygoteCommand, ZygoteLauncher
from fnkit_emulator.options import Options
from fnkit_emulator.pool import Pool
from fnkit_emulator.preload import modules_to_preload
from fnkit_emulator.sources.attached import Attached
from fnkit_emulator.sources.plan import Claim, SourcePlan

_LAMBDA_API = ("/2015-03-31/", "/2019-09-25/", "/2021-10-31/", "/2021-11-15/")
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})
_READY_S = 5.0  # how long the zygotes may hold up the start
_FORBIDDEN = "Forbidden. For troubleshooting Function URL authorization issues, see: https://docs.aws.amazon.com/lambda/latest/dg/urls-auth.html"

NewLauncher = Callable[[Deployed, str, str], Launcher]


class Emulator:
    """The ASGI application over the functions *deployed*, which listens at *base_url* ("http://127.0.0.1:8080/")."""

    def __init__(
        self,
        deployed: Sequence[Deployed],
        options: Options,
        journal: Journal,
        *,
        base_url: str,
        entry: str,
        new_launcher: NewLauncher | None = None,
        sources: SourcePlan | None = None,
        claimed: Claim | None = None,
    ) -> None:
        self._options, self._journal, self._base_url = options, journal, base_url
        self._access_key = f"AKIA{secrets.token_hex(8).upper()}"
        self._deployed = {function.name: function for function in deployed}
        self._entry = entry
        self._new_launcher = new_launcher or self._zygote
        self._pools: dict[str, Pool] = {}
        self._urls: dict[str, FunctionUrl] = {}
        self._api: LambdaApi | None = None
        self._plan = sources or SourcePlan(entry, Path(options.queue_dir))
        self._claimed = claimed
        self._attached: Attached | None = None
        self._requests = 0
        self._draining = False
        self._quiet = asyncio.Event()
        self._reaper: asyncio.Task[None] | None = None

    @property
    def urls(self) -> dict[str, str]:
        """The function URLs by function name, the entry function's first."""
        others = {name: f"{self._base_url}_functions/{name}/" for name in self._deployed if name != self._entry}
        return {self._entry: self._base_url, **others}

    # ---- beginning and end

    async def start(self) -> None:
        """Prepare every function, and say that the emulator is ready."""
        launchers = []
        for deployed in self._deployed.values():
            launcher = self._new_launcher(deployed, self._base_url.rstrip("/"), self._access_key)
            launchers.append(launcher)
            pool = Pool(deployed, self._options, launcher, self._journal)
            self._pools[deployed.name] = pool
            self._urls[deployed.name] = FunctionUrl(pool, self._journal)
        self._attached = Attached(self._plan, self._pools, self._options, self._journal, claimed=self._claimed)
        self._api = LambdaApi(
            self._pools, self._options, self._journal, urls=self.urls, access_key=self._access_key, events=self._attached
        )
        zygotes = [launcher for launcher in launchers if isinstance(launcher, ZygoteLauncher)]
        for zygote in zygotes:
            zygote.prepare()
        if zygotes:
            await asyncio.wait([asyncio.ensure_future(zygote.ready.wait()) for zygote in zygotes], timeout=_READY_S)
        self._reaper = asyncio.get_running_loop().create_task(self._reap())
        self._journal(Ready(self._base_url, self.urls))
        self._attached.start()

    async def drain(self) -> None:
        """Refuse new requests, take no more from queues, and wait until what is in flight is answered, as long as the options say."""
        self._draining = True
        try:
            async with asyncio.timeout(self._options.drain_s):
                if self._attached is not None:
                    await self._attached.stop()
                self._settle()
                await self._quiet.wait()
        except TimeoutError:
            left = max(self._requests, sum(pool.in_flight for pool in self._pools.values()))
            self._journal(Notice(f"{left} requests were not done after {self._options.drain_s:g} s and are cut off"))

    async def close(self) -> None:
        """End every worker process."""
        if self._reaper is not None:
            self._reaper.cancel()
        if self._attached is not None:
            await self._attached.close()
        await asyncio.gather(*(pool.close() for pool in self._pools.values()))

    def _settle(self) -> None:
        assert self._api is not None
        if self._draining and self._requests == 0 and not any(pool.in_flight for pool in self._pools.values()):
            self._quiet.set()

    async def _reap(self) -> None:
        while True:
            await asyncio.sleep(min(max(self._options.idle_s / 4, 0.05), 30.0))
            for pool in self._pools.values():
                pool.reap_idle()

    def _zygote(self, deployed: Deployed, endpoint: str, access_key: str) -> ZygoteLauncher:
        def tell(line: str) -> None:
            self._journal(LogLine(deployed.name, line))

        command = ZygoteCommand(
            python=deployed.python,
            bundle=deployed.root,
            runtime=self._options.runtime,
            handler=HANDLER,
            fork=self._options.fork,
            modules=modules_to_preload(deployed.root),
            environ=variables(deployed, self._options, endpoint=endpoint, access_key=access_key),
        )
        return ZygoteLauncher(command, tell)

    # ---- requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
        elif scope["type"] == "http":
            self._requests += 1
            try:
                await self._answer(scope, receive, send)
            except Exception as error:
                self._journal(Notice(f"a fault of the emulator itself: {error!r}", kind="failure"))
                raise
            finally:
                self._requests -= 1
                if self._draining:
                    self._settle()

    async def _lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "lifespan.startup":
                try:
                    await self.start()
                except OSError as error:
                    self._journal(Notice(f"the emulator cannot start: {error}", kind="failure"))
                    raise
                await send({"type": "lifespan.startup.complete"})
            else:
                await self.close()
                await send({"type": "lifespan.shutdown.complete"})
                return

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        host, path = header(scope, b"host"), scope["raw_path"].decode("latin-1")
        if not names_loopback(host):
            self._journal(Notice(f"403: a request for the host {host!r} is refused", kind="refused"))
            await respond_json(send, 403, {"Message": _FORBIDDEN}, {"x-amzn-ErrorType": "AccessDeniedException"})
            return
        is_api = path.startswith(_LAMBDA_API)
        if (is_api or path.startswith("/_fnkit/")) and not _same_origin(header(scope, b"origin")):
            await respond_json(send, 403, {"Message": "a foreign web page may not do this"})
        elif self._draining and self._access_key not in header(scope, b"authorization"):
            # What functions call to finish their own events still works.
            await respond_json(send, 503, {"Message": "the emulator is ending"}, {"connection": "close"})
        elif is_api:
            assert self._api is not None
            await self._api(scope, receive, send)
        elif path.startswith("/_fnkit/"):
            await self._control(path, send)
        else:
            await self._url(path)(scope, receive, send)

    def _url(self, path: str) -> Callable[[Scope, Receive, Send], Awaitable[None]]:
        if not path.startswith("/_functions/"):
            return self._urls[self._entry]
        raw_name = path.split("/")[2]
        url = self._urls.get(unquote(raw_name))
        if url is None:
            return _unknown_url
        prefix = f"/_functions/{raw_name}"

        async def call(scope: Scope, receive: Receive, send: Send) -> None:
            await url(scope, receive, send, prefix=prefix)

        return call

    async def _control(self, path: str, send: Send) -> None:
        """Answer the emulator's own paths."""
        bundle = path.removeprefix(f"/{describe_functions.BUNDLES_PATH}").removesuffix(".zip")
        if path == "/_fnkit/health":
            await respond_json(send, 200, {"status": "ok"})
        elif path == "/_fnkit/functions":
            await respond_json(send, 200, {"functions": [self._facts(pool) for pool in self._pools.values()]})
        elif path.startswith(f"/{describe_functions.BUNDLES_PATH}") and bundle in self._deployed:
            content = await asyncio.to_thread(self._deployed[bundle].zip_path.read_bytes)
            await respond(send, 200, content, [(b"content-type", b"application/zip")])
        else:
            await respond_json(send, 404, {"Message": f"the emulator has no {path}"})

    def _facts(self, pool: Pool) -> dict[str, object]:
        environments = [
            {"id": one.id, "state": one.state, "pid": one.pid, "events": len(one.running), "memory_mb": one.rss_mb()}
            for one in pool.environments.values()
        ]
        name = pool.deployed.name
        return {"name": name, "url": self.urls[name], "in_flight": pool.in_flight, "environments": environments}


def names_loopback(host: str) -> bool:
    """Tell whether the Host header *host* names this machine: loopback addresses, localhost and names under it."""
    name = host.strip().lower()
    if (not name.endswith("]") and name.count(":") == 1) or "]:" in name:
        name = name.rpartition(":")[0]
    return name in _LOOPBACK or name.endswith(".localhost")


def _same_origin(origin: str) -> bool:
    return not origin or names_loopback(urlsplit(origin).netloc)


async def _unknown_url(_scope: Scope, _receive: Receive, send: Send) -> None:
    await respond_json(send, 403, {"Message": None}, {"x-amzn-ErrorType": "AccessDeniedException"})
