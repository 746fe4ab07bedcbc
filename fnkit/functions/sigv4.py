"""Sign requests to AWS (Signature Version 4), with the standard library alone.

The signature covers method, path, query, headers and the hash of the body. The key is derived from secret, day, region and
service, and is good for that day: it is kept. The rules are those of "Create a signed AWS API request".
"""

from __future__ import annotations

from hashlib import sha256
from hmac import digest
from time import gmtime, strftime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_ALGORITHM = "AWS4-HMAC-SHA256"


class Credentials:
    """Who signs. *token* is the session token of temporary credentials, or `""`."""

    __slots__ = ("access_key", "secret_key", "token")

    def __init__(self, access_key: str, secret_key: str, token: str = "") -> None:
        self.access_key = access_key
        self.secret_key = secret_key
        self.token = token

    @classmethod
    def from_environment(cls, environ: Mapping[str, str]) -> Credentials | None:
        """Return the credentials that a function finds in its environment, None without any."""
        access_key, secret_key = environ.get("AWS_ACCESS_KEY_ID", ""), environ.get("AWS_SECRET_ACCESS_KEY", "")
        if not access_key or not secret_key:
            return None
        return cls(access_key, secret_key, environ.get("AWS_SESSION_TOKEN", ""))


def quote(text: str, *, safe: str = "") -> str:
    """Percent-encode *text* as AWS asks: everything but letters, digits, `-._~` and *safe*."""
    keep = _UNRESERVED.union(safe.encode())
    return "".join(chr(byte) if byte in keep else f"%{byte:02X}" for byte in text.encode())


class Signer:
    """Signs for one region and one service. Belongs to one thread, or one loop."""

    def __init__(self, credentials: Credentials, region: str, service: str) -> None:
        self._credentials = credentials
        self._region = region
        self._service = service
        self._key: tuple[str, bytes] = ("", b"")

    def sign(
        self,
        method: str,
        host: str,
        path: str,
        query: Mapping[str, str],
        headers: Iterable[tuple[str, str]],
        body: bytes,
        now: float,
    ) -> list[tuple[str, str]]:
        """Return the headers that make the request authentic, in addition to *headers*.

        *path* is the path as it is sent, percent-encoded; *query* holds plain text; *now* is seconds since the epoch.
        Every one of *headers* is signed, and `host`.
        """
        moment = strftime("%Y%m%dT%H%M%SZ", gmtime(now))
        added = [("X-Amz-Date", moment)]
        if self._credentials.token:
            added.append(("X-Amz-Security-Token", self._credentials.token))
        signed = {"host": host} | {name.lower(): " ".join(value.split()) for name, value in (*headers, *added)}
        names = ";".join(sorted(signed))
        request = "\n".join(
            [
                method,
                quote(path, safe="/"),
                "&".join(sorted(f"{quote(name)}={quote(value)}" for name, value in query.items())),
                *(f"{name}:{signed[name]}" for name in sorted(signed)),
                "",
                names,
                sha256(body).hexdigest(),
            ]
        )
        scope = f"{moment[:8]}/{self._region}/{self._service}/aws4_request"
        text = f"{_ALGORITHM}\n{moment}\n{scope}\n{sha256(request.encode()).hexdigest()}"
        signature = digest(self._key_of(moment[:8]), text.encode(), "sha256").hex()
        credential = f"Credential={self._credentials.access_key}/{scope}"
        added.append(("Authorization", f"{_ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}"))
        return added

    def _key_of(self, day: str) -> bytes:
        if self._key[0] != day:
            key = f"AWS4{self._credentials.secret_key}".encode()
            for part in (day, self._region, self._service, "aws4_request"):
                key = digest(key, part.encode(), "sha256")
            self._key = (day, key)
        return self._key[1]
