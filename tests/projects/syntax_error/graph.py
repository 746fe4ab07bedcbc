import fnkit

fn = fnkit.new_function("bad"
graph = fn.set_topology("flow")
