"""Stacks of the exported template on moto: what stands afterwards is what `fnkit deploy` puts there.

moto's CloudFormation keeps no architectures and no tags of functions, and takes no mappings for Kafka; aliases, URLs, permissions and the
attributes of versions are taught to it by `tests.fakes.moto_stacks`. All else is compared.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from ast import literal_eval
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests
from cfnlint.api import ManualArgs  # type: ignore[import-untyped]  # it has no types
from cfnlint.api import lint as run_lint
from moto.awslambda_simple.models import lambda_simple_backends

from fnkit.bundle import Build, build
from fnkit.deploy import Reports, Wishes, carry_out, prepare
from fnkit.deploy.aws import Aws
from fnkit.deploy.cloudformation import write_stack
from fnkit.deploy.session import Session
from fnkit.manifest import Flow, Function, Manifest, Step
from fnkit.project.loaded import Loaded
from tests.fakes import moto_stacks
from tests.fakes.emulator_process import REPOSITORY, emulator
from tests.fakes.moto_cloud import moto_cloud, reset
from tests.fakes.sources import COUNTING

REGION, BUCKET = "eu-central-1", "bundles"
KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
APP = f"""{COUNTING}
class Keep:
    def do(self, body):
        return body
"""


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    assert moto_stacks.KNOWN
    with moto_cloud() as url:
        yield url


@pytest.fixture
def endpoint(moto: str) -> str:
    prepare_cloud(moto)
    return moto


def prepare_cloud(url: str) -> None:
    """Empty moto but for what a user has: the bucket, and the stream that a graph reads."""
    reset(url)
    client("s3", url).create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
    client("kinesis", url).create_stream(StreamName="ticks", ShardCount=1)


def client(service: str, endpoint: str) -> Any:  # boto3 has no types
    return boto3.client(service, endpoint_url=endpoint, region_name=REGION, **KEYS)


def streaming(folder: Path, app: str = APP) -> Build:
    """Build a graph of two streaming functions and its entry function."""
    steps = (Step("count", target="app:Count"), Step("mark", target="app:Mark", after=("count",), responder=True))
    return _build(
        folder, Manifest("chat", Flow(steps), functions=(Function("chat", "entry", streaming=True),), streaming=True), app
    )


def queues(folder: Path) -> Build:
    """Build a graph with a FIFO queue, a plain one and a stream of Kinesis, each read by a function."""
    steps = [Step("take", handler="app:take")]
    for name, args in (
        ("jobs", {"path": "", "sharding_func": "customer", "max_receives": 4}),
        ("plain", {"path": "", "batch_size": 40, "batch_window": 2, "retention_in_hours": 3}),
        ("ticks", {"path": "kinesis://ticks"}),
    ):
        steps.append(Step(name, kind="queue", args=args, after=("take",)))
        steps.append(Step(f"keep-{name}", target="app:Keep", after=(name,), function=f"keeper-{name}"))
    entry = Function("orders", "entry", environment={"SHELL_LIKE": "${HOME} and ${!x}"}, max_environments=5)
    return _build(
        folder, Manifest("orders", Flow(tuple(steps)), functions=(entry,)), APP + "\ndef take(body):\n    return body\n"
    )


def _build(folder: Path, manifest: Manifest, app: str) -> Build:
    root = folder / "project"
    root.mkdir(parents=True, exist_ok=True)
    (root / "app.py").write_text(app)
    return build(Loaded(manifest, root), folder / "out")


def copy_code(folder: Path, endpoint: str) -> None:
    """Do what `aws s3 sync` does."""
    s3 = client("s3", endpoint)
    for path in sorted(folder.rglob("*.zip")):
        s3.put_object(Bucket=BUCKET, Key=path.relative_to(folder).as_posix(), Body=path.read_bytes())


def run_stack(folder: Path, endpoint: str) -> dict[str, str]:
    """Carry out the template of *folder* and return the outputs."""
    copy_code(folder / "code", endpoint)
    cloudformation = client("cloudformation", endpoint)
    cloudformation.create_stack(
        StackName="stack",
        TemplateBody=(folder / "template.yaml").read_text(),
        Parameters=[{"ParameterKey": "CodeBucket", "ParameterValue": BUCKET}],
        Capabilities=["CAPABILITY_NAMED_IAM"],
    )
    (stack,) = cloudformation.describe_stacks(StackName="stack")["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def run_deployment(built: Build, endpoint: str, wishes: Wishes) -> None:
    cloud = Aws(Session(lambda service: client(service, endpoint), REGION, "aws", None))
    carry_out(prepare(built, cloud, wishes), cloud, Reports(lambda action: None, lambda name, sent, total: None))


def standing(endpoint: str) -> dict[str, object]:
    """Return all that stands on moto, without what differs from one time to the next."""
    functions = client("lambda", endpoint)
    names = [item["FunctionName"] for item in functions.list_functions()["Functions"]]
    return {
        "functions": {name: function_of(name, functions) for name in names},
        "mappings": sorted(
            (_without(item, "UUID", "EventSourceMappingArn", "LastModified") for item in mappings(functions)), key=str
        ),
        "queues": queues_of(client("sqs", endpoint)),
        "roles": {
            role["RoleName"]: role_of(role, client("iam", endpoint)) for role in client("iam", endpoint).list_roles()["Roles"]
        },
    }


def mappings(functions: Any) -> list[dict[str, Any]]:
    return list(functions.list_event_source_mappings()["EventSourceMappings"])


def function_of(name: str, functions: Any) -> dict[str, object]:
    aliases = {alias["Name"]: alias["FunctionVersion"] for alias in functions.list_aliases(FunctionName=name)["Aliases"]}
    versions = functions.list_versions_by_function(FunctionName=name)["Versions"]
    known = ("CodeSha256", "Environment", "Handler", "MemorySize", "Role", "Runtime", "Timeout", "Version")
    found: dict[str, object] = {"aliases": aliases, "versions": [{key: item.get(key) for key in known} for item in versions]}
    found["reserved"] = functions.get_function(FunctionName=name).get("Concurrency")
    if aliases:
        url = functions.get_function_url_config(FunctionName=name, Qualifier="live")
        found["url"] = {key: url[key] for key in ("AuthType", "InvokeMode")}
        found["policy"] = policy_of(name, functions)
    return found


def policy_of(name: str, functions: Any) -> object:
    try:
        policy = json.loads(functions.get_policy(FunctionName=name, Qualifier="live")["Policy"])
    except functions.exceptions.ResourceNotFoundException:
        return []
    return sorted((_without(statement, "Sid") for statement in policy["Statement"]), key=str)


def queues_of(sqs: Any) -> dict[str, object]:
    changing = ("CreatedTimestamp", "LastModifiedTimestamp")
    return {
        url: _without(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"], *changing)
        for url in sqs.list_queues().get("QueueUrls", [])
    }


def role_of(role: Mapping[str, Any], iam: Any) -> dict[str, object]:
    name = role["RoleName"]
    policies = iam.list_role_policies(RoleName=name)["PolicyNames"]
    found = {policy: iam.get_role_policy(RoleName=name, PolicyName=policy)["PolicyDocument"] for policy in policies}
    documents = {
        policy: literal_eval(item) if isinstance(item, str) else item for policy, item in found.items()
    }  # moto's own text
    return {"trust": role["AssumeRolePolicyDocument"], "policies": documents, "tags": iam.list_role_tags(RoleName=name)["Tags"]}


def _without(item: Mapping[str, object], *names: str) -> dict[str, object]:
    return {key: value for key, value in item.items() if key not in names}


def test_a_stack_of_a_streaming_graph_is_what_a_deployment_puts_there(tmp_path: Path, endpoint: str) -> None:
    built, wishes = streaming(tmp_path), Wishes(public=True)
    write_stack(built, wishes, tmp_path / "template.yaml")

    outputs = run_stack(tmp_path, endpoint)
    stack = standing(endpoint)
    prepare_cloud(endpoint)
    run_deployment(built, endpoint, wishes)

    assert stack == standing(endpoint)
    assert outputs["Url"].startswith("https://")
    assert {key: value for key, value in outputs.items() if key != "Url"} == {
        "countFunctionName": "chat-dev-count",
        "markFunctionName": "chat-dev-mark",
        "chatFunctionName": "chat-dev-chat",
    }


def test_a_stack_of_a_graph_with_queues_is_what_a_deployment_puts_there(tmp_path: Path, endpoint: str) -> None:
    built = queues(tmp_path)
    write_stack(built, Wishes(), tmp_path / "template.yaml")

    outputs = run_stack(tmp_path, endpoint)
    stack = standing(endpoint)
    prepare_cloud(endpoint)
    run_deployment(built, endpoint, Wishes())

    deployed = standing(endpoint)
    assert stack["functions"] == deployed["functions"]
    assert stack["queues"] == deployed["queues"]
    assert stack["mappings"] == deployed["mappings"]
    assert stack["roles"] == deployed["roles"]
    assert [name for name in outputs if name.endswith("QueueUrl")] != []


def test_the_bundles_of_a_stack_run_in_the_emulator(tmp_path: Path, endpoint: str) -> None:
    built = streaming(tmp_path)
    write_stack(built, Wishes(), tmp_path / "template.yaml")
    run_stack(tmp_path, endpoint)
    stored = tmp_path / "stored"
    stored.mkdir()
    for name in ("graph.json", "bundles.json"):
        (stored / name).write_bytes((tmp_path / "out" / name).read_bytes())
    for bundle in built.bundles:
        (stored / bundle.path.name).write_bytes(stored_code(f"chat-dev-{bundle.function.name}"))

    with emulator(stored) as running:
        answer = requests.post(running.url, json={"count": 3}, timeout=60)

    assert answer.text == "<0>\n<1>\n<2>\n"


def stored_code(name: str) -> bytes:
    """Return the code that moto keeps for the first version of a function."""
    code = lambda_simple_backends["123456789012"][REGION].get_function(name, "1").code_bytes
    assert isinstance(code, bytes)
    return code


def test_the_command_writes_the_template_without_credentials_and_says_what_to_run(tmp_path: Path) -> None:
    streaming(tmp_path)
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    out = tmp_path / "stack"
    command = [
        sys.executable,
        "-m",
        "fnkit",
        "deploy",
        str(tmp_path / "out"),
        "--template",
        str(out / "t.yaml"),
        "--region",
        REGION,
    ]

    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environ, timeout=100)

    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-2:] == [
        f'aws s3 sync {out}/code "s3://$BUCKET" --size-only --region {REGION}',
        f"aws cloudformation deploy --template-file {out}/t.yaml --stack-name chat-dev --region {REGION} "
        '--capabilities CAPABILITY_NAMED_IAM --parameter-overrides "CodeBucket=$BUCKET"',
    ]
    assert "BUCKET set to a bucket of yours" in done.stderr
    assert sorted(path.parent.name for path in (out / "code").rglob("*.zip")) == [
        "chat-dev-chat",
        "chat-dev-count",
        "chat-dev-mark",
    ]


@pytest.mark.parametrize("example", ["streaming/serve.py", "cyclic/serve.py", "kafka/serve.py", "kserve/combined.yaml"])
def test_templates_of_the_examples_are_without_a_fault(tmp_path: Path, example: str) -> None:
    built = build(str(REPOSITORY / "examples" / example), tmp_path)

    write_stack(built, Wishes(public=True), tmp_path / "template.yaml")

    found = run_lint((tmp_path / "template.yaml").read_text(), config=ManualArgs(regions=[REGION]))
    assert [str(match) for match in found if match.rule.id[0] in "EW"] == []
