import fnkit

fn = fnkit.code_to_function(name="bad", filename="steps.py")
graph = fn.set_topology("flow")
graph.allow_cyclic = True
graph.to("Double", "a").respond()
graph.add_step("Double", "b").after_step("c")
graph.add_step("Double", "c").after_step("b")
