"""Steps that the tests of the emulator run."""

import asyncio
import os
import sys
import time


class Stream:
    """Streams as many chunks as the body asks for; tells when its generator is closed."""

    def __init__(self, context=None, name=None):
        self.name = name

    async def do(self, body):
        try:
            for number in range(body.get("chunks", 5)):
                if number:
                    await asyncio.sleep(body.get("pause", 0.5))
                yield f"{body.get('name', 'chunk')} {number}\n" * body.get("times", 1)
            if body.get("raise"):
                raise ValueError("broken in mid-stream")
        except (GeneratorExit, asyncio.CancelledError):
            print(f"generator closed at {time.time()}")
            raise


class SyncStream:
    """The same without an event loop."""

    def __init__(self, context=None, name=None):
        self.name = name

    def do(self, body):
        try:
            for number in range(body.get("chunks", 5)):
                if number:
                    time.sleep(body.get("pause", 0.5))
                yield f"{body.get('name', 'chunk')} {number}\n" * body.get("times", 1)
            if body.get("raise"):
                raise ValueError("broken in mid-stream")
        finally:
            print(f"generator closed at {time.time()}")


class Work:
    """Does what the body says, and answers with one value."""

    def __init__(self, context=None, name=None):
        self.name = name

    def do(self, body):
        action = body.get("do", "pid")
        if action == "exit":
            os._exit(4)
        if action == "raise":
            raise RuntimeError("no good")
        if action == "sleep":
            time.sleep(body["seconds"])
        if action == "meet":
            open(os.path.join(body["folder"], str(os.getpid())), "w").close()
            while len(os.listdir(body["folder"])) < body["count"]:
                time.sleep(0.01)
        print(f"worked on {action}", file=sys.stderr)
        return {"pid": os.getpid(), "name": body.get("name")}
