"""How a Kafka cluster is reached is read from a queue's arguments; a secret never gets into a graph, nor into a message."""

from __future__ import annotations

import pytest

from fnkit.functions.queues.spec import QueueSpec, read_spec

CLUSTER = "arn:aws:kafka:eu-west-1:123456789012:cluster/orders/6cc0432b-1-2"


def spec_of(**args: object) -> QueueSpec:
    spec, problems = read_spec("out", {"path": "kafka://b:9092/topic", **args})
    assert problems == ()
    assert spec is not None
    return spec


def problems_of(**args: object) -> str:
    spec, problems = read_spec("out", {"path": "kafka://b:9092/topic", **args})
    assert spec is None
    return "\n".join(problems)


def test_a_topic_of_an_msk_cluster_needs_no_brokers() -> None:
    spec = spec_of(path="orders", cluster=CLUSTER)

    assert (spec.kind, spec.address, spec.brokers, spec.cluster) == ("kafka", "orders", (), CLUSTER)
    assert spec_of(path="kafka://orders", cluster=CLUSTER).address == "orders"


def test_brokers_may_be_named_beside_the_cluster_for_the_emulator() -> None:
    assert spec_of(cluster=CLUSTER).brokers == ("b:9092",)


@pytest.mark.parametrize(
    ("args", "protocol", "mechanism"),
    [
        ({}, "", ""),
        ({"credentials": "KAFKA_LOGIN"}, "SASL_SSL", "PLAIN"),
        ({"credentials": "KAFKA_LOGIN", "cluster": CLUSTER}, "SASL_SSL", "SCRAM-SHA-512"),
        ({"credentials": "X", "security_protocol": "sasl_plaintext", "sasl_mechanism": "scram-sha-256"}, "SASL_PLAINTEXT", "SCRAM-SHA-256"),
        ({"security_protocol": "SSL"}, "SSL", ""),
    ],
)  # fmt: skip
def test_credentials_bring_a_protocol_and_a_mechanism(args: dict[str, object], protocol: str, mechanism: str) -> None:
    spec = spec_of(**args)

    assert (spec.security_protocol, spec.sasl_mechanism) == (protocol, mechanism)


def test_every_problem_with_access_is_told_at_once_and_no_value_of_a_secret_is_repeated() -> None:
    text = problems_of(
        cluster="my-cluster",
        credentials='{"username": "u", "password": "hunter2"}',
        security_protocol="SASL_SLL",
        sasl_mechanism="SCRAM-SHA-521",
        credentals="x",
    )

    assert "cluster must be the ARN of an Amazon MSK cluster" in text
    assert "credentials must be the name of an environment variable" in text
    assert "security_protocol 'SASL_SLL' is unknown; did you mean 'SASL_SSL'?" in text
    assert "sasl_mechanism 'SCRAM-SHA-521' is unknown; did you mean 'SCRAM-SHA-512'?" in text
    assert "unknown argument 'credentals'; did you mean 'credentials'?" in text
    assert "hunter2" not in text


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ({"security_protocol": "SASL_SSL"}, "'SASL_SSL' needs credentials="),
        ({"sasl_mechanism": "PLAIN"}, "'PLAIN' needs credentials="),
        ({"credentials": "X", "security_protocol": "SSL"}, "security_protocol 'SSL' takes no credentials"),
        ({"credentials": "X", "cluster": CLUSTER, "sasl_mechanism": "PLAIN"}, "'PLAIN' is not offered by Amazon MSK"),
        ({"path": "sqs://jobs", "credentials": "X"}, "credentials is for Kafka, and this is a queue of kind sqs"),
    ],
)
def test_arguments_that_contradict_each_other_are_refused(args: dict[str, object], message: str) -> None:
    assert message in problems_of(**args)


def test_producer_options_may_have_the_names_of_either_client_library() -> None:
    given = {
        "compression_type": "gzip",
        "linger.ms": 5,
        "max_request_size": 2_000_000,
        "ssl_cafile": "ca.pem",
        "ssl_check_hostname": False,
    }

    spec = spec_of(kafka_producer_options={**given, "api_version": "2.0", "security_protocol": "SSL", "log_level": 3})

    assert spec.security_protocol == "SSL"
    assert spec.producer_options == {
        "compression.type": "gzip",
        "linger.ms": 5,
        "message.max.bytes": 2_000_000,
        "ssl.ca.location": "ca.pem",
        "ssl.endpoint.identification.algorithm": "none",
        "log_level": 3,
    }


@pytest.mark.parametrize("name", ["sasl_plain_password", "sasl.password", "sasl_plain_username", "ssl_password", "ssl.key.pem"])
def test_a_secret_among_producer_options_is_refused_without_repeating_it(name: str) -> None:
    text = problems_of(kafka_producer_options={name: "hunter2"})

    assert f"kafka_producer_options['{name}'] would put credentials into the graph; use credentials=" in text
    assert "hunter2" not in text


def test_producer_options_of_a_wrong_shape_are_refused() -> None:
    assert "must be a mapping of names to values, not list" in problems_of(kafka_producer_options=[1])
    assert "['acks'] must be text, a number or a truth value, not list" in problems_of(kafka_producer_options={"acks": []})


def test_trigger_args_say_how_a_queue_is_read() -> None:
    spec = spec_of(trigger_args={"max_workers": 7, "initial_offset": "latest", "explicit_ack_mode": "explicitOnly"})

    assert (spec.max_concurrency, spec.starting) == (7, "latest")
    assert spec_of(trigger_args={"max_workers": 7}, max_concurrency=2).max_concurrency == 2


def test_trigger_args_that_mean_nothing_are_refused() -> None:
    text = problems_of(trigger_args={"initial_ofset": "latest", "seek_to": "middle", "sasl_pass": "hunter2", "max_workers": "x"})

    assert "trigger_args['initial_ofset'] is unknown; did you mean 'initial_offset'?" in text
    assert "trigger_args['seek_to'] must be 'earliest' or 'latest', not 'middle'" in text
    assert "trigger_args['sasl_pass'] would put credentials into the graph" in text
    assert "max_concurrency must be a number of at least 1, not 'x'" in text
    assert "hunter2" not in text
