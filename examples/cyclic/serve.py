"""A cyclic graph: `fnkit emulate examples/cyclic/serve.py`, or `python examples/cyclic/serve.py`."""

import fnkit

project = fnkit.get_or_create_project("cyclic-example", context="./")

# Define the function
function = project.set_function(
    name="cyclic-function",
    func="cyclic.py",
    kind="serving",
    image="mlrun/mlrun",
)
# Define the graph (global cap applies unless overridden per-step)
graph = function.set_topology(
    "flow", engine="async", allow_cyclic=True, max_iterations=100
)
graph.to(name="preprocess", class_name="Processor").to(
    name="generator", class_name="Generator", after="preprocess", max_iterations=30
).to(name="evaluator", class_name="Evaluator", after="generator").to(
    name="evaluation-loop",
    class_name="ChoiceHandler",
    cycle_to=["generator"],
    after="evaluator",
).to(
    name="output", handler="responder", after="evaluation-loop"
).respond()

# Adding error handler to the graph
graph.error_handler(class_name="HandleError")

if __name__ == "__main__":
    # Mock server
    with graph.to_mock_server() as mock:
        print(mock.test("/", body={"topic": "a limerick"}))

    # The same graph from its bundles
    function.deploy()
    print(function.invoke("/", body={"topic": "a limerick", "target": 31}))
