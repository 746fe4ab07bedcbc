"""Steps that move much data."""


class Blow:
    def do(self, body):
        return {"text": "x" * body["size"]}


class Count:
    def do(self, body):
        return {"size": len(body["text"])}


class Pour:
    def do(self, body):
        for _ in range(body["chunks"]):
            yield "x" * body["size"]


class Pass:
    def do(self, chunk):
        return chunk
