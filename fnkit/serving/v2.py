"""The V2 model server: a class with `load` and `predict` becomes a model that speaks the V2 protocol."""

from __future__ import annotations

import os
from collections.abc import Awaitable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, NoReturn

from fnkit.engine.construct import suspends
from fnkit.engine.event import Event
from fnkit.engine.paths import read_path, write_path
from fnkit.engine.powers import STREAMS
from fnkit.engine.response import Response
from fnkit.errors import MLRunInvalidArgumentError

if TYPE_CHECKING:
    from fnkit.engine.context import Context

_INFER = ("infer", "predict", "infer_dict", "predict_dict")
_HOOKS = ("preprocess", "validate", "predict", "explain", "postprocess")


class V2ModelServer:
    """The base of model servers. Subclasses define `load()` (it sets what `predict` needs) and `predict(request)`, which returns the
    outputs for `request["inputs"]`; they may define `preprocess(request, operation)`, `validate(request, operation)`, `explain(request)`,
    `postprocess(response)`, and `op_NAME(event)` for operations of their own. Each of these may be `async`.

    *model_path* is a local file or folder, relative to the function's code. Further arguments are answered by `get_param`.
    """

    def __init__(
        self,
        context: Context | None = None,
        name: str | None = None,
        model_path: str | None = None,
        model: object = None,
        protocol: str | None = None,
        input_path: str | None = None,
        result_path: str | None = None,
        shard_by_endpoint: bool | None = None,
        **kwargs: object,
    ) -> None:
        self.context = context
        self.name = name or type(self).__name__
        self.version = self.name.partition(":")[2]
        self.model_path = model_path
        self.model = model
        self.protocol = protocol or "v2"
        self.ready = False
        self.error = ""
        self.metrics: dict[str, float] = {}
        self._params = kwargs
        self._input_path = input_path or ""
        self._result_path = result_path or ""

    @property
    def needs_loop(self) -> bool:
        """Whether a method of the model waits for an event loop."""
        names = [*_HOOKS, *(name for name in dir(type(self)) if name.startswith("op_"))]
        return any(suspends(getattr(self, name)) for name in names)

    def post_init(self, mode: str = "sync", **_options: object) -> None:
        """Load the model: now, or with mode `"async"` in a thread, and until it is there requests are refused."""
        if mode == "async":
            Thread(target=self._load_aside, daemon=True).start()
        else:
            self._load()

    def load(self) -> None:
        """Load the model; subclasses say how."""
        if self.model is None:
            raise ValueError(f"{type(self).__name__} has neither a method load(self) nor a model object")

    def get_param(self, key: str, default: object = None) -> object:
        """Return the argument *key* of this model, otherwise the function's parameter, otherwise *default*."""
        if key in self._params:
            return self._params[key]
        return self.context.get_param(key, default) if self.context is not None else default

    def set_metric(self, name: str, value: float) -> None:
        """Keep a number about the model."""
        self.metrics[name] = value

    def get_model(self, suffix: str = "") -> tuple[str, Mapping[str, str]]:
        """Return the model's file, and the other files of its folder by name. *suffix* chooses the file in a folder.

        MLRunInvalidArgumentError for a path that is not local, or without such a file.
        """
        path = _local_path(self.model_path)
        if path.is_file():
            return str(path), {}
        files = sorted(file for file in path.glob("*") if file.is_file()) if path.is_dir() else []
        chosen = [file for file in files if file.name.endswith(suffix)]
        if not chosen:
            wanted = f"a file that ends in {suffix!r}" if suffix else "a model file"
            raise MLRunInvalidArgumentError(f"there is not {wanted} at {path}", hint="check the model_path of the model")
        return str(chosen[0]), {file.name: str(file) for file in files if file != chosen[0]}

    def preprocess(self, request: dict[str, object], operation: str) -> object:
        """Return the request to validate and predict from."""
        return request

    def validate(self, request: object, operation: str) -> object:
        """Return the request if it says `inputs`, a list, as protocol v2 wants; otherwise raise."""
        if self.protocol == "v2":
            need_inputs(request)
        return request

    def predict(self, request: dict[str, object]) -> object:
        """Return the outputs for *request*; subclasses say how."""
        raise NotImplementedError(f"{type(self).__name__} has no method predict(self, request)")

    def explain(self, request: dict[str, object]) -> object:
        """Return why the outputs are what they are; subclasses say how."""
        raise NotImplementedError(f"{type(self).__name__} has no method explain(self, request)")

    def postprocess(self, response: dict[str, object]) -> object:
        """Return the response to send."""
        return response

    async def do_event(self, event: Event) -> object:
        """Return the event with the answer to its operation as the body."""
        whole = event.body
        body = read_path(whole, self._input_path)
        operation = self._operation(event, body)
        result = await self._answer(event, body, operation)
        if result.__class__ in STREAMS:
            return result
        event.body = write_path(whole, self._result_path, result)
        return event

    def _operation(self, event: Event, body: object) -> str:
        operation = event.path.strip("/")
        if not operation and isinstance(body, dict):
            operation = str(body.get("operation", ""))
        return operation or ("" if event.method == "GET" else "infer")

    async def _answer(self, event: Event, body: object, operation: str) -> object:
        event_id = body["id"] if isinstance(body, dict) and "id" in body else event.id
        if operation in _INFER:
            return await self._infer(body, operation, event_id)
        if operation == "explain":
            request = await self._request(body, operation)
            outputs = await _settled(self.explain(request))
            return await _settled(self.postprocess({"id": event_id, "model_name": self.name, "outputs": outputs}))
        if event.method == "GET" and operation == "ready":
            return self._readiness(event_id)
        if event.method == "GET" and not operation:
            return {"name": self.name.partition(":")[0], "model_endpoint_uid": "", "inputs": [], "outputs": []}
        own = getattr(self, f"op_{operation}", None)
        if own is None:
            raise ValueError(f"illegal model operation {operation}, method={event.method}")
        return await _settled(own(event))

    async def _infer(self, body: object, operation: str, event_id: object) -> object:
        if operation.endswith("_dict"):
            raise MLRunInvalidArgumentError(f"the operation {operation} needs a model spec, which the model {self.name} has not")
        request = await self._request(body, operation)
        outputs = await _settled(self.predict(request))
        if outputs.__class__ in STREAMS:
            return outputs
        name = self.name.partition(":")[0]
        response: dict[str, object] = {
            "id": event_id,
            "model_name": name,
            "outputs": outputs,
            "timestamp": str(datetime.now(UTC)),
        }
        return await _settled(self.postprocess(response))

    async def _request(self, body: object, operation: str) -> dict[str, object]:
        if not self.ready:
            raise RuntimeError(self.error or f"model {self.name} is not ready yet")
        request = await _settled(self.preprocess(body, operation))  # type: ignore[arg-type]  # validate refuses what is not a dict
        return await _settled(self.validate(request, operation))  # type: ignore[return-value]  # as above

    def _readiness(self, event_id: object) -> Response:
        if not self.ready:
            return Response(body=b"model not ready", status_code=408)
        return Response(body=f"Model {self.name} is ready (event_id = {event_id})".encode())

    def _load(self) -> None:
        try:
            self.load()
        except Exception as error:
            self.error = f"failed to load model {self.name}"
            raise RuntimeError(self.error) from error
        self.ready = True

    def _load_aside(self) -> None:
        try:
            self._load()
        except RuntimeError as error:
            if self.context is not None:
                self.context.logger.error(f"{error}: {error.__cause__}")


def need_inputs(request: object) -> None:
    """Raise an Exception, the class that clients know, for a request without a list of inputs."""
    if not isinstance(request, Mapping) or "inputs" not in request:
        raise Exception('Expected key "inputs" in request body')
    if not isinstance(request["inputs"], list):
        raise Exception('Expected "inputs" to be a list')


async def _settled(value: object) -> object:
    return await value if isinstance(value, Awaitable) else value


def _local_path(model_path: str | None) -> Path:
    if not model_path:
        _refuse_path("the model has no model_path")
    path = model_path.removeprefix("file://")
    if "://" in path:
        _refuse_path(f"the model_path {model_path} is not local")
    return Path(os.environ.get("LAMBDA_TASK_ROOT", ""), path)


def _refuse_path(message: str) -> NoReturn:
    raise MLRunInvalidArgumentError(
        message, hint="put the file into the project and name it in model_path, or fetch it in load(self)"
    )
