"""The model classes of the observed cases, with fnkit's imports."""

from __future__ import annotations

from typing import Any

from fnkit.serving import Model, ModelRunnerSelector, V2ModelServer


class Scaler(V2ModelServer):
    """Multiply the inputs."""

    def load(self) -> None:
        self.k = self.get_param("k", 1)

    def predict(self, request: Any) -> Any:
        return [value * self.k for value in request["inputs"]]

    def explain(self, request: Any) -> Any:
        return {"why": len(request["inputs"])}

    def op_stats(self, event: Any) -> Any:
        return {"k": self.k, "method": str(getattr(event.method, "value", event.method))}


class Wrapped(Scaler):
    """Change request and response."""

    def preprocess(self, request: Any, operation: Any) -> Any:
        request["inputs"] = [value + 1 for value in request["inputs"]]
        return request

    def postprocess(self, response: Any) -> Any:
        response["extra"] = "post"
        return response


class Angry(V2ModelServer):
    """Raise on every request."""

    def load(self) -> None:
        pass

    def predict(self, request: Any) -> Any:
        raise ArithmeticError("no luck")


class AddM(Model):
    """Add to a field."""

    def __init__(self, name: str, add: int = 0, **more: Any) -> None:
        super().__init__(name=name, **more)
        self.add = add

    def predict(self, body: Any, **more: Any) -> Any:
        body["v"] += self.add
        return body

    async def predict_async(self, body: Any, **more: Any) -> Any:
        body["v"] += self.add
        body["aio"] = True
        return body


class Talker(Model):
    """Stream the words of a field."""

    def predict(self, body: Any, **more: Any) -> Any:
        yield from body["text"].split()


class ByField(ModelRunnerSelector):
    """Select what the body says."""

    def select_models(self, event: Any, available_models: Any) -> Any:
        return event.body.get("use")


class Router2(ModelRunnerSelector):
    """Choose outlets by the body."""

    def select_outlets(self, body: Any) -> Any:
        return body.get("go")
