"""The part of the Lambda API that callers of functions need, for boto3 with `endpoint_url` and for the functions themselves.

Signatures are not verified: the emulator has no users. Answers and errors have the shapes of the service, so that botocore raises its own
exceptions (`ResourceNotFoundException` and so on).
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from collections.abc import Mapping
from urllib.parse import parse_qs, unquote

from fnkit.errors import FnkitError
from fnkit_emulator import describe_functions, event_stream, limits
from fnkit_emulator.api_error import ApiError
from fnkit_emulator.asgi import (
    ClientGone,
    Departure,
    Receive,
    Scope,
    Send,
    TooLarge,
    end_stream,
    header,
    read_body,
    respond,
    respond_json,
    send_part,
    start_stream,
)
from fnkit_emulator.event_invoke import describe_config, read_config
from fnkit_emulator.function_url import CLIENT_LEFT, report
from fnkit_emulator.invocation import Invocation
from fnkit_emulator.journal import Journal, Notice
from fnkit_emulator.options import Options
from fnkit_emulator.pool import Pool, Throttled
from fnkit_emulator.sources.asynchronous import EventInvokeConfig
from fnkit_emulator.sources.attached import Attached

_FUNCTION = re.compile(
    r"/(?P<version>2015-03-31|2019-09-25|2021-10-31|2021-11-15)/functions/(?P<name>[^/]+)"
    r"(?:/(?P<verb>invocations|response-streaming-invocations|configuration|url|urls|event-invoke-config))?/?"
)
_LIST = re.compile(r"/2015-03-31/functions/?")
_TYPES = ("Event", "RequestResponse", "DryRun")


class LambdaApi:
    """The Lambda API over *pools*, by function name. *urls* are the function URLs; *events* takes asynchronous invocations."""

    def __init__(
        self,
        pools: Mapping[str, Pool],
        options: Options,
        journal: Journal,
        *,
        urls: Mapping[str, str],
        access_key: str,
        events: Attached,
    ) -> None:
        self._pools, self._options, self._journal, self._urls = pools, options, journal, urls
        self._access_key, self._events = access_key, events

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._route(scope, receive, send)
        except ClientGone:
            return
        except ApiError as error:
            await respond_json(send, error.status, error.fields(), {"x-amzn-ErrorType": error.code})

    async def _route(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, method = scope["raw_path"].decode("latin-1"), scope["method"]
        if method == "GET" and _LIST.fullmatch(path):
            functions = [describe_functions.configuration(pool.deployed) for pool in self._pools.values()]
            await respond_json(send, 200, {"Functions": functions})
            return
        match = _FUNCTION.fullmatch(path)
        if match is None:
            raise ApiError(404, "UnknownOperationException", f"the emulator has no {method} {path}")
        pool = self._find(unquote(match["name"]), scope)
        if method == "POST" and match["verb"] == "invocations":
            await self._invoke(pool, scope, receive, send)
        elif method == "POST" and match["verb"] == "response-streaming-invocations":
            await self._invoke_streaming(pool, scope, receive, send)
        elif match["verb"] == "event-invoke-config" and method in ("GET", "PUT", "POST", "DELETE"):
            await self._configure(pool, scope, receive, send)
        elif method == "GET":
            await respond_json(send, 200, self._described(pool, match["verb"]))
        else:
            raise ApiError(404, "UnknownOperationException", f"the emulator has no {method} {path}")

    def _find(self, name: str, scope: Scope) -> Pool:
        """Return the pool of the function that *name* (a name, an ARN, either with a qualifier) means."""
        bare = name.rsplit(":function:", maxsplit=1)[-1]
        bare, _, qualifier = bare.removeprefix("function:").partition(":")
        asked = parse_qs(scope["query_string"].decode("latin-1")).get("Qualifier", [qualifier])[0]
        arn = describe_functions.arn(bare, self._options.region)
        if bare not in self._pools or asked not in ("", "$LATEST", "live"):
            raise ApiError(404, "ResourceNotFoundException", f"Function not found: {arn}{f':{asked}' if asked else ''}")
        return self._pools[bare]

    def _described(self, pool: Pool, verb: str | None) -> Mapping[str, object]:
        url = self._urls[pool.deployed.name]
        if verb == "url":
            return describe_functions.url_config(pool.deployed, url)
        if verb == "urls":
            return {"FunctionUrlConfigs": [describe_functions.url_config(pool.deployed, url)]}
        if verb == "configuration":
            return describe_functions.configuration(pool.deployed)
        return describe_functions.function(pool.deployed, self._urls)

    # ---- Invoke

    async def _invoke(self, pool: Pool, scope: Scope, receive: Receive, send: Send) -> None:
        kind = self._invocation_type(scope)
        limit = limits.ASYNC_PAYLOAD if kind == "Event" else limits.PAYLOAD
        invocation = await self._read_event(scope, receive, limit)
        if kind == "DryRun":
            await respond(send, 204, b"")
            return
        if kind == "Event":
            self._accept(pool, invocation)
            await respond(send, 202, b"", [_request_id(invocation)])
            return
        self._submit(pool, invocation)
        payload = await invocation.read_all()
        headers = [(b"content-type", b"application/json"), (b"x-amz-executed-version", b"$LATEST"), _request_id(invocation)]
        if invocation.fault is not None:
            headers.append((b"x-amz-function-error", b"Unhandled"))
            payload = invocation.fault.as_json(invocation.request_id)
        if invocation.want_log_tail:
            headers.append((b"x-amz-log-result", log_result(pool, invocation)))
        await respond(send, 200, payload, headers)
        self._journal(report(pool, invocation, 200))

    # ---- InvokeWithResponseStream

    async def _invoke_streaming(self, pool: Pool, scope: Scope, receive: Receive, send: Send) -> None:
        kind = self._invocation_type(scope)
        invocation = await self._read_event(scope, receive, limits.PAYLOAD)
        if kind == "DryRun":
            await respond(send, 204, b"")
            return
        if kind == "Event":
            raise ApiError(400, "InvalidParameterValueException", "InvokeWithResponseStream has no invocation type Event")
        self._submit(pool, invocation)
        with Departure(receive, invocation.abandon) as departure:
            await invocation.started()
            await start_stream(send, 200, [*_STREAM_HEADERS, _request_id(invocation)])
            while data := await invocation.read():
                await send_part(send, event_stream.payload_chunk(data))
                invocation.chunks += 1
            if not departure.left:
                await send_part(send, self._completion(pool, invocation))
                await end_stream(send)
        self._journal(report(pool, invocation, CLIENT_LEFT if departure.left else 200))

    def _completion(self, pool: Pool, invocation: Invocation) -> bytes:
        logs = log_result(pool, invocation).decode("ascii") if invocation.want_log_tail else ""
        if invocation.fault is None:
            return event_stream.invoke_complete(log_result=logs)
        details = invocation.fault.as_json(invocation.request_id).decode("utf-8", "replace")
        return event_stream.invoke_complete(error_code="Unhandled", error_details=details, log_result=logs)

    # ---- what both share

    def _invocation_type(self, scope: Scope) -> str:
        kind = header(scope, b"x-amz-invocation-type") or "RequestResponse"
        if kind not in _TYPES:
            raise ApiError(400, "InvalidParameterValueException", f"Unsupported invocation type {kind}")
        return kind

    async def _read_event(self, scope: Scope, receive: Receive, limit: int) -> Invocation:
        try:
            payload = await read_body(receive, limit=limit, discard=limits.DISCARD) or b"{}"
        except TooLarge:
            message = f"Request must be smaller than {limit} bytes for the InvokeFunction operation"
            raise ApiError(413, "RequestTooLargeException", message) from None
        # What the functions send each other is JSON of ours; decoding megabytes of it would cost more than the call.
        if self._access_key not in header(scope, b"authorization"):
            check_json(payload)
        return Invocation(
            payload,
            trace_id=header(scope, b"x-amzn-trace-id"),
            client_context=client_context(header(scope, b"x-amz-client-context")),
            want_log_tail=header(scope, b"x-amz-log-type") == "Tail",
        )

    def _submit(self, pool: Pool, invocation: Invocation) -> None:
        try:
            pool.submit(invocation)
        except Throttled:
            reason = "ReservedFunctionConcurrentInvocationLimitExceeded"
            raise ApiError(429, "TooManyRequestsException", "Rate Exceeded.", reason=reason) from None

    # ---- asynchronous invocations

    def _accept(self, pool: Pool, invocation: Invocation) -> None:
        try:
            self._events.accept(pool, invocation)
        except (FnkitError, OSError) as error:
            self._journal(Notice(f"an asynchronous event cannot be stored: {error}", pool.deployed.name, "failure"))
            raise ApiError(500, "ServiceException", "the event cannot be stored", kind="Service") from error

    async def _configure(self, pool: Pool, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer the four operations on the configuration of asynchronous invocations."""
        name, method = pool.deployed.name, scope["method"]
        known = self._events.configs.get(name)
        if method in ("PUT", "POST"):
            base = known if known is not None and method == "POST" else EventInvokeConfig()
            document = await read_body(receive, limit=limits.ASYNC_PAYLOAD, discard=limits.DISCARD)
            known = self._events.configs[name] = read_config(document, base, functions=self._pools)
        elif known is None:
            message = f"The function {pool.deployed.arn} doesn't have an EventInvokeConfig"
            raise ApiError(404, "ResourceNotFoundException", message)
        elif method == "DELETE":
            del self._events.configs[name]
            await respond(send, 204, b"")
            return
        await respond_json(send, 200, describe_config(pool.deployed.arn, known))


