"""Steps that tell which trace they belong to."""


class Traced:
    def __init__(self, name=None):
        self.name = name

    def do_event(self, event):
        headers = {name.lower(): value for name, value in event.headers.items()}
        traces = headers.get("traceparent", "none"), headers.get("x-amzn-trace-id", "none").split(";")[0]
        print("traced", self.name, *traces, event.idempotency_key.removeprefix(event.id), flush=True)
        return event


class Other(Traced):
    """Another class, so that it gets another function."""
