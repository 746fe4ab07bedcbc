import fnkit


def double(body):
    return body * 2


def triple(body):
    return body * 3


one = fnkit.new_function("first")
one.set_topology("flow").to(double).respond()
two = fnkit.new_function("second")
graph_of_two = two.set_topology("flow")
graph_of_two.to(triple).respond()