_STREAM_HEADERS = (
    (b"content-type", b"application/vnd.amazon.eventstream"),
    (b"x-amz-executed-version", b"$LATEST"),
)


def check_json(payload: bytes) -> None:
    """Raise the API's error if *payload* is not JSON."""
    try:
        json.loads(payload)
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "InvalidRequestContentException", f"Could not parse request body into json: {error}") from None


def client_context(encoded: str) -> str:
    """Return the JSON of the base64 header X-Amz-Client-Context, on one line; "" if there is none."""
    if not encoded:
        return ""
    try:
        return json.dumps(json.loads(b64decode(encoded, validate=True)))
    except ValueError:
        raise ApiError(
            400, "InvalidRequestContentException", "Client context must be a valid Base64-encoded JSON object."
        ) from None


def log_result(pool: Pool, invocation: Invocation) -> bytes:
    """Return the last 4 KB of the event's log in base64, between the lines that Lambda itself writes."""
    request_id, ms = invocation.request_id, invocation.seconds * 1000
    lines = [f"START RequestId: {request_id} Version: $LATEST\n".encode(), invocation.log_tail]
    if invocation.log_tail and not invocation.log_tail.endswith(b"\n"):
        lines.append(b"\n")
    facts = [
        f"REPORT RequestId: {request_id}",
        f"Duration: {ms:.2f} ms",
        f"Billed Duration: {int(ms) + 1} ms",
        f"Memory Size: {pool.deployed.function.memory_mb} MB",
        f"Max Memory Used: {invocation.memory_mb} MB",
    ]
    if invocation.cold:
        facts.append(f"Init Duration: {invocation.init_ms:.2f} ms")
    lines.append(f"END RequestId: {request_id}\n{chr(9).join(facts)}\t\n".encode())
    return b64encode(b"".join(lines)[-limits.LOG_TAIL :])


def _request_id(invocation: Invocation) -> tuple[bytes, bytes]:
    return b"x-amzn-requestid", invocation.request_id.encode("ascii")
