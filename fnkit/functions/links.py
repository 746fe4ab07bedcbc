"""What a function needs to call the others: the Lambda API of its environment, their names and versions, a client that fits."""

from __future__ import annotations

from _thread import _local
from time import sleep

from fnkit.errors import UsageError
from fnkit.functions.breaker import FIRST_REST_S, THRESHOLD, Breaker
from fnkit.functions.caller import StepCaller
from fnkit.functions.lambda_api import PAYLOAD_LIMIT, LambdaApi
from fnkit.lean import import_module, loads
from fnkit.manifest.model import NO_CALL_OPTIONS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from fnkit.functions.caller import Invoker
    from fnkit.functions.objects import ObjectStore
    from fnkit.manifest.model import CallOptions
    from fnkit.net.client import Client

MARGIN_S = 15.0  # what a cold start and the way may take, on top of the time that the step's function has


class Callers:
    """Makes callers of steps in other functions. *looped*: they wait on the running asyncio loop, else in their thread."""

    def __init__(self, environ: Mapping[str, str], *, looped: bool) -> None:
        self._transport = transport_for(looped=looped)
        self._api, self._limit = _open_invoker(environ, self._transport)
        self._prefix = environ.get("FNKIT_FUNCTION_PREFIX", "")
        self._versions = read_versions(environ)
        self._environ = environ
        self._breakers: dict[object, Breaker] = {}

    def caller(self, step: str, function: str, *, timeout_s: float, call: CallOptions = NO_CALL_OPTIONS) -> StepCaller:
        """Return what calls *step* of the graph's *function*; an answer may take *timeout_s* in all, *call* may say less."""
        return StepCaller(
            self._api,
            step,
            self._prefix + function,
            pause=self._transport.pause,
            qualifier=self._versions.get(function, ""),
            timeout_s=timeout_s,
            call=call,
            breaker=self._breaker(function, call),
            store=self._store,
            payload_limit=self._limit,
        )

    def _breaker(self, function: str, call: CallOptions) -> Breaker:
        """Return the breaker of *function*: its steps share what it can take, as far as they agree on when to leave it alone."""
        threshold = THRESHOLD if call.breaker_threshold is None else call.breaker_threshold
        rest_s = FIRST_REST_S if call.breaker_rest_s is None else call.breaker_rest_s
        return self._breakers.setdefault((function, threshold, rest_s), Breaker(threshold=threshold, rest_s=rest_s))

    def _store(self) -> ObjectStore | None:
        return open_objects(self._environ, self._transport)

    async def close(self) -> None:
        """Close the connections of this thread or loop."""
        await self._transport.client().close()


def _open_invoker(environ: Mapping[str, str], transport: Transport) -> tuple[Invoker, int]:
    """Return what invokes functions, and how many bytes a call may have: HTTP where *environ* has addresses, else the Lambda API."""
    if environ.get("FNKIT_SERVICE_URLS") or environ.get("FNKIT_SERVICE_URL_TEMPLATE"):
        http = import_module("fnkit.functions.http_invoker")  # only containers pay for its import
        invoker: Invoker = http.HttpInvoker(transport.client, http.Addresses.from_environment(environ))
        return invoker, http.PAYLOAD_LIMIT
    return LambdaApi.from_environment(transport.client, calling(environ)), PAYLOAD_LIMIT


def calling(environ: Mapping[str, str]) -> Mapping[str, str]:
    """Return *environ* as the Lambda API is to see it: an emulator has a key of its own for it, and is told no other."""
    key = environ.get("FNKIT_ACCESS_KEY", "")
    own = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": "emulated", "AWS_SESSION_TOKEN": ""}
    return {**environ, **own} if key else environ


def read_versions(environ: Mapping[str, str]) -> dict[str, str]:
    """Return which version of each function is to be called; none named means the latest code. Raises `UsageError`."""
    text = environ.get("FNKIT_VERSIONS", "")
    if not text:
        return {}
    try:
        found = loads(text)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise UsageError(f"FNKIT_VERSIONS is not a JSON object: {text[:80]!r}", hint="deploy the graph again")
    return {str(name): str(version) for name, version in found.items()}


def open_objects(environ: Mapping[str, str], transport: Transport) -> ObjectStore | None:
    """Return the store for large payloads, None where the environment names none. Few calls need it, so few pay for its import."""
    open_store: Callable[..., ObjectStore | None] = import_module("fnkit.functions.objects").open_store
    return open_store(environ, transport.client)


def transport_for(*, looped: bool) -> Transport:
    """Return the client that fits a host with, or without, an event loop."""
    return _looped() if looped else _plain()


class Transport:
    """An HTTP client for the current thread or loop, and a pause that fits it."""

    def __init__(self, client: Callable[[], Client], pause: Callable[[float], Awaitable[None]]) -> None:
        self.client = client
        self.pause = pause


def _plain() -> Transport:
    make_client: Callable[..., Client] = import_module("fnkit.net.client").Client
    connector = import_module("fnkit.net.blocking").connector
    own = _local()  # a client belongs to its thread

    def client() -> Client:
        found: Client | None = getattr(own, "client", None)
        if found is None:
            found = own.client = make_client(connector())
        return found

    async def pause(seconds: float) -> None:
        sleep(seconds)  # noqa: ASYNC251  # there is no event loop here that could do something else

    return Transport(client, pause)


def _looped() -> Transport:
    make_client: Callable[..., Client] = import_module("fnkit.net.client").Client
    one: Client = make_client(import_module("fnkit.net.aio").connector())
    pause: Callable[[float], Awaitable[None]] = import_module("asyncio").sleep
    return Transport(lambda: one, pause)
