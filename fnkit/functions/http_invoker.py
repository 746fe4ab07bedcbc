"""Call the other functions of a graph over plain HTTP, where each is a service of its own: containers, in a cluster or on one machine.

What travels is what travels through the Lambda API: the envelope of a call to `POST /_fnkit/steps`, frames back. Where a function is says
its environment::

    FNKIT_SERVICE_URLS          a JSON object of functions and their URLs, which comes first
    FNKIT_SERVICE_URL_TEMPLATE  "http://{name}.{namespace}.svc.cluster.local" for all others

In both `{namespace}` is `FNKIT_NAMESPACE`, or what the cluster has told the container.
"""

from __future__ import annotations

from fnkit.errors import UsageError
from fnkit.functions.failures import CallError, CallThrottled, CallTimeout
from fnkit.functions.lambda_api import Pieces, Reading, Retryable
from fnkit.lean import loads
from fnkit.net.errors import ConnectError, ConnectionClosed, NetError, TimeoutReached

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping

    from fnkit.net.client import Client, Reply

STEPS_PATH = "/_fnkit/steps"
FAILURE_HEADER = "fnkit-failure"  # on an answer of status 500: the function failed outside of its steps, and would again
PAYLOAD_LIMIT = 100 * 1024 * 1024  # bytes of a call, as the server takes them unless it is told otherwise
NAMESPACE_FILE = "/var/run/secrets/kubernetes.io/serviceaccount/namespace"
_URLS, _TEMPLATE = "FNKIT_SERVICE_URLS", "FNKIT_SERVICE_URL_TEMPLATE"
_ERROR_LIMIT = 64 * 1024


class Addresses:
    """Where the functions of the graph are."""

    def __init__(self, urls: Mapping[str, str], template: str, namespace: str) -> None:
        self._urls = urls
        self._template = template
        self._namespace = namespace

    @classmethod
    def from_environment(cls, environ: Mapping[str, str], *, namespace_file: str = NAMESPACE_FILE) -> Addresses:
        """Return the addresses that *environ* says. Raises `UsageError`."""
        template = environ.get(_TEMPLATE, "")
        urls = _read_urls(environ.get(_URLS, ""))
        namespace = ""
        if "{namespace}" in template or any("{namespace}" in url for url in urls.values()):
            namespace = environ.get("FNKIT_NAMESPACE") or _text(namespace_file) or "default"
        try:
            template.format(name="name", namespace=namespace)
        except (KeyError, IndexError, ValueError, AttributeError):
            raise UsageError(
                f"{template!r} is no template", where=_TEMPLATE, hint="write http://{name}.{namespace}.svc.cluster.local"
            ) from None
        if template and "{name}" not in template:
            raise UsageError(f"{template!r} is the same for all functions", where=_TEMPLATE, hint="write {name} in it")
        return cls(urls, template, namespace)

    def url(self, function: str) -> str:
        """Return the base URL of *function*, without a slash at its end. Raises `CallError` where nothing says it."""
        if url := self._urls.get(function):
            return url.replace("{namespace}", self._namespace).rstrip("/")
        if not self._template:
            raise CallError(f"nobody says where function '{function}' is", hint=f"name its URL in {_URLS}")
        return self._template.replace("{name}", function.lower()).replace("{namespace}", self._namespace).rstrip("/")


def _read_urls(text: str) -> dict[str, str]:
    try:
        urls = loads(text) if text else {}
    except ValueError as error:
        raise UsageError(f"not JSON: {error}", where=_URLS) from error
    if not isinstance(urls, dict) or not all(isinstance(url, str) for url in urls.values()):
        raise UsageError("want an object of strings", where=_URLS, hint='for example {"tokenize": "http://tokenize:8080"}')
    return urls


def _text(path: str) -> str:
    try:
        with open(path, encoding="utf-8") as file:
            return file.read().strip()
    except OSError:
        return ""


class HttpInvoker:
    """Invokes functions that are HTTP services. *clients* returns the HTTP client of the current thread or loop."""

    def __init__(self, clients: Callable[[], Client], addresses: Addresses) -> None:
        self._clients = clients
        self._addresses = addresses

    async def invoke(
        self, function: str, payload: bytes, *, qualifier: str = "", trace: str = "", timeout_s: float | None = None
    ) -> Pieces:
        """Call *function* and return the stream of its answer, once the service has accepted the call. There are no versions.

        Raises `Retryable` for a service that is not there, is full, or breaks the connection, otherwise `CallError`; so does the stream.
        """
        headers = [("Content-Type", "application/json")]
        if trace:
            headers.append(("X-Amzn-Trace-Id", trace))
        url = self._addresses.url(function) + STEPS_PATH
        try:
            reply = await self._clients().request("POST", url, headers=headers, body=payload, timeout_s=timeout_s)
        except TimeoutReached as error:
            raise CallTimeout(f"function '{function}' did not answer within {timeout_s or 0:g} s") from error
        except ConnectError as error:
            raise Retryable(CallThrottled(f"function '{function}' cannot be reached: {error}")) from error
        except ConnectionClosed as error:
            raise Retryable(CallError(f"the connection to function '{function}' broke: {error}")) from error
        except NetError as error:
            raise CallError(f"function '{function}' cannot be called: {error}") from error
        if reply.status != 200:
            raise _refusal(reply, await _body(reply), function)
        return Pieces(reply, _pieces(reply, function))


async def _body(reply: Reply) -> bytes:
    try:
        return await reply.read(_ERROR_LIMIT)
    except NetError:
        return b""  # the status says enough


def _refusal(reply: Reply, body: bytes, function: str) -> Exception:
    """Return what the status of a refused call means: the function's own failure, or something in between."""
    text = body[:200].decode("utf-8", "replace").strip() or reply.reason
    if reply.header(FAILURE_HEADER):
        return CallError(f"function '{function}' failed: {_described(body) or text}")
    what = f"function '{function}': {text} (status {reply.status})"
    if reply.status == 504:
        return CallTimeout(what)
    if reply.status == 404:
        return CallError(what, hint="deploy the graph again: the service is missing, or is not this graph's")
    if reply.status == 413:
        return CallError(what, hint="send less between the steps, or raise FNKIT_MAX_BODY_MB of the function")
    error = CallThrottled(what) if reply.status in (429, 503) else CallError(what)
    return Retryable(error) if reply.status == 429 or reply.status >= 500 else error


def _described(body: bytes) -> str:
    try:
        found = loads(body)
        return f"{found['errorType']}: {found['errorMessage']}"
    except (ValueError, KeyError, TypeError):
        return ""


async def _pieces(reply: Reply, function: str) -> AsyncGenerator[bytes, None]:
    try:
        with Reading(function):
            async for data in reply.chunks():
                yield data
    finally:
        await reply.close()
