import fnkit


class Double:
    def do(self, body):
        return body * 2


fn = fnkit.code_to_function("calls")
fn.set_topology("flow").to("Double").respond()
fn.deploy()
assert fn.invoke("/", body=3) == 6, "nothing answers"
