"""Whatever a manifest says and whatever body is sent, there is an answer or a clear error: never a fault of ours, never a hang."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fnkit.engine import Event, FlowTopology, compile_flow
from fnkit.errors import FnkitError
from fnkit.manifest.model import Flow, Function, Manifest, Router, Step
from tests.fakes import engine as steps_of
from tests.fakes.engine import context, execute, read

NAMES = ("a", "b", "c", "d", "Complete", "")
TARGETS = (
    "", "Trail", "ATrail", "Ident", "AIdent", "Mark", "Fuse", "Rescue", "RescueBody", "Pick", "PickOnly", "Spin", "Words", "AWords",
    "HalfWay", "Loud", "Collect", "Merge", "Status", "Missing", "json:dumps", "no.such:Thing", ":", "fnkit.engine:DROP", "pickle:x",
)  # fmt: skip
HANDLERS = ("", "", "do", "nope", "(event)", "(event['x'])", "(", "json.dumps", "json:dumps", ":", "(exit())")
PATHS = ("", "", "x", "x.y", ".", "to")

json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-9, 9)
    | st.floats()
    | st.text(max_size=5)
    | st.just({"to": ["a"]})
    | st.just({"want": 3}),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["to", "want", "x", "b", "s"]), inner, max_size=3)
    ),
    max_leaves=6,
)
bodies: st.SearchStrategy[Any] = (
    json_values
    | json_values.map(json.dumps)
    | st.binary(max_size=20)
    | st.just({"to": "b"})
    | st.just({"to": []})
    | st.just({"b": "x", "s": 503})
)
some_names = st.lists(st.sampled_from(NAMES), max_size=2).map(tuple)
steps = st.builds(
    Step,
    name=st.sampled_from(NAMES),
    kind=st.sampled_from(["task", "task", "task", "queue", "router"]),
    target=st.sampled_from(TARGETS),
    handler=st.sampled_from(HANDLERS),
    args=st.sampled_from([{}, {}, {"ok_items": 1}, {"nobody": 1}, {"_fn": "(event)"}, {"expected": 2}]),
    after=some_names,
    cycle_from=some_names,
    function=st.sampled_from(["", "", "g", "f", "*"]),
    responder=st.booleans(),
    input_path=st.sampled_from(PATHS),
    result_path=st.sampled_from(PATHS),
    full_event=st.sampled_from([None, None, False, True]),
    on_error=st.sampled_from(["", "", "", *NAMES]),
    max_iterations=st.sampled_from([None, None, 0, 3]),
)
flows = st.builds(
    Flow,
    steps=st.lists(steps, max_size=4, unique_by=lambda step: step.name).map(tuple) | st.lists(steps, max_size=4).map(tuple),
    engine=st.sampled_from(["async", "async", "sync"]),
    allow_cyclic=st.booleans(),
    max_iterations=st.sampled_from([None, None, 5]),
    on_error=st.sampled_from(["", "", "", *NAMES]),
    options=st.sampled_from([{}, {}, {"max_in_flight": 1}, {"max_in_flight": "x"}, {"stream_content_type": "text/event-stream"}]),
)
manifests = st.builds(
    Manifest,
    name=st.just("g"),
    spec=flows | flows | flows | st.builds(Router, steps),
    functions=st.just((Function("g", "entry"), Function("f", "child"))),
    default_content_type=st.sampled_from(["", "application/json", "text/plain", ";;"]),
)


CLASSES = {name: value for name, value in vars(steps_of).items() if isinstance(value, type)}
OF_USERS = (FnkitError, ValueError, TypeError, LookupError, OSError, RuntimeError, AttributeError)


def compiled(manifest: Manifest, function: str) -> FlowTopology | Exception:
    try:
        return compile_flow(manifest, function=function, namespaces=[CLASSES], context=context())
    except (FnkitError, ImportError, AttributeError, TypeError) as error:
        return error


def is_clear(error: Exception) -> bool:
    """Tell whether *error* is one that the engine means to raise, in its own words."""
    match error:
        case FnkitError() | ImportError():
            return bool(str(error))
        case AttributeError():
            return str(error).startswith("module '") and "has no attribute" in str(error)
        case _:
            return str(error).startswith("failed to init step")


async def serve(topology: FlowTopology, sent: list[Any], content_type: str) -> None:
    for body in sent:
        response = await topology(Event(body, content_type=content_type))
        assert 100 <= response.status <= 599
        broken = False
        try:
            await read(response)
        except OF_USERS:
            broken = True
        assert response.streaming or not broken
        await topology.wait()


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(manifests, st.lists(bodies, min_size=1, max_size=3), st.sampled_from("**gf"), st.sampled_from(["", "application/json"]))
def test_any_manifest_and_any_body_give_an_answer_or_a_clear_error(
    manifest: Manifest, sent: list[Any], function: str, content_type: str
) -> None:
    topology = compiled(manifest, function)

    if isinstance(topology, Exception):
        assert is_clear(topology)
    else:
        execute(serve(topology, sent, content_type))
