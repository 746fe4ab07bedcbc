"""What a deployment asks of a cloud: the one seam between the plan and AWS, so that tests put an object in its place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from fnkit.deploy.policies import Statement
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
    WantedMapping,
)

Progress = Callable[[str, int, int], None]
"""Told the name of a function, how many bytes of its code are sent, and how many there are."""


class Reader(Protocol):
    """Reads what is there; changes nothing."""

    def account(self) -> Account:
        """Return where this is."""
        ...

    def role(self, name: str) -> RemoteRole | None:
        """Return the role *name*, None if there is none."""
        ...

    def function(self, name: str) -> RemoteFunction | None:
        """Return the function *name*, None if there is none."""
        ...

    def has_bucket(self, name: str) -> bool:
        """Tell whether the bucket is there."""
        ...

    def queue(self, name: str) -> Mapping[str, str] | None:
        """Return the attributes of the SQS queue *name*, None if there is none."""
        ...

    def queue_tags(self, name: str) -> Mapping[str, str]:
        """Return the tags of the SQS queue *name*, which is there."""
        ...

    def mappings(self, name: str) -> tuple[RemoteMapping, ...]:
        """Return the event source mappings of the function *name*, whichever version they call."""
        ...


class Writer(Protocol):
    """Makes one change at a time; each call returns when the change holds."""

    def create_role(self, name: str, policy: Mapping[str, object], tags: Mapping[str, str]) -> str:
        """Make a role with *policy* and return its ARN."""
        ...

    def put_role_policy(self, name: str, policy: Mapping[str, object]) -> None:
        """Give the role *policy*."""
        ...

    def create_bucket(self, name: str) -> None:
        """Make a private bucket."""
        ...

    def create_function(
        self, name: str, code: Code, configuration: Configuration, *, bucket: str, tags: Mapping[str, str], progress: Progress
    ) -> None:
        """Make a function."""
        ...

    def update_code(self, name: str, code: Code, *, architecture: str, bucket: str, progress: Progress) -> None:
        """Send the code of a function."""
        ...

    def update_configuration(self, name: str, configuration: Configuration) -> None:
        """Change the configuration of a function."""
        ...

    def set_reserved(self, name: str, reserved: int | None) -> None:
        """Set, or lift, the limit of environments."""
        ...

    def put_queue(self, name: str, attributes: Mapping[str, str], tags: Mapping[str, str], *, exists: bool) -> None:
        """Make an SQS queue, or change its attributes."""
        ...

    def put_mapping(self, mapping: WantedMapping, version: str, *, uuid: str) -> None:
        """Make an event source mapping that calls *version*, or with *uuid* change that one."""
        ...

    def delete_mapping(self, uuid: str) -> None:
        """Remove an event source mapping."""
        ...

    def publish(self, name: str) -> str:
        """Publish a version and return its number."""
        ...

    def put_alias(self, name: str, alias: str, version: str, *, exists: bool) -> None:
        """Let *alias* mean *version*."""
        ...

    def put_url(self, name: str, alias: str, *, auth: Auth, mode: InvokeMode, exists: bool) -> None:
        """Make or change the URL of the alias."""
        ...

    def put_asynchronous(self, name: str, alias: str, asynchronous: Asynchronous) -> None:
        """Say how asynchronous events for *alias* are treated."""
        ...

    def url(self, name: str, alias: str) -> str:
        """Return the URL of the alias."""
        ...

    def allow(self, name: str, alias: str, statement: Statement) -> None:
        """Add *statement* to the alias's policy."""
        ...

    def forbid(self, name: str, alias: str, sid: str) -> None:
        """Remove the statement *sid* from the alias's policy."""
        ...


class Cloud(Reader, Writer, Protocol):
    """Both."""
