import fnkit

fn = fnkit.code_to_function(name="bad", filename="steps.py")
graph = fn.set_topology("flow")
graph.to("Double", facter=3).respond()
