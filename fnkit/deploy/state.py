"""The two sides of a deployment as data: what is wanted, and what is there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

Auth = Literal["AWS_IAM", "NONE"]
InvokeMode = Literal["BUFFERED", "RESPONSE_STREAM"]


@dataclass(frozen=True, slots=True)
class Configuration:
    """How a function runs. *role* is its ARN, `""` while the role is not there yet. Only what we set is in *environment*."""

    runtime: str
    handler: str
    memory_mb: int
    timeout_s: int
    architecture: str
    role: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def arguments(self) -> dict[str, object]:
        """Return what Lambda's API and a template both call it; the architecture goes with the code."""
        return {
            "Runtime": self.runtime,
            "Handler": self.handler,
            "MemorySize": self.memory_mb,
            "Timeout": self.timeout_s,
            "Role": self.role,
            "Environment": {"Variables": dict(self.environment)},
        }


@dataclass(frozen=True, slots=True)
class Code:
    """A bundle to send.

    *sha256* is base64 as Lambda gives it, *size* in bytes; *key* its place in the bucket, `""` if it goes directly.
    """

    path: Path
    sha256: str
    size: int
    key: str = ""


@dataclass(frozen=True, slots=True)
class WantedFunction:
    """A function as it shall be. *function* is its name in the graph, *name* that on Lambda.

    *pins* are functions of the graph whose versions it is told (`FNKIT_VERSIONS`); *reserved* is the most environments it may
    have.
    """

    function: str
    name: str
    code: Code
    configuration: Configuration
    pins: tuple[str, ...] = ()
    reserved: int | None = None


@dataclass(frozen=True, slots=True)
class WantedRole:
    """The role of the functions and the one *policy* it carries, plain JSON."""

    name: str
    policy: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class WantedQueue:
    """An SQS queue as it shall be; *attributes* as the API takes them, *arn* what it will have."""

    name: str
    attributes: Mapping[str, str]
    arn: str


@dataclass(frozen=True, slots=True)
class WantedMapping:
    """An event source mapping as it shall be.

    *function* is the name in the graph, *name* that on Lambda; *source* identifies what is read; *creation* are arguments that only a new
    mapping takes, *settings* those that may change.
    """

    function: str
    name: str
    source: str
    creation: Mapping[str, object]
    settings: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class RemoteMapping:
    """A mapping as it is: *version* is the version of the function that it calls."""

    uuid: str
    source: str
    version: str
    settings: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Asynchronous:
    """How asynchronous events are treated: attempts after the first, how old they may grow, and the ARN that gets those given up."""

    retries: int = 2
    max_age_s: int = 21_600
    on_failure: str = ""

    def arguments(self) -> dict[str, object]:
        """Return what Lambda's API and a template both call it."""
        destination = {"OnFailure": {"Destination": self.on_failure}} if self.on_failure else {}
        return {
            "MaximumRetryAttempts": self.retries,
            "MaximumEventAgeInSeconds": self.max_age_s,
            "DestinationConfig": destination,
        }


@dataclass(frozen=True, slots=True)
class Wanted:
    """All that shall be there.

    *role* None: a role that is given. *functions*: the entry function stands last. *asynchronous* None: left as it is.
    """

    graph: str
    stage: str
    tags: Mapping[str, str]
    role: WantedRole | None
    functions: tuple[WantedFunction, ...]
    auth: Auth
    mode: InvokeMode
    bucket: str = ""
    queues: tuple[WantedQueue, ...] = ()
    mappings: tuple[WantedMapping, ...] = ()
    asynchronous: Asynchronous | None = None

    @property
    def entry(self) -> WantedFunction:
        """The function that clients call."""
        return self.functions[-1]


@dataclass(frozen=True, slots=True)
class Version:
    """A version of a function: *number* is "$LATEST" or "1", "2"...; *code* the base64 SHA-256 of its zip."""

    number: str
    code: str
    configuration: Configuration


@dataclass(frozen=True, slots=True)
class Url:
    """A function URL."""

    url: str
    auth: str
    mode: str


@dataclass(frozen=True, slots=True)
class RemoteFunction:
    """A function as it is. *versions* are the published ones, oldest first; *alias* the version that `live` means.

    *statements* are the ids of our statements in the alias's policy. *asynchronous*: how events for the alias are treated.
    """

    latest: Version
    versions: tuple[Version, ...] = ()
    tags: Mapping[str, str] = field(default_factory=dict)
    alias: str | None = None
    url: Url | None = None
    statements: frozenset[str] = frozenset()
    reserved: int | None = None
    asynchronous: Asynchronous = Asynchronous()


@dataclass(frozen=True, slots=True)
class RemoteRole:
    """A role as it is; *policy* is ours in it, None if it is not there."""

    arn: str
    policy: Mapping[str, object] | None
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class RemoteState:
    """What is there: *queues* with their attributes and *queue_tags*, *mappings* by the Lambda name of their function."""

    role: RemoteRole | None = None
    functions: Mapping[str, RemoteFunction] = field(default_factory=dict)
    bucket: bool = False
    queues: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    queue_tags: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    mappings: Mapping[str, tuple[RemoteMapping, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Account:
    """Where a deployment goes. *suffix* ends the names of its hosts, `""`: as is usual in its partition."""

    number: str
    region: str
    partition: str = "aws"
    suffix: str = ""

    @property
    def domain(self) -> str:
        """What the names of AWS's hosts end in."""
        return self.suffix or ("amazonaws.com.cn" if self.partition == "aws-cn" else "amazonaws.com")
