import fnkit

fn = fnkit.code_to_function("calls", filename="steps.py")
fn.set_topology("flow").to("Double").respond()
fn.deploy()
assert fn.invoke("/", body=3) == 6, "nothing answers"
