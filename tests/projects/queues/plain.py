"""A graph of one step that keeps what it gets."""

import fnkit

fn = fnkit.code_to_function("plain", kind="serving", filename="steps.py")
graph = fn.set_topology("flow", engine="async")
graph.to(name="keep", handler="keep").respond()
