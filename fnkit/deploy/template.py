"""Write what a deployment wants as a CloudFormation template: the same `Wanted` that `fnkit deploy` carries out, as one document.

A version is published whenever code or configuration of its function change: its logical id carries a hash of both, and the
versions of the functions that it pins are part of its configuration. Older versions stay, as long as their function does: answers that
are still being streamed call them. Queues stay too, with the messages in them, when they leave the graph or the stack goes.

What `fnkit deploy` keeps in order, `DependsOn` and references keep in order here: versions, then the alias, then what stands on it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from fnkit.deploy.naming import ALIAS, function_prefix
from fnkit.deploy.placeholders import placeholder, resolve
from fnkit.deploy.planner import environment_of
from fnkit.deploy.policies import POLICY_NAME, PUBLIC, TRUST
from fnkit.deploy.state import Asynchronous, Wanted, WantedFunction, WantedMapping, WantedQueue
from fnkit.errors import DeployError

Document = dict[str, object]

BUCKET = "CodeBucket"
_ROLE, _ALIAS_ID, _URL, _EVENTS = "Role", "LiveAlias", "Url", "AsynchronousEvents"
_BUCKET_NAME = "[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_ARN_PATTERN = r"arn:aws[a-z-]*:secretsmanager:[a-z0-9-]+:\d{12}:secret:.{1,140}"
_KEPT = {"DeletionPolicy": "RetainExceptOnCreate", "UpdateReplacePolicy": "Retain"}
_RESOURCES, _OUTPUTS, _PARAMETERS = 500, 200, 200  # as many as CloudFormation takes


@dataclass(frozen=True, slots=True)
class Parameter:
    """A value that is given when the template is carried out; *default* may be `""`: it has to be given."""

    name: str
    description: str
    pattern: str
    default: str = ""


def bucket_parameter(default: str) -> Parameter:
    """Return the parameter for the bucket that holds the bundles."""
    return Parameter(BUCKET, "The bucket that the bundles were copied to", _BUCKET_NAME, default)


def secret_parameter(variable: str) -> Parameter:
    """Return the parameter for the secret whose ARN the functions get as *variable*."""
    says = f"The ARN of the secret of AWS Secrets Manager that functions are given as {variable}"
    return Parameter(_logical(variable, "Secret"), says, _ARN_PATTERN)


def code_key(function: WantedFunction, sha256: str) -> str:
    """Return where in the bucket the bundle of *function* lies; *sha256* is that of the zip, in hex."""
    return f"{function.name}/{sha256}.zip"


def write_template(wanted: Wanted, keys: Mapping[str, str], parameters: tuple[Parameter, ...]) -> Document:
    """Return the template that makes *wanted*; *keys* are the places of the bundles in the bucket, by the names of the graph.

    DeployError for a deployment that is too large for one stack, or two of whose names are one logical id.
    """
    template = _Template(wanted, keys)
    resources = _unique(template.resources())
    document: Document = {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": f"Graph {wanted.graph} on stage {wanted.stage}, by fnkit"[:1024],
        "Parameters": {parameter.name: _parameter(parameter) for parameter in parameters},
        "Resources": {name: template.resolved(resource) for name, resource in resources.items()},
        "Outputs": _unique(template.outputs()),
    }
    _check_counts(wanted.graph, document)
    return document


@dataclass(frozen=True, slots=True)
class _Template:
    wanted: Wanted
    keys: Mapping[str, str]

    def resources(self) -> Iterator[tuple[str, Document]]:
        """Yield the resources in the order in which `fnkit deploy` makes them."""
        if self.wanted.role is not None:
            yield _ROLE, self._role()
        for queue in self.wanted.queues:
            yield self._queue_id(queue.name), self._queue(queue)
        versions: dict[str, str] = {}
        for function in self.wanted.functions:
            configured = self._configured(function, versions)
            versions[function.function] = _version_id(configured)
            yield _function_id(function), self._function(configured)
            yield versions[function.function], self._version(configured)
        yield _ALIAS_ID, self._alias(versions[self.wanted.entry.function])
        yield _URL, self._url()
        if self.wanted.auth == "NONE":
            for statement in PUBLIC:
                allowed = {"Action": statement.action, "Principal": "*", **dict([statement.condition])}
                yield _logical(statement.sid, ""), _resource("Lambda::Permission", {"FunctionName": _ref(_ALIAS_ID), **allowed})
        if self.wanted.asynchronous is not None:
            yield _EVENTS, self._asynchronous(self.wanted.asynchronous)
        for mapping in self.wanted.mappings:
            yield _mapping_id(mapping), self._mapping(mapping, versions[mapping.function])

    def outputs(self) -> Iterator[tuple[str, Document]]:
        """Yield where the graph is, and what its parts are called."""
        yield "Url", {"Description": "Where clients call the graph", "Value": _attribute(_URL, "FunctionUrl")}
        for function in self.wanted.functions:
            what: Document = {"Description": f"Function {function.function}", "Value": _ref(_function_id(function))}
            yield _logical(function.function, "FunctionName"), what
        for queue in self.wanted.queues:
            there: Document = {"Description": f"Queue {queue.name}", "Value": _ref(self._queue_id(queue.name))}
            yield _logical(self._short(queue.name), "QueueUrl"), there

    def resolved(self, resource: Document) -> object:
        """Return *resource* with intrinsic functions, and with references to queues of this template in place of their ARNs."""
        return resolve(resource, {queue.arn: _attribute(self._queue_id(queue.name), "Arn") for queue in self.wanted.queues})

    def _role(self) -> Document:
        role = self.wanted.role
        assert role is not None
        policy = {"PolicyName": POLICY_NAME, "PolicyDocument": role.policy}
        named = {"RoleName": role.name, "AssumeRolePolicyDocument": TRUST, "Policies": [policy]}
        return _resource("IAM::Role", {**named, "Tags": self._tags()})

    def _queue(self, queue: WantedQueue) -> Document:
        attributes = {name: _plain(value) for name, value in queue.attributes.items()}
        return {**_resource("SQS::Queue", {"QueueName": queue.name, **attributes, "Tags": self._tags()}), **_KEPT}

    def _configured(self, function: WantedFunction, versions: Mapping[str, str]) -> WantedFunction:
        """Return *function* with references to its role and to the versions that it pins."""
        told = {name: placeholder(f"{versions[name]}.Version") for name in function.pins}
        configuration = function.configuration
        role = configuration.role or placeholder(f"{_ROLE}.Arn")
        return replace(function, configuration=replace(configuration, role=role, environment=environment_of(function, told)))

    def _function(self, function: WantedFunction) -> Document:
        properties: Document = {
            "FunctionName": function.name,
            "Code": {"S3Bucket": _ref(BUCKET), "S3Key": self.keys[function.function]},
            "Architectures": [function.configuration.architecture],
            **function.configuration.arguments(),
            "Tags": self._tags(),
        }
        if function.reserved is not None:
            properties["ReservedConcurrentExecutions"] = function.reserved
        return _resource("Lambda::Function", properties)

    def _version(self, function: WantedFunction) -> Document:
        properties: Document = {"FunctionName": _ref(_function_id(function)), "CodeSha256": function.code.sha256}
        return {**_resource("Lambda::Version", properties), **_KEPT}

    def _alias(self, version: str) -> Document:
        points = {"Name": ALIAS, "FunctionVersion": _attribute(version, "Version")}
        return _resource("Lambda::Alias", {"FunctionName": _ref(_function_id(self.wanted.entry)), **points})

    def _url(self) -> Document:
        answers = {"AuthType": self.wanted.auth, "InvokeMode": self.wanted.mode}
        target = {"TargetFunctionArn": _ref(_function_id(self.wanted.entry)), "Qualifier": ALIAS}
        return {**_resource("Lambda::Url", {**target, **answers}), "DependsOn": _ALIAS_ID}

    def _asynchronous(self, asynchronous: Asynchronous) -> Document:
        target = {"FunctionName": _ref(_function_id(self.wanted.entry)), "Qualifier": ALIAS}
        return {**_resource("Lambda::EventInvokeConfig", {**target, **asynchronous.arguments()}), "DependsOn": _ALIAS_ID}

    def _mapping(self, mapping: WantedMapping, version: str) -> Document:
        properties: Document = {"FunctionName": _ref(version), **mapping.creation, **mapping.settings}
        if "SelfManagedEventSource" in properties:  # the one property whose name differs from the API's
            servers = mapping.creation["SelfManagedEventSource"]["Endpoints"]["KAFKA_BOOTSTRAP_SERVERS"]  # type: ignore[index]  # made so by mappings.py
            properties["SelfManagedEventSource"] = {"Endpoints": {"KafkaBootstrapServers": servers}}
        return {**_resource("Lambda::EventSourceMapping", properties), "DependsOn": _ALIAS_ID}

    def _tags(self) -> list[Document]:
        return [{"Key": key, "Value": value} for key, value in self.wanted.tags.items()]

    def _queue_id(self, name: str) -> str:
        return _logical(self._short(name), "Queue")

    def _short(self, name: str) -> str:
        return name.removeprefix(function_prefix(self.wanted.graph, self.wanted.stage))


def _resource(kind: str, properties: Document) -> Document:
    return {"Type": f"AWS::{kind}", "Properties": properties}


def _ref(name: str) -> Document:
    return {"Ref": name}


def _attribute(name: str, attribute: str) -> Document:
    return {"Fn::GetAtt": [name, attribute]}


def _plain(value: str) -> object:
    """Return an attribute of a queue as a template has it: numbers, truth values and documents as what they are."""
    try:
        return json.loads(value)
    except ValueError:
        return value


def _parameter(parameter: Parameter) -> Document:
    said: Document = {"Type": "String", "Description": parameter.description, "AllowedPattern": parameter.pattern}
    return {**said, "Default": parameter.default} if parameter.default else said


def _function_id(function: WantedFunction) -> str:
    return _logical(function.function, "Function")


def _version_id(function: WantedFunction) -> str:
    published = [function.code.sha256, function.configuration.architecture, function.configuration.arguments()]
    return _logical(function.function, f"Version{_digest(published)}")


def _mapping_id(mapping: WantedMapping) -> str:
    """Return the id of *mapping*; one of another source, or with what only a new one takes, is another mapping."""
    return _logical(mapping.function, f"Mapping{_digest([mapping.source, mapping.creation])}")


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value, sort_keys=True).encode()).hexdigest()[:12]


def _logical(name: str, kind: str) -> str:
    """Return *name* with *kind* as a logical id: letters and digits only. A name that loses something gets a piece of its hash."""
    first, *others = re.split(r"[^A-Za-z0-9]+", name)
    plain = first + "".join(part[:1].upper() + part[1:] for part in others)
    unlike = plain if plain == name else f"{plain}{hashlib.sha256(name.encode()).hexdigest()[:6]}"
    return f"{unlike}{kind}"


def _unique(items: Iterator[tuple[str, Document]]) -> dict[str, Document]:
    found: dict[str, Document] = {}
    for name, item in items:
        if name in found:
            raise DeployError(f"two things of the graph would both be {name} in a template", hint="rename one of them")
        found[name] = item
    return found


def _check_counts(graph: str, document: Mapping[str, object]) -> None:
    for part, most in (("Resources", _RESOURCES), ("Outputs", _OUTPUTS), ("Parameters", _PARAMETERS)):
        found = document[part]
        assert isinstance(found, dict)
        if len(found) > most:
            raise DeployError(
                f"{len(found)} {part.lower()}, CloudFormation takes {most} in a template",
                where=graph,
                hint="put steps together with function= or --placement fused, or use fnkit deploy, which has no such limit",
            )
