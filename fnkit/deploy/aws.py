"""Read and change what a deployment owns on AWS, by boto3: the only module of fnkit that talks to AWS's control plane.

Lambda refuses a change while the one before it is still being applied, and refuses a role that was made a moment ago; both
are waited for.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import ClientError

from fnkit.deploy.aws_errors import code_of, translated
from fnkit.deploy.cloud import Progress
from fnkit.deploy.mappings import kafka_source
from fnkit.deploy.naming import ALIAS
from fnkit.deploy.policies import POLICY_NAME, PUBLIC, TRUST, Statement
from fnkit.deploy.session import Session, open_session
from fnkit.deploy.state import (
    Account,
    Asynchronous,
    Auth,
    Code,
    Configuration,
    InvokeMode,
    RemoteFunction,
    RemoteMapping,
    RemoteRole,
    Url,
    Version,
    WantedMapping,
)
from fnkit.deploy.uploads import Counted
from fnkit.errors import DeployError

_ABSENT = {"ResourceNotFoundException", "NoSuchEntity", "NoSuchEntityException", "404", "NoSuchBucket", "NotFound"} | {
    "AWS.SimpleQueueService.NonExistentQueue",
    "QueueDoesNotExist",
}
_PATIENCE_S = 120.0
_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 8.0


class Aws:
    """A `Cloud` that is AWS. *sleep* waits between attempts."""

    def __init__(self, session: Session, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._session = session
        self._sleep = sleep
        self._clients: dict[str, Any] = {}

    @classmethod
    def connect(cls, *, region: str = "", endpoint_url: str = "") -> Aws:
        """Return AWS as *region* and *endpoint_url*, or AWS's own settings, say."""
        return cls(open_session(region=region, endpoint_url=endpoint_url))

    # ---- reading

    def account(self) -> Account:
        """Return the account of the credentials."""
        answer = self._call("sts", "get_caller_identity")
        return Account(answer["Account"], self._session.region, self._session.partition)

    def role(self, name: str) -> RemoteRole | None:
        """Return the role *name* with our policy in it."""
        answer = self._find("iam", "get_role", RoleName=name)
        if answer is None:
            return None
        policy = self._find("iam", "get_role_policy", RoleName=name, PolicyName=POLICY_NAME)
        found = answer["Role"]
        return RemoteRole(found["Arn"], _document(policy["PolicyDocument"]) if policy else None, _pairs(found.get("Tags", [])))

    def function(self, name: str) -> RemoteFunction | None:
        """Return the function *name*, its versions, and what hangs on the alias."""
        answer = self._find("lambda", "get_function", FunctionName=name)
        if answer is None:
            return None
        alias = self._find("lambda", "get_alias", FunctionName=name, Name=ALIAS)
        return RemoteFunction(
            latest=_version(answer["Configuration"]),
            versions=self._versions(name),
            tags=answer.get("Tags") or {},
            alias=alias["FunctionVersion"] if alias else None,
            url=self._url(name, ALIAS) if alias else None,
            statements=self._statements(name) if alias else frozenset(),
            reserved=answer.get("Concurrency", {}).get("ReservedConcurrentExecutions"),
            asynchronous=self._asynchronous(name) if alias else Asynchronous(),
        )

    def has_bucket(self, name: str) -> bool:
        """Tell whether the bucket is there and ours to use."""
        return self._find("s3", "head_bucket", Bucket=name) is not None

    def queue(self, name: str) -> Mapping[str, str] | None:
        """Return the attributes of the SQS queue *name*, None if there is none."""
        found = self._find("sqs", "get_queue_url", QueueName=name)
        if found is None:
            return None
        attributes = self._call("sqs", "get_queue_attributes", QueueUrl=found["QueueUrl"], AttributeNames=["All"])["Attributes"]
        return {str(key): str(value) for key, value in attributes.items()}

    def queue_tags(self, name: str) -> Mapping[str, str]:
        """Return the tags of the SQS queue *name*."""
        url = self._call("sqs", "get_queue_url", QueueName=name)["QueueUrl"]
        return self._call("sqs", "list_queue_tags", QueueUrl=url).get("Tags") or {}

    def mappings(self, name: str) -> tuple[RemoteMapping, ...]:
        """Return the event source mappings of all versions of the function *name*."""
        found = []
        pages = self._client("lambda").get_paginator("list_event_source_mappings").paginate()
        with translated(self._session.region):
            for page in pages:
                found += [item for item in page["EventSourceMappings"] if _function_of(item)[0] == name]
        return tuple(_remote_mapping(item) for item in found)

    def url(self, name: str, alias: str) -> str:
        """Return the URL of *alias*."""
        found = self._url(name, alias)
        if found is None:
            raise DeployError(f"function {name} has no URL on its alias {alias}", hint="deploy the graph again")
        return found.url

    def find_url(self, name: str) -> str | None:
        """Return the URL of the function's alias, or its own where it has no alias; None if it has none."""
        for qualifier in (ALIAS, ""):
            if found := self._url(name, qualifier):
                return found.url
        return None

    def _versions(self, name: str) -> tuple[Version, ...]:
        pages = self._client("lambda").get_paginator("list_versions_by_function").paginate(FunctionName=name)
        with translated(self._session.region):
            found = [_version(item) for page in pages for item in page["Versions"]]
        return tuple(version for version in found if version.number != "$LATEST")

    def _url(self, name: str, qualifier: str) -> Url | None:
        which = {"Qualifier": qualifier} if qualifier else {}
        answer = self._find("lambda", "get_function_url_config", FunctionName=name, **which)
        if answer is None:
            return None
        return Url(answer["FunctionUrl"].rstrip("/") + "/", answer["AuthType"], answer.get("InvokeMode", "BUFFERED").upper())

    def _statements(self, name: str) -> frozenset[str]:
        answer = self._find("lambda", "get_policy", FunctionName=name, Qualifier=ALIAS)
        if answer is None:
            return frozenset()
        ours = {statement.sid for statement in PUBLIC}
        return frozenset(item["Sid"] for item in json.loads(answer["Policy"])["Statement"] if item.get("Sid") in ours)

    def _asynchronous(self, name: str) -> Asynchronous:
        answer = self._find("lambda", "get_function_event_invoke_config", FunctionName=name, Qualifier=ALIAS) or {}
        failure = (answer.get("DestinationConfig") or {}).get("OnFailure") or {}
        usual = Asynchronous()
        return Asynchronous(
            answer.get("MaximumRetryAttempts", usual.retries),
            answer.get("MaximumEventAgeInSeconds", usual.max_age_s),
            failure.get("Destination", ""),
        )

    # ---- changing

    def create_role(self, name: str, policy: Mapping[str, object], tags: Mapping[str, str]) -> str:
        """Make the role and give it *policy*."""
        listed = [{"Key": key, "Value": value} for key, value in tags.items()]
        answer = self._call("iam", "create_role", RoleName=name, AssumeRolePolicyDocument=json.dumps(TRUST), Tags=listed)
        self.put_role_policy(name, policy)
        return str(answer["Role"]["Arn"])

    def put_role_policy(self, name: str, policy: Mapping[str, object]) -> None:
        """Give the role *policy*."""
        self._call("iam", "put_role_policy", RoleName=name, PolicyName=POLICY_NAME, PolicyDocument=json.dumps(policy))

    def create_bucket(self, name: str) -> None:
        """Make a private bucket in the session's region."""
        place = {} if self._session.region == "us-east-1" else {"LocationConstraint": self._session.region}
        arguments = {"CreateBucketConfiguration": place} if place else {}
        self._call("s3", "create_bucket", Bucket=name, **arguments)

    def create_function(
        self, name: str, code: Code, configuration: Configuration, *, bucket: str, tags: Mapping[str, str], progress: Progress
    ) -> None:
        """Make the function; a role that is new to Lambda is waited for."""
        arguments = configuration.arguments()
        architectures = [configuration.architecture]
        place = self._send(name, code, bucket, progress)
        self._change("create_function", FunctionName=name, Code=place, Architectures=architectures, Tags=dict(tags), **arguments)

    def update_code(self, name: str, code: Code, *, architecture: str, bucket: str, progress: Progress) -> None:
        """Send the code; what Lambda holds afterwards is compared with what was sent."""
        place = self._send(name, code, bucket, progress)
        answer = self._change("update_function_code", FunctionName=name, Architectures=[architecture], **place)
        if answer["CodeSha256"] != code.sha256:
            raise DeployError(f"{name} holds other code than was sent", hint="deploy again")

    def update_configuration(self, name: str, configuration: Configuration) -> None:
        """Change how the function runs."""
        self._change("update_function_configuration", FunctionName=name, **configuration.arguments())

    def set_reserved(self, name: str, reserved: int | None) -> None:
        """Set or lift the limit of environments."""
        if reserved is None:
            self._change("delete_function_concurrency", FunctionName=name)
        else:
            self._change("put_function_concurrency", FunctionName=name, ReservedConcurrentExecutions=reserved)

    def put_queue(self, name: str, attributes: Mapping[str, str], tags: Mapping[str, str], *, exists: bool) -> None:
        """Make the queue, or change its attributes; what a queue is cannot change, so that is left out then."""
        if not exists:
            self._call("sqs", "create_queue", QueueName=name, Attributes=dict(attributes), tags=dict(tags))
            return
        url = self._call("sqs", "get_queue_url", QueueName=name)["QueueUrl"]
        changed = {key: value for key, value in attributes.items() if key != "FifoQueue"}
        self._call("sqs", "set_queue_attributes", QueueUrl=url, Attributes=changed)

    def put_mapping(self, mapping: WantedMapping, version: str, *, uuid: str) -> None:
        """Make the mapping, or change the one called *uuid*; Lambda checks that the role may read the source, once it holds."""
        target = {"FunctionName": f"{mapping.name}:{version}", **mapping.settings}
        with translated(self._session.region):
            if uuid:
                self._patiently("update_event_source_mapping", {"UUID": uuid, **target})
            else:
                self._patiently("create_event_source_mapping", {**target, **mapping.creation})

    def delete_mapping(self, uuid: str) -> None:
        """Remove the mapping."""
        self._find("lambda", "delete_event_source_mapping", UUID=uuid)

    def publish(self, name: str) -> str:
        """Publish a version."""
        return str(self._change("publish_version", FunctionName=name)["Version"])

    def put_alias(self, name: str, alias: str, version: str, *, exists: bool) -> None:
        """Create or move *alias*."""
        self._change("update_alias" if exists else "create_alias", FunctionName=name, Name=alias, FunctionVersion=version)

    def put_url(self, name: str, alias: str, *, auth: Auth, mode: InvokeMode, exists: bool) -> None:
        """Create or change the URL of *alias*."""
        operation = "update_function_url_config" if exists else "create_function_url_config"
        self._change(operation, FunctionName=name, Qualifier=alias, AuthType=auth, InvokeMode=mode)

    def put_asynchronous(self, name: str, alias: str, asynchronous: Asynchronous) -> None:
        """Say how asynchronous events for *alias* are treated; Lambda checks that the role may send to the destination."""
        self._change("put_function_event_invoke_config", FunctionName=name, Qualifier=alias, **asynchronous.arguments())

    def allow(self, name: str, alias: str, statement: Statement) -> None:
        """Add *statement* to the policy of *alias*; everyone is its principal."""
        condition = dict([statement.condition])
        self._change(
            "add_permission",
            FunctionName=name,
            Qualifier=alias,
            StatementId=statement.sid,
            Action=statement.action,
            Principal="*",
            **condition,
        )

    def forbid(self, name: str, alias: str, sid: str) -> None:
        """Remove a statement from the policy of *alias*."""
        self._find("lambda", "remove_permission", FunctionName=name, Qualifier=alias, StatementId=sid)

    # ---- how

    def _send(self, name: str, code: Code, bucket: str, progress: Progress) -> dict[str, Any]:
        """Return *code* as an argument: its bytes, or its place in *bucket*, where it is put first."""
        if not code.key:
            self._watch_uploads(name, code.size, progress)
            return {"ZipFile": code.path.read_bytes()}
        if self._find("s3", "head_object", Bucket=bucket, Key=code.key) is None:
            sent = 0

            def count(more: int) -> None:
                nonlocal sent
                sent += more
                progress(name, sent, code.size)

            with translated(self._session.region):
                self._client("s3").upload_file(str(code.path), bucket, code.key, Callback=count)
        return {"S3Bucket": bucket, "S3Key": code.key}

    def _watch_uploads(self, name: str, size: int, progress: Progress) -> None:
        """Let the next request of the Lambda client tell *progress* how much of it is sent."""

        def replace_body(request: Any, **_: object) -> None:
            if isinstance(request.body, bytes) and len(request.body) >= size:
                request.body = Counted(request.body, lambda share: progress(name, int(size * share), size))

        self._client("lambda").meta.events.register("before-send.lambda", replace_body, unique_id="fnkit-progress")

    def _change(self, operation: str, **arguments: Any) -> Any:
        """Call Lambda until it does not answer that it is too early, then wait until the change holds."""
        with translated(self._session.region):
            answer = self._patiently(operation, arguments)
        self._settle(arguments["FunctionName"], answer)
        return answer

    def _patiently(self, operation: str, arguments: Mapping[str, Any]) -> Any:
        left, pause = _PATIENCE_S, _FIRST_PAUSE_S
        while True:
            try:
                return getattr(self._client("lambda"), operation)(**arguments)
            except ClientError as error:
                if left <= 0 or not _too_early(error):
                    raise
            self._sleep(pause)
            left, pause = left - pause, min(pause * 2, _LONGEST_PAUSE_S)

    def _settle(self, name: str, answer: Mapping[str, Any]) -> None:
        """Wait until the function is active and its last update is applied."""
        left, pause = _PATIENCE_S, _FIRST_PAUSE_S
        state = answer
        while state.get("State") == "Pending" or state.get("LastUpdateStatus") == "InProgress":
            if left <= 0:
                raise DeployError(f"{name} is still {state.get('State')} after {_PATIENCE_S:.0f} s", hint="deploy again")
            self._sleep(pause)
            left, pause = left - pause, min(pause * 2, _LONGEST_PAUSE_S)
            state = self._call("lambda", "get_function_configuration", FunctionName=name)
        if state.get("State") == "Failed" or state.get("LastUpdateStatus") == "Failed":
            why = state.get("StateReason") or state.get("LastUpdateStatusReason") or "no reason given"
            raise DeployError(f"Lambda could not apply the change: {why}", where=name)

    def _find(self, service: str, operation: str, **arguments: Any) -> Any | None:
        """Return the answer, None if AWS says that there is no such thing."""
        with translated(self._session.region):
            try:
                return getattr(self._client(service), operation)(**arguments)
            except ClientError as error:
                if code_of(error) in _ABSENT:
                    return None
                raise

    def _call(self, service: str, operation: str, **arguments: Any) -> Any:
        with translated(self._session.region):
            return getattr(self._client(service), operation)(**arguments)

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            self._clients[service] = self._session.client(service)
        return self._clients[service]


