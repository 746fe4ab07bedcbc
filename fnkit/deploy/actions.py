"""The steps of a deployment plan, as data. Each says in one line what it will do."""

from __future__ import annotations

from dataclasses import dataclass

from fnkit.deploy.policies import Statement
from fnkit.deploy.state import (
    Asynchronous,
    Auth,
    InvokeMode,
    RemoteMapping,
    WantedFunction,
    WantedMapping,
    WantedQueue,
    WantedRole,
)


@dataclass(frozen=True, slots=True)
class CreateRole:
    """Make the role."""

    role: WantedRole

    def describe(self) -> str:
        return f"create role {self.role.name}"


@dataclass(frozen=True, slots=True)
class UpdateRole:
    """Give the role its policy."""

    role: WantedRole

    def describe(self) -> str:
        return f"update the policy of role {self.role.name}"


@dataclass(frozen=True, slots=True)
class CreateBucket:
    """Make the bucket that large bundles go through."""

    name: str

    def describe(self) -> str:
        return f"create bucket {self.name}"


@dataclass(frozen=True, slots=True)
class PutQueue:
    """Make an SQS queue, or change its attributes."""

    queue: WantedQueue
    exists: bool

    def describe(self) -> str:
        return f"{'change' if self.exists else 'create'} queue {self.queue.name}"


@dataclass(frozen=True, slots=True)
class PutMapping:
    """Let a function read a queue: a new mapping, or with *uuid* the one that is there. *version* None: what this plan publishes."""

    mapping: WantedMapping
    version: str | None
    uuid: str

    def describe(self) -> str:
        return f"{'change' if self.uuid else 'create'} the mapping from {self.mapping.source} to {self.mapping.name}"


@dataclass(frozen=True, slots=True)
class DeleteMapping:
    """Let a function no longer read a queue."""

    name: str
    mapping: RemoteMapping

    def describe(self) -> str:
        return f"remove the mapping from {self.mapping.source} to {self.name}"


@dataclass(frozen=True, slots=True)
class CreateFunction:
    """Make a function with its code and configuration. *versions*: what it is told of the functions it pins."""

    function: WantedFunction
    versions: tuple[tuple[str, str | None], ...]

    def describe(self) -> str:
        return f"create function {self.function.name} ({_size(self.function)})"


@dataclass(frozen=True, slots=True)
class UpdateCode:
    """Send new code."""

    function: WantedFunction

    def describe(self) -> str:
        return f"upload code of {self.function.name} ({_size(self.function)})"


@dataclass(frozen=True, slots=True)
class UpdateConfiguration:
    """Change the configuration; *changed* names what changes."""

    function: WantedFunction
    versions: tuple[tuple[str, str | None], ...]
    changed: tuple[str, ...]

    def describe(self) -> str:
        return f"configure {self.function.name} ({', '.join(self.changed)})"


@dataclass(frozen=True, slots=True)
class SetReserved:
    """Set, or with None lift, the limit of environments."""

    name: str
    reserved: int | None

    def describe(self) -> str:
        if self.reserved is None:
            return f"lift the limit of environments of {self.name}"
        return f"limit {self.name} to {self.reserved} environments"


@dataclass(frozen=True, slots=True)
class Publish:
    """Publish a version of what the function is now."""

    function: str
    name: str

    def describe(self) -> str:
        return f"publish a version of {self.name}"


@dataclass(frozen=True, slots=True)
class PointAlias:
    """Let the alias mean *version*; None: the one that is published by this plan. *exists* says whether there is one."""

    function: str
    name: str
    version: str | None
    exists: bool

    def describe(self) -> str:
        target = "the new version" if self.version is None else f"version {self.version}"
        return f"{'switch' if self.exists else 'create'} alias live of {self.name} to {target}"


@dataclass(frozen=True, slots=True)
class PutUrl:
    """Make or change the function URL of the alias."""

    name: str
    auth: Auth
    mode: InvokeMode
    exists: bool

    def describe(self) -> str:
        who = "public" if self.auth == "NONE" else "signed calls only"
        return f"{'change' if self.exists else 'create'} the URL of {self.name} ({who}, {self.mode})"


@dataclass(frozen=True, slots=True)
class PutAsynchronous:
    """Say how asynchronous events for the alias are treated."""

    name: str
    asynchronous: Asynchronous

    def describe(self) -> str:
        events = self.asynchronous
        where = f", then to {events.on_failure}" if events.on_failure else ""
        plural = "y" if events.retries == 1 else "ies"
        return f"try asynchronous events of {self.name} again: {events.retries} retr{plural} within {events.max_age_s} s{where}"


@dataclass(frozen=True, slots=True)
class Allow:
    """Add a statement to the alias's policy."""

    name: str
    statement: Statement

    def describe(self) -> str:
        return f"allow everyone {self.statement.action} on {self.name}"


@dataclass(frozen=True, slots=True)
class Forbid:
    """Remove a statement from the alias's policy."""

    name: str
    statement: Statement

    def describe(self) -> str:
        return f"no longer allow everyone {self.statement.action} on {self.name}"


Action = (
    CreateRole
    | UpdateRole
    | CreateBucket
    | PutQueue
    | PutMapping
    | DeleteMapping
    | CreateFunction
    | UpdateCode
    | UpdateConfiguration
    | SetReserved
    | Publish
    | PointAlias
    | PutUrl
    | PutAsynchronous
    | Allow
    | Forbid
)


def _size(function: WantedFunction) -> str:
    through = ", through S3" if function.code.key else ""
    return f"{function.code.size / 2**20:.1f} MB{through}"
