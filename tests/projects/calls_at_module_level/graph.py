import fnkit


class Double:
    def do(self, body):
        return body * 2


fn = fnkit.new_function("calls")
graph = fn.set_topology("flow")
graph.to("Double").respond()
mock = fn.to_mock_server()
for chunk in mock.test(body=3):
    print(chunk)
mock.wait_for_completion()
with graph.to_mock_server() as server:
    server.test("/", body={"a": 1})
address = fn.deploy()
answer = fn.invoke("/", body=3)
print(answer["result"], address, f"{fn.get_url()}infer")
graph.plot("picture.svg")
