"""A graph with a queue whose place and options come from the environment."""

import json
import os

import fnkit

fn = fnkit.code_to_function("orders", kind="serving", filename="steps.py")
fn.add_child_function("keeper", "steps.py")
graph = fn.set_topology("flow", engine="async")
graph.to(name="take", handler="take").to(
    ">>", "jobs", path=os.environ.get("QUEUE_PATH", ""), sharding_func="key", **json.loads(os.environ.get("QUEUE_ARGS", "{}"))
).to(name="keep", handler="keep", function="keeper")
