import fnkit


class Double:
    def __init__(self, factor=2):
        self.factor = factor

    def do(self, body):
        return body * self.factor


fn = fnkit.new_function("bad")
fn.add_child_function("nuclio-log-ds")
graph = fn.set_topology("flow")
graph.to("Double", "a", facter=3).to("Duoble", "b").respond()
graph.add_step("Double", "c", after="a", function="log-dss").respond()
graph.add_step(name="d", handler="(__import__('os').system('true'))", after="a")
graph.to(">>", "q", path="")
graph.add_step("Double", "e", after="q")
graph["d"].after_step("aa")
