"""The steps of the graphs that run on every host."""

import asyncio
import os
import time

from fnkit.errors import MLRunConflictError


class Echo:
    def do(self, body):
        return body


class AsyncEcho:
    async def do(self, body):
        await asyncio.sleep(0)
        return body


class Append:
    def __init__(self, text="!", name=None):
        self.text = text
        self.name = name

    def do(self, body):
        return [*body, f"{self.name}{self.text}"]


def text(body):
    return body.decode() if isinstance(body, bytes) else body


class Ticks:
    """Streams; `fail` says before which chunk it raises."""

    def __init__(self, count=3, fail=-1):
        self.count = count
        self.fail = fail

    def do(self, body):
        for number in range(self.count):
            if number == self.fail:
                raise ValueError(f"chunk {number}")
            yield f"{number}:{text(body)};"


class AsyncTicks(Ticks):
    async def do(self, body):
        for number in range(self.count):
            if number == self.fail:
                raise ValueError(f"chunk {number}")
            await asyncio.sleep(0)
            yield f"{number}:{text(body)};"


class Records:
    def do(self, body):
        for number in range(2):
            yield {"n": number, "body": body}


class Shout:
    def do(self, chunk):
        return chunk.upper()


class Broken:
    def do(self, body):
        raise KeyError(f"no {body}")


class Teapot:
    def __init__(self, context=None):
        self.context = context

    def do(self, body):
        return self.context.Response(
            body=body,
            status_code=418,
            content_type="text/x-tea",
            headers={"X-Kind": "earl grey", "Set-Cookie": "leaf=1; Path=/"},
        )


class StreamedTea(Teapot):
    def do(self, body):
        chunks = (f"{number}:{text(body)};" for number in range(2))
        return self.context.Response(body=chunks, status_code=201, content_type="text/x-tea", headers={"X-Kind": "oolong"})


class BadHeader:
    def __init__(self, context=None):
        self.context = context

    def do(self, body):
        return self.context.Response(body=body, headers={"X-Bad": "two\r\nlines"})


class Count:
    def do(self, body):
        return {**body, "n": body["n"] + 1}


class Again:
    def do(self, body):
        return body

    def select_outlets(self, body):
        return ["count"] if body["n"] < body["until"] else ["last"]


class Parity:
    def do(self, body):
        return body

    def select_outlets(self, body):
        return ["even" if body["n"] % 2 == 0 else "odd"]


class Mark:
    def __init__(self, name=None):
        self.name = name

    def do(self, body):
        return {**body, "by": self.name}


class Headers:
    def do_event(self, event):
        event.body = {
            "method": event.method,
            "path": event.path,
            "query": getattr(event, "query", None) or {},
            "cookie": event.headers.get("cookie", ""),
            "x": event.headers.get("x-test", ""),
        }
        return event


class Home:
    """Answers with the name of the function that it runs in."""

    def do_event(self, event):
        event.body = os.environ.get("AWS_LAMBDA_FUNCTION_NAME", "")
        return event


class Key:
    """Answers with the key of its visit, without the event's id."""

    def do_event(self, event):
        event.body = event.idempotency_key.removeprefix(event.id) + ";"
        return event


class Sorted:
    def do(self, bodies):
        return sorted(bodies)


class Taken(MLRunConflictError):
    pass


class Refuses:
    def do(self, body):
        raise Taken(f"{body} is taken", hint="wait a moment")


class Reraises:
    """Handles what went wrong by its base, and says it in its own way."""

    def do_event(self, event):
        error = event.error
        if isinstance(error, MLRunConflictError) and error.hint:
            raise error
        return event


class Bytes:
    def do(self, body):
        return bytes(body)


class Slow:
    """Streams a chunk, then sleeps for an hour."""

    def do(self, body):
        try:
            yield "first"
            time.sleep(3600)
        finally:
            print("closed", flush=True)


class Empty:
    def do(self, body):
        return ""


class Waiting:
    async def do(self, body):
        await asyncio.sleep(1)


class Sleeping:
    def do(self, body):
        time.sleep(0.2)
        return body


class StuckTicks:
    """Streams a chunk, and never another one."""

    async def do(self, body):
        yield f"0:{text(body)};"
        await asyncio.Event().wait()


class Busy(Exception):
    """The base of what may be tried again."""


class NotNow(Busy):
    pass


class NotYet(NotNow):
    pass


class Flaky:
    """Fails twice for each event, after it has spoilt the body, and answers with the keys that it was called under."""

    def __init__(self):
        self.keys = {}

    def do_event(self, event):
        event.body["n"] += 1
        keys = self.keys.setdefault(event.id, [])
        keys.append(event.idempotency_key.removeprefix(event.id))
        if len(keys) < 3:
            raise NotYet("come again")
        event.body["keys"] = self.keys.pop(event.id)
        return event


class Round:
    """Notes the key of each round."""

    def do_event(self, event):
        event.body.setdefault("keys", []).append(event.idempotency_key.removeprefix(event.id))
        return event


class Endless:
    def do(self, body):
        return body

    def select_outlets(self, body):
        return ["round"]


class Caught:
    def do_event(self, event):
        event.body = {
            "error": type(event.error).__name__,
            "is": isinstance(event.error, RuntimeError),
            "origin": event.origin_state,
            "key": event.idempotency_key.removeprefix(event.id),
            "keys": event.body["keys"],
        }
        return event
