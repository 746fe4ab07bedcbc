"""A graph with a Kafka queue in the middle and a child function behind it: `fnkit emulate examples/kafka/serve.py`.

KAFKA_BROKERS and KAFKA_TOPIC say where the queue is.
"""

import os

import fnkit

brokers = os.environ.get("KAFKA_BROKERS", "localhost:9092")
topic_out = os.environ.get("KAFKA_TOPIC", "kafka-topic")

fn_serving = fnkit.code_to_function("kafka-example", kind="serving", filename="kafka_graph.py")

graph = fn_serving.set_topology("flow", engine="async")
fn_child = fn_serving.add_child_function("nuclio-log-ds", "nuclio_log_dataset.py", "mlrun/mlrun")

graph.to(name="PrintEvent", handler="print_event").to(
    name="ExtendEvent",class_name="storey.Extend", _fn='({"extend": "something"})').to(
    name="PrintExEvent", handler="print_event").to(
    ">>", "OutputStream", path=topic_out, kafka_brokers=brokers).to(
    name="Log-ds", function="log-ds",handler="save_record").to(
    name="PrintEventLog", handler="print_event_log", function="log-ds")

graph.plot(rankdir="LR")

if __name__ == "__main__":
    addr_serving = fn_serving.deploy()
    events = [{"int": 2, "x2": 2 * 2} ]
    payload = {"records": events}
    result = fn_serving.invoke("", body=payload)
    print(result)
