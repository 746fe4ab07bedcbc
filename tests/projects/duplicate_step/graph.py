import fnkit


def same(body):
    return body


fn = fnkit.new_function("bad")
graph = fn.set_topology("flow")
graph.to(same, "a").to(same, "a").respond()
