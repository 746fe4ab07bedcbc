"""Credentials come from a variable or from a secret, brokers from Amazon MSK where nobody names them; no secret is ever repeated."""

from __future__ import annotations

import json
from typing import Any

import pytest

from fnkit.functions.queues.aws import AwsError
from fnkit.functions.queues.cluster import asking, client_options
from fnkit.functions.queues.errors import QueueError
from fnkit.functions.queues.spec import QueueSpec, read_spec
from tests.fakes.aws_refusals import refusing_aws

CLUSTER = "arn:aws:kafka:eu-west-1:123456789012:cluster/orders/6cc0432b-1-2"
SECRET = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:AmazonMSK_orders-AbCdEf"
LOGIN = json.dumps({"username": "ann", "password": "hunter2"})


def spec_of(**args: object) -> QueueSpec:
    spec, problems = read_spec("out", {"path": "orders", **args})
    assert spec is not None, problems
    return spec


class Aws:
    """Knows the brokers of clusters and what secrets hold, and counts how often it is asked."""

    def __init__(self, **said: object) -> None:
        self.said = said
        self.asked: list[tuple[str, str]] = []

    def __call__(self, service: str, arn: str) -> dict[str, Any]:
        self.asked.append((service, arn))
        said = self.said.get(service)
        if not isinstance(said, dict):
            raise AwsError("AccessDeniedException: no", code="AccessDeniedException", hint="ask for it")
        return said


def test_a_cluster_without_credentials_is_reached_by_its_brokers_alone() -> None:
    assert client_options(spec_of(kafka_brokers="b:1"), {}, ask=Aws()) == {"bootstrap.servers": "b:1"}


def test_credentials_in_the_variable_itself_need_no_aws() -> None:
    aws = Aws()

    options = client_options(spec_of(kafka_brokers="b:1", credentials="LOGIN"), {"LOGIN": LOGIN}, ask=aws)

    assert options == {
        "bootstrap.servers": "b:1",
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": "ann",
        "sasl.password": "hunter2",
    }
    assert aws.asked == []


def test_a_secret_and_the_brokers_of_msk_are_asked_for_once() -> None:
    brokers = {"bootstrapBrokerStringSaslScram": "b1:9096,b2:9096", "bootstrapBrokerStringTls": "b1:9094"}
    aws = Aws(kafka=brokers, secretsmanager={"SecretString": LOGIN})

    options = client_options(spec_of(cluster=CLUSTER, credentials="LOGIN"), {"LOGIN": SECRET}, ask=aws)

    assert (options["bootstrap.servers"], options["sasl.mechanism"]) == ("b1:9096,b2:9096", "SCRAM-SHA-512")
    assert (options["sasl.username"], options["sasl.password"]) == ("ann", "hunter2")
    assert aws.asked == [("kafka", CLUSTER), ("secretsmanager", SECRET)]


@pytest.mark.parametrize(
    ("offered", "servers", "protocol"),
    [
        ({"bootstrapBrokerStringTls": "b:9094", "bootstrapBrokerString": "b:9092"}, "b:9094", "SSL"),
        ({"bootstrapBrokerString": "b:9092"}, "b:9092", None),
    ],
)
def test_without_credentials_msk_is_reached_by_tls_where_it_can_be(
    offered: dict[str, str], servers: str, protocol: str | None
) -> None:
    options = client_options(spec_of(cluster=CLUSTER), {}, ask=Aws(kafka=offered))

    assert (options["bootstrap.servers"], options.get("security.protocol")) == (servers, protocol)


def test_a_cluster_that_does_not_offer_what_is_asked_for_says_what_it_offers() -> None:
    with pytest.raises(
        QueueError, match="has no brokers for clients without credentials; it offers BootstrapBrokerStringSaslIam"
    ):
        client_options(spec_of(cluster=CLUSTER), {}, ask=Aws(kafka={"bootstrapBrokerStringSaslIam": "b:9098"}))


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("", "the variable LOGIN, which holds the credentials, is not set"),
        ("ann:hunter2", "what the variable LOGIN holds are no credentials"),
        ('{"username": "ann", "pasword": "hunter2"}', "what the variable LOGIN holds are no credentials"),
        ("arn:aws:s3:::hunter2", "the ARN in the variable LOGIN names no secret"),
        (SECRET, "the secret arn:aws:secretsmanager"),
    ],
)
def test_credentials_that_are_missing_or_wrong_are_said_without_their_value(value: str, message: str) -> None:
    with pytest.raises(QueueError, match=message) as refused:
        client_options(spec_of(kafka_brokers="b:1", credentials="LOGIN"), {"LOGIN": value}, ask=Aws())

    assert "hunter2" not in refused.value.explain()
    assert refused.value.hint


def test_brokers_that_may_not_be_asked_for_are_an_error_that_names_the_cluster() -> None:
    with pytest.raises(QueueError, match=f"the brokers of cluster {CLUSTER} cannot be found: AccessDeniedException") as refused:
        client_options(spec_of(cluster=CLUSTER), {}, ask=Aws())

    assert refused.value.hint == "ask for it"


def test_aws_is_asked_in_the_words_of_its_services() -> None:
    with refusing_aws((200, {}, {"bootstrapBrokerStringTls": "b:9094"}), (200, {}, {"SecretString": LOGIN})) as aws:
        environ = {"AWS_ENDPOINT_URL": aws.url, "AWS_ACCESS_KEY_ID": "A", "AWS_SECRET_ACCESS_KEY": "B"}
        ask = asking(environ)
        brokers, secret = ask("kafka", CLUSTER), ask("secretsmanager", SECRET)

    assert (brokers, secret) == ({"bootstrapBrokerStringTls": "b:9094"}, {"SecretString": LOGIN})
    (method, path, headers, _), (_, _, more, body) = aws.asked
    assert (method, path) == ("GET", f"/v1/clusters/{CLUSTER.replace(':', '%3A').replace('/', '%2F')}/bootstrap-brokers")
    assert "/eu-west-1/kafka/aws4_request" in headers["authorization"]
    assert more["x-amz-target"] == "secretsmanager.GetSecretValue"
    assert json.loads(body) == {"SecretId": SECRET}
