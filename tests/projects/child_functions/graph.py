import fnkit

fn = fnkit.code_to_function(name="parent", filename="parent_steps.py")
child = fn.add_child_function("nuclio-log-ds", "child_steps.py", "mlrun/mlrun", requirements=["pandas"])
graph = fn.set_topology("flow")
graph.to(name="seen", handler="note").to(">>", "stream", path="").to(name="saved", handler="note", function="log-ds").respond()
