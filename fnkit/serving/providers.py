"""Who answers a prompt: a service that speaks OpenAI's protocol, or a mock for trying a graph out."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Protocol, cast

from fnkit.errors import MLRunInvalidArgumentError

if TYPE_CHECKING:
    from fnkit.net.client import Client, Reply

Secrets = Callable[[str], str | None]
Messages = Sequence[Mapping[str, object]]
Answer = dict[str, object]

_MOCK = "You are using a mock model provider, no actual inference is performed."
_OPENAI = "https://api.openai.com/v1"
_TIMEOUT_S = 120.0


class Provider(Protocol):
    """Answers messages: `{"answer": text, "usage": {...}}`, or a stream of the text's pieces."""

    supports_streaming: bool

    def invoke(self, messages: Messages, config: Mapping[str, object]) -> Answer: ...

    async def invoke_async(self, messages: Messages, config: Mapping[str, object]) -> Answer: ...

    def stream(self, messages: Messages, config: Mapping[str, object]) -> Iterator[str]: ...


def provider_for(url: str, config: Mapping[str, object], secrets: Secrets | None) -> Provider:
    """Return the provider that *url* names: `mock://...` or `openai://MODEL`.

    For `openai` the key is the secret OPENAI_API_KEY, and OPENAI_BASE_URL may name any service with the same protocol.
    MLRunInvalidArgumentError for any other scheme.
    """
    scheme, found, model = url.partition("://")
    if scheme == "mock" and found:
        return MockProvider()
    if scheme == "openai" and model:
        return OpenAIProvider(model, config, secrets or os.environ.get)
    raise MLRunInvalidArgumentError(
        f"there is no model provider for the URL {url!r}",
        hint="use 'openai://MODEL' (with OPENAI_BASE_URL for other services), 'mock://', or define predict in a subclass of LLModel",
    )


class MockProvider:
    """Answers always the same, without any model."""

    supports_streaming = True

    def invoke(self, messages: Messages, config: Mapping[str, object]) -> Answer:
        """Return the one answer."""
        return {"answer": _MOCK, "usage": {"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}}

    async def invoke_async(self, messages: Messages, config: Mapping[str, object]) -> Answer:
        """Return the one answer."""
        return self.invoke(messages, config)

    def stream(self, messages: Messages, config: Mapping[str, object]) -> Iterator[str]:
        """Yield the one answer word by word."""
        for word in _MOCK.split():
            yield f"{word} "


class OpenAIProvider:
    """Speaks OpenAI's chat completions. RuntimeError for an answer that is not 200: the message says what the service said."""

    supports_streaming = True

    def __init__(self, model: str, config: Mapping[str, object], secrets: Secrets) -> None:
        self._model = model
        self._config = dict(config)
        self._secrets = secrets

    def invoke(self, messages: Messages, config: Mapping[str, object]) -> Answer:
        """Return the whole answer."""
        blocking = import_module("fnkit.net.blocking")
        return cast(Answer, blocking.run(self._ask(blocking.connector(), messages, config)))

    async def invoke_async(self, messages: Messages, config: Mapping[str, object]) -> Answer:
        """Return the whole answer, on the event loop."""
        return await self._ask(import_module("fnkit.net.aio").connector(), messages, config)

    def stream(self, messages: Messages, config: Mapping[str, object]) -> Iterator[str]:
        """Yield the answer's pieces as they come."""
        blocking = import_module("fnkit.net.blocking")
        client: Client = _client(blocking.connector())
        reply: Reply = blocking.run(self._request(client, messages, {**config, "stream": True}))
        try:
            if reply.status != 200:
                raise _refused(reply.status, blocking.run(reply.read()))
            chunks = reply.chunks()
            yield from _pieces(iter(lambda: blocking.run(_next(chunks)), None))
        finally:
            blocking.run(reply.close())
            blocking.run(client.close())

    async def _ask(self, connector: object, messages: Messages, config: Mapping[str, object]) -> Answer:
        client = _client(connector)
        try:
            reply = await self._request(client, messages, config)
            content = await reply.read()
        finally:
            await client.close()
        if reply.status != 200:
            raise _refused(reply.status, content)
        answer = json.loads(content)
        return {"answer": answer["choices"][0]["message"]["content"], "usage": answer.get("usage", {})}

    async def _request(self, client: Client, messages: Messages, config: Mapping[str, object]) -> Reply:
        base = (self._secrets("OPENAI_BASE_URL") or _OPENAI).rstrip("/")
        key = self._secrets("OPENAI_API_KEY")
        headers = [("Content-Type", "application/json"), *([("Authorization", f"Bearer {key}")] if key else [])]
        body = {**self._config, **config, "model": self._model, "messages": list(messages)}
        return await client.request(
            "POST", f"{base}/chat/completions", headers=headers, body=json.dumps(body).encode(), timeout_s=_TIMEOUT_S
        )


def _client(connector: object) -> Client:
    return cast("Client", import_module("fnkit.net.client").Client(connector))


async def _next(chunks: object) -> bytes | None:
    try:
        return cast(bytes, await chunks.__anext__())  # type: ignore[attr-defined]  # an async iterator of bytes
    except StopAsyncIteration:
        return None


def _pieces(chunks: Iterator[bytes]) -> Iterator[str]:
    """Yield the text in the server-sent events that *chunks* are cut from."""
    rest = b""
    for chunk in chunks:
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            text = line.strip().removeprefix(b"data:").strip()
            if not line.startswith(b"data:") or text == b"[DONE]":
                continue
            for choice in json.loads(text).get("choices", ()):
                piece = choice.get("delta", {}).get("content")
                if piece:
                    yield piece


def _refused(status: int, content: bytes) -> RuntimeError:
    return RuntimeError(f"the model provider answered {status}: {content[:2000].decode('utf-8', 'replace')}")
