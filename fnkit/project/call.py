"""Call a deployed function over HTTP and wait for its whole answer."""

from __future__ import annotations

import http.client
import json
import os
import re
import socket
import time
import urllib.parse
from collections.abc import Mapping

from fnkit.errors import InvokeError
from fnkit.functions.sigv4 import Credentials, Signer

_AWS_HOST = re.compile(r"[a-z0-9]+\.lambda-url\.([a-z0-9-]+)\.on\.aws")
_CONNECTIONS = {"http": http.client.HTTPConnection, "https": http.client.HTTPSConnection}


def call_url(url: str, path: str, body: object, *, method: str | None, headers: Mapping[str, str], timeout_s: float) -> object:
    """Send *body* and return the whole answer: parsed where its media type is JSON, bytes otherwise.

    Text and bytes are sent as they are, other values as JSON. RuntimeError `bad function response STATUS: TEXT` for a status of
    400 and above; InvokeError where nothing answers. Function URLs of AWS are signed with the credentials of the environment.
    """
    data, content_type = _encode(body)
    sent = {"Content-Type": content_type, **headers} if data is not None and content_type else dict(headers)
    address = f"{url.rstrip('/')}/{path.lstrip('/')}"
    verb = method or ("GET" if data is None else "POST")
    parts = urllib.parse.urlsplit(address)
    if parts.scheme not in _CONNECTIONS or not parts.hostname:
        raise InvokeError(f"{url!r} is no HTTP address")
    connection = _CONNECTIONS[parts.scheme](parts.hostname, parts.port, timeout=timeout_s)
    wanted = urllib.parse.urlunsplit(("", "", parts.path or "/", parts.query, ""))
    try:
        connection.request(verb, wanted, data, {**sent, **_signature(parts, verb, sent, data or b"")})
        answer = connection.getresponse()
        text = answer.read()
    except ConnectionRefusedError as error:
        raise InvokeError("nothing answers there", where=address, hint="is the function still deployed?") from error
    except (OSError, http.client.HTTPException) as error:
        said = f"{type(error).__name__}: {error}"
        raise InvokeError(f"the call broke off: {said}", where=address, hint="the function's log may say more") from error
    finally:
        connection.close()
    if answer.status >= 400:
        raise RuntimeError(f"bad function response {answer.status}: {text.decode('utf-8', 'replace')}")
    return _decode(text, answer.headers.get_content_type())


def is_listening(url: str) -> bool:
    """Tell whether something accepts connections at *url*."""
    parts = urllib.parse.urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        with socket.create_connection((parts.hostname or "", port), timeout=5):
            return True
    except OSError:
        return False


def _encode(body: object) -> tuple[bytes | None, str]:
    if body is None:
        return None, ""
    if isinstance(body, str):
        return body.encode("utf-8"), ""
    if isinstance(body, bytes | bytearray | memoryview):
        return bytes(body), ""
    try:
        return json.dumps(body).encode("utf-8"), "application/json"
    except (TypeError, ValueError) as error:
        raise InvokeError(f"the body cannot be sent as JSON: {error}", hint="pass text, bytes or plain JSON values") from error


def _decode(data: bytes, media_type: str) -> object:
    if media_type != "application/json":
        return data
    try:
        return json.loads(data)
    except ValueError:
        return data


def _signature(parts: urllib.parse.SplitResult, method: str, headers: Mapping[str, str], body: bytes) -> dict[str, str]:
    """Return the headers that sign a call of a function URL on AWS; none for other hosts, or without credentials."""
    found = _AWS_HOST.fullmatch(parts.hostname or "")
    credentials = Credentials.from_environment(os.environ)
    if found is None or credentials is None:
        return {}
    query = dict(urllib.parse.parse_qsl(parts.query, keep_blank_values=True))
    signer = Signer(credentials, found[1], "lambda")
    return dict(signer.sign(method, parts.netloc, parts.path, query, tuple(headers.items()), body, time.time()))
