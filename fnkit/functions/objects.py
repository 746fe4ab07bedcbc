"""Where a call's payload goes that is larger than the Lambda API takes: a folder locally, a bucket on AWS.

The caller stores the payload under a random key and sends the key alone, `{"fnkit": {"object": KEY}}`; it removes the object once the other
function has begun to answer. What a caller that dies leaves behind is removed by age: files in the folder at the next start, objects in the
bucket by a rule of the bucket on the prefix `fnkit-objects/`.
"""

from __future__ import annotations

import os
from hashlib import sha256
from time import time

from fnkit.errors import InvokeError
from fnkit.functions.sigv4 import Credentials, Signer
from fnkit.net.errors import NetError
from fnkit.records import Protocol

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from fnkit.net.client import Client

PREFIX = "fnkit-objects/"
_LARGEST = 512 * 1024 * 1024


class ObjectStore(Protocol):
    """Keeps payloads for a moment. Each method raises `InvokeError` when the store does not do it."""

    async def put(self, data: bytes) -> str:
        """Store *data* and return its key."""
        ...

    async def get(self, key: str) -> bytes:
        """Return what is stored under *key*."""
        ...

    async def remove(self, key: str) -> None:
        """Remove what is stored under *key*, if it is there."""
        ...


class FolderStore:
    """Files in *folder*, which is made when it is missing."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    async def put(self, data: bytes) -> str:
        key = os.urandom(16).hex()
        try:
            os.makedirs(self._folder, mode=0o700, exist_ok=True)
            with open(os.path.join(self._folder, key), "xb") as file:  # noqa: ASYNC230  # a local disk
                file.write(data)
        except OSError as error:
            raise InvokeError(f"a large payload cannot be stored: {error}", where="FNKIT_OBJECT_DIR") from error
        return key

    async def get(self, key: str) -> bytes:
        try:
            with open(self._path(key), "rb") as file:  # noqa: ASYNC230
                return file.read()
        except OSError as error:
            raise InvokeError(f"a large payload cannot be read: {error}", where="FNKIT_OBJECT_DIR") from error

    async def remove(self, key: str) -> None:
        try:
            os.unlink(self._path(key))
        except OSError:
            return

    def _path(self, key: str) -> str:
        if not key.isalnum():
            raise InvokeError(f"{key[:80]!r} is no key of a large payload")
        return os.path.join(self._folder, key)


class BucketStore:
    """Objects in the S3 bucket at *url*, by requests that *signer* signs. *clients* gives the client of this thread or loop."""

    def __init__(
        self, clients: Callable[[], Client], url: str, signer: Signer | None, *, clock: Callable[[], float] = time
    ) -> None:
        self._clients = clients
        self._url = url.rstrip("/")
        self._signer = signer
        self._clock = clock

    async def put(self, data: bytes) -> str:
        key = os.urandom(16).hex()
        await self._request("PUT", key, data, 200)
        return key

    async def get(self, key: str) -> bytes:
        return await self._request("GET", key, b"", 200)

    async def remove(self, key: str) -> None:
        await self._request("DELETE", key, b"", 204)

    async def _request(self, method: str, key: str, data: bytes, wanted: int) -> bytes:
        if not key.isalnum():
            raise InvokeError(f"{key[:80]!r} is no key of a large payload")
        scheme, _, rest = self._url.partition("://")
        host, _, base = rest.partition("/")
        path = f"/{base}/{PREFIX}{key}" if base else f"/{PREFIX}{key}"
        headers = [("X-Amz-Content-Sha256", sha256(data).hexdigest())]
        if self._signer is not None:
            headers += self._signer.sign(method, host, path, {}, headers, data, self._clock())
        try:
            reply = await self._clients().request(method, f"{scheme}://{host}{path}", headers=headers, body=data, timeout_s=60.0)
            body = await reply.read(_LARGEST)
        except NetError as error:
            raise InvokeError(f"the bucket for large payloads cannot be reached: {error}", where=self._url) from error
        if reply.status != wanted:
            said = body[:300].decode("utf-8", "replace")
            raise InvokeError(
                f"the bucket for large payloads answered {reply.status} to {method}: {said}",
                where=self._url,
                hint="see that the bucket is there and that the role may read and write its objects fnkit-objects/*",
            )
        return body


def open_store(environ: Mapping[str, str], clients: Callable[[], Client]) -> ObjectStore | None:
    """Return the store that the environment names (`FNKIT_OBJECT_DIR`, `FNKIT_OBJECT_BUCKET`), None without any."""
    if folder := environ.get("FNKIT_OBJECT_DIR"):
        return FolderStore(folder)
    bucket = environ.get("FNKIT_OBJECT_BUCKET")
    if not bucket:
        return None
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    suffix = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    endpoint = environ.get("AWS_ENDPOINT_URL_S3") or environ.get("AWS_ENDPOINT_URL") or ""
    url = f"{endpoint.rstrip('/')}/{bucket}" if endpoint else f"https://{bucket}.s3.{region}.{suffix}"
    credentials = Credentials.from_environment(environ)
    return BucketStore(clients, url, Signer(credentials, region, "s3") if credentials else None)
