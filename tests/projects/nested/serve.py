import fnkit

project = fnkit.get_or_create_project("nested")
fn = project.set_function(name="shouter", func="./src/steps.py", requirements=["tiny==1.0"])
fn.set_topology("flow").to("Shout").respond()
