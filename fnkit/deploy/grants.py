"""What the role of a deployment needs for its queues: to write to them, to read them, and to know how Kafka is entered."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from fnkit.deploy.queue_names import Names
from fnkit.functions.queues.readers import SourceMapping
from fnkit.functions.queues.spec import QueueSpec

Grant = Mapping[str, object]

_SQS_READING = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility", "sqs:GetQueueAttributes"]
_STREAMING = [
    f"kinesis:{action}"
    for action in "DescribeStream DescribeStreamSummary GetRecords GetShardIterator ListShards ListStreams".split()
]
_MSK = ["kafka:DescribeClusterV2", "kafka:GetBootstrapBrokers"]
_MSK_READING = [
    f"kafka-cluster:{action}"
    for action in "Connect DescribeGroup AlterGroup DescribeTopic ReadData DescribeClusterDynamicConfiguration".split()
]  # to which Lambda's pollers come by IAM; a cluster that is entered with a secret or without anything takes no notice
_NETWORK = [
    f"ec2:{action}"
    for action in (
        "CreateNetworkInterface DeleteNetworkInterface DescribeNetworkInterfaces DescribeSecurityGroups DescribeSubnets DescribeVpcs"
    ).split()
]  # an MSK cluster is read from inside its network; none of these actions can be bound to a cluster


def find_grants(
    specs: Iterable[QueueSpec], mappings: Iterable[SourceMapping], names: Names, secrets: Mapping[str, str]
) -> Iterator[Grant]:
    """Yield the statements of a policy for all queues *specs* of a graph and the *mappings* that read some of them."""
    listed, read = list(specs), [mapping.spec for mapping in mappings]
    failing = [spec for spec in read if spec.kind in ("kinesis", "kafka")]
    sent = [names.sqs_arn(spec) for spec in listed if spec.kind in ("local", "sqs")]
    sent += [names.arn("sqs", names.dead(spec)) for spec in failing]
    wishes = (
        (["sqs:SendMessage", "sqs:GetQueueUrl"], sent),
        (_SQS_READING, [names.sqs_arn(spec) for spec in read if spec.kind in ("local", "sqs")]),
        (["kinesis:PutRecord", "kinesis:PutRecords"], [_stream(spec, names) for spec in listed if spec.kind == "kinesis"]),
        (_STREAMING, [_stream(spec, names) for spec in read if spec.kind == "kinesis"]),
        (_MSK, [spec.cluster for spec in listed if spec.cluster]),
        (_MSK_READING, [arn for spec in read if spec.cluster and not spec.credentials for arn in _of_cluster(spec)]),
        (_NETWORK, ["*" for spec in read if spec.cluster]),
    )
    for actions, resources in wishes:
        if resources:
            yield {"Effect": "Allow", "Action": actions, "Resource": sorted(set(resources))}
    yield from _to_secrets(sorted({secrets[spec.credentials] for spec in listed if spec.credentials}), names)


def _stream(spec: QueueSpec, names: Names) -> str:
    return names.arn("kinesis", f"stream/{spec.address}")


def _of_cluster(spec: QueueSpec) -> Iterator[str]:
    """Yield the ARNs of the cluster, of its topic and of its groups, one of which Lambda joins."""
    yield spec.cluster
    yield f"{spec.cluster.replace(':cluster/', ':topic/')}/{spec.address}"
    yield f"{spec.cluster.replace(':cluster/', ':group/')}/*"


def _to_secrets(arns: list[str], names: Names) -> Iterator[Grant]:
    """Yield what reads the secrets, those too that have a key of their own, as MSK asks for: it may decrypt nothing but them."""
    if not arns:
        return
    yield {"Effect": "Allow", "Action": ["secretsmanager:GetSecretValue"], "Resource": arns}
    through = f"secretsmanager.{names.account.region}.{names.account.domain}"
    yield {
        "Effect": "Allow",
        "Action": ["kms:Decrypt"],
        "Resource": [names.arn("kms", "key/*")],
        "Condition": {"StringEquals": {"kms:ViaService": through, "kms:EncryptionContext:SecretARN": arns}},
    }
