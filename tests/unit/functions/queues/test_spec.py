"""The path of a queue step chooses its kind, and every mistake is named at once."""

from __future__ import annotations

import pytest

from fnkit.functions.queues.spec import read_spec


@pytest.mark.parametrize(
    ("args", "kind", "address", "brokers"),
    [
        ({"path": ""}, "local", "out", ()),
        ({"path": None}, "local", "out", ()),
        ({"path": "my orders/1"}, "local", "my-orders-1", ()),
        ({"path": "local://jobs"}, "local", "jobs", ()),
        ({"path": "topic", "kafka_brokers": "a:1, b:2"}, "kafka", "topic", ("a:1", "b:2")),
        ({"path": "topic", "kafka_bootstrap_servers": ["a:1"]}, "kafka", "topic", ("a:1",)),
        ({"path": "kafka://a:1,b:2/topic"}, "kafka", "topic", ("a:1", "b:2")),
        ({"path": "kafka://topic", "kafka_brokers": "a:1"}, "kafka", "topic", ("a:1",)),
        ({"path": "sqs://jobs"}, "sqs", "jobs", ()),
        ({"path": "https://sqs.eu-west-1.amazonaws.com/1/jobs"}, "sqs", "https://sqs.eu-west-1.amazonaws.com/1/jobs", ()),
        ({"path": "kinesis://stream"}, "kinesis", "stream", ()),
        ({"path": "v3io:///bigdata/st1"}, "v3io", "v3io:///bigdata/st1", ()),
        ({"path": "dummy://"}, "dummy", "", ()),
    ],
)
def test_the_path_chooses_the_kind(args: dict[str, object], kind: str, address: str, brokers: tuple[str, ...]) -> None:
    spec, problems = read_spec("out", args)

    assert problems == ()
    assert spec is not None
    assert (spec.kind, spec.address, spec.brokers) == (kind, address, brokers)


def test_every_problem_of_a_queue_is_told_at_once() -> None:
    spec, problems = read_spec("out", {"kafka_brokers": 7, "batch_size": 0, "grup": "x"})

    assert spec is None
    text = "\n".join(problems)
    assert "unknown argument 'grup'" in text
    assert "path=<stream path or None> must be specified for queues" in text
    assert "kafka_brokers must be a string" in text
    assert "batch_size must be a number of at least 1, not 0" in text


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("ftp://x/y", "unknown scheme"),
        ("kafka://broker:9092", "names no topic"),
        ("kafka:///topic", "names no broker"),
        ("sqs://", "names no queue"),
        ("kinesis://", "names no stream"),
        ("kinesis://a/b", "'a/b' cannot be the name of a stream"),
        ("sqs://a b", "'a b' cannot be the name of an SQS queue"),
        ("kafka://a:1/b/c", "'b/c' cannot be the name of a topic"),
        ("kafka://a:port/b", "'a:port' is no broker; write host:port"),
    ],
)
def test_a_path_that_leads_nowhere_is_refused(path: str, message: str) -> None:
    spec, problems = read_spec("out", {"path": path})

    assert spec is None
    assert message in problems[0]


@pytest.mark.parametrize("path", ["sqs://jobs.fifo", "kafka://[::1]:9092,b:1/my.topic_1", "kinesis://a.b-c", "topic"])
def test_names_and_brokers_as_the_services_take_them_are_taken(path: str) -> None:
    brokers = {"kafka_brokers": "SSL://b:1,c"} if path == "topic" else {}

    assert read_spec("out", {"path": path, **brokers})[1] == ()


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"sharding_func": 1.5}, "sharding_func must be a partition's number, the name of a field of the body, or a function"),
        ({"sharding_func": True}, "sharding_func must be a partition's number"),
        ({"sharding_func": -1}, "sharding_func must be a partition's number of at least 0, not -1"),
        ({"group": 5}, "group must be a string, not 5"),
        ({"full_event": "yes"}, "full_event must be true or false, not 'yes'"),
        ({"shards": 1.5}, "shards must be a whole number, not 1.5"),
        ({"visibility_timeout": 0}, "visibility_timeout must be a number of at least 0.1, not 0"),
    ],
)
def test_an_argument_of_another_kind_is_refused(args: dict[str, object], message: str) -> None:
    spec, problems = read_spec("q", {"path": "", **args})

    assert spec is None
    assert problems[0].startswith(message)


def test_a_function_that_chooses_keys_makes_the_queue_one_with_keys() -> None:
    chosen, _ = read_spec("q", {"path": "", "_sharding_func": "steps:colour"})
    plain, _ = read_spec("q", {"path": ""})

    assert chosen is not None
    assert plain is not None
    assert (chosen.sharder, chosen.keyed, plain.keyed) == ("steps:colour", True, False)


def test_pollers_are_for_kafka_alone() -> None:
    spec, _ = read_spec("q", {"path": "kafka://broker:9092/topic", "pollers": 3})
    none, problems = read_spec("q", {"path": "", "pollers": 3})

    assert spec is not None
    assert (spec.pollers, none) == (3, None)
    assert problems == ("pollers is for Kafka, and this is a queue of kind local",)


def test_numbers_become_the_retention_and_the_batch() -> None:
    spec, _ = read_spec("q", {"path": "", "retention_in_hours": 2, "max_receives": 5, "visibility_timeout": 0.5, "batch_size": 3})

    assert spec is not None
    assert (spec.retention.retention_s, spec.retention.max_receives, spec.retention.visibility_s) == (7200.0, 5, 0.5)
    assert spec.batch_size == 3
