"""The protocols of model services, spoken for a `fnkit.serving.V2ModelServer`.

KServe's V1 protocol asks `{"instances": [...]}` at `/v1/models/NAME:predict` and gets `{"predictions": [...]}`; V2 asks
`{"inputs": [...]}` at `/v2/models/NAME/infer` and gets `{"model_name": ..., "outputs": [...]}`. The server itself knows operations
(`/infer`, `/explain`, `/ready`) and `inputs`. A request without such a path is told apart by its body.
"""

from __future__ import annotations

import re
from json import dumps, loads
from typing import TYPE_CHECKING

from fnkit.engine.response import WireResponse

if TYPE_CHECKING:
    from fnkit.engine.event import Event
    from fnkit.engine.topology import FlowTopology

_PATH = re.compile(r"/v[12](?:/models/[^/:]+(?:/versions/[^/:]+)?|/health)?(?:[:/](predict|infer|explain|ready|live))?/?")
_OPERATIONS = {"predict": "/infer", "infer": "/infer", "explain": "/explain", "ready": "/ready", "live": "/ready"}


def is_model(step: object) -> bool:
    """Tell whether the object *step* is a model server; by name, so that no function without models loads them."""
    return any(kind.__name__ == "V2ModelServer" and kind.__module__.startswith("fnkit.serving") for kind in type(step).__mro__)


async def ask_model(flow: FlowTopology, event: Event) -> WireResponse:
    """Answer *event*, in either protocol, by *flow*, whose one step is a model server."""
    path = _PATH.fullmatch(event.path)
    if path is not None:
        event.path = _OPERATIONS[path[1]] if path[1] else "/ready"
    request = _with_instances(event.body)
    if request is None:
        return await flow(event)
    event.body = {**{key: value for key, value in request.items() if key != "instances"}, "inputs": request["instances"]}
    return _as_predictions(await flow(event))


def _with_instances(body: object) -> dict[str, object] | None:
    """Return the request of *body* if it speaks V1."""
    if not isinstance(body, bytes | str) or not body:
        return None
    try:
        request = loads(body)
    except (ValueError, RecursionError):
        return None  # the flow says what is wrong with it
    return request if isinstance(request, dict) and "instances" in request and "inputs" not in request else None


def _as_predictions(response: WireResponse) -> WireResponse:
    if response.status != 200 or not isinstance(response.body, bytes):
        return response
    try:
        answer = loads(response.body)
    except ValueError:
        return response
    if not isinstance(answer, dict) or "outputs" not in answer:
        return response
    return WireResponse(200, response.headers, dumps({"predictions": answer["outputs"]}).encode(), response.cookies)
