"""Steps of the emulator's benchmark: nothing but the way there and back."""

import os


class Echo:
    def do(self, body):
        if body.get("exit"):
            os._exit(1)
        return body


class Chunks:
    def do(self, body):
        for _ in range(body["chunks"]):
            yield "x" * 49 + "\n"


class AsyncEcho:
    async def do(self, body):
        return body


class AsyncChunks:
    async def do(self, body):
        for _ in range(body["chunks"]):
            yield "x" * 49 + "\n"