def _too_early(error: ClientError) -> bool:
    said = str(error.response.get("Error", {}).get("Message", ""))
    busy = code_of(error) == "ResourceConflictException" and ("in progress" in said or "Pending" in said)
    fresh = "cannot be assumed" in said or "does not have permissions" in said  # a role takes a while to hold everywhere
    return busy or (code_of(error) == "InvalidParameterValueException" and fresh)


def _version(item: Mapping[str, Any]) -> Version:
    configuration = Configuration(
        runtime=item.get("Runtime", ""),
        handler=item.get("Handler", ""),
        memory_mb=item["MemorySize"],
        timeout_s=item["Timeout"],
        architecture=(item.get("Architectures") or ["x86_64"])[0],
        role=item["Role"],
        environment=(item.get("Environment") or {}).get("Variables", {}),
    )
    return Version(item["Version"], item["CodeSha256"], configuration)


def _function_of(item: Mapping[str, Any]) -> tuple[str, str]:
    """Return the name and the version of the function that a mapping calls."""
    name, _, version = str(item["FunctionArn"]).rpartition(":function:")[2].partition(":")
    return name, version


def _remote_mapping(item: Mapping[str, Any]) -> RemoteMapping:
    source = str(item.get("EventSourceArn") or "")
    if item.get("Topics"):
        servers = item.get("SelfManagedEventSource", {}).get("Endpoints", {}).get("KAFKA_BOOTSTRAP_SERVERS", [])
        config = item.get("AmazonManagedKafkaEventSourceConfig") or item.get("SelfManagedKafkaEventSourceConfig") or {}
        source = kafka_source(source or ",".join(servers), item["Topics"], config.get("ConsumerGroupId", ""))
    return RemoteMapping(item["UUID"], source, _function_of(item)[1], item)


def _document(value: object) -> Mapping[str, object]:
    """Return a policy document, which AWS quotes as in a URL and boto3 has read already."""
    document = json.loads(unquote(value)) if isinstance(value, str) else value
    assert isinstance(document, dict)
    return document


def _pairs(items: list[dict[str, str]]) -> dict[str, str]:
    return {item["Key"]: item["Value"] for item in items}
