"""Carry out a plan, action by action. What only becomes known on the way, ARNs and version numbers, is filled in here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import assert_never

from fnkit.deploy.actions import (
    Action,
    Allow,
    CreateBucket,
    CreateFunction,
    CreateRole,
    DeleteMapping,
    Forbid,
    PointAlias,
    Publish,
    PutAsynchronous,
    PutMapping,
    PutQueue,
    PutUrl,
    SetReserved,
    UpdateCode,
    UpdateConfiguration,
    UpdateRole,
)
from fnkit.deploy.cloud import Progress, Writer
from fnkit.deploy.naming import ALIAS
from fnkit.deploy.planner import DeployPlan, environment_of
from fnkit.deploy.state import Configuration, Wanted, WantedFunction


@dataclass(frozen=True, slots=True)
class Reports:
    """Who is told: *doing* of each action before it is done, *progress* of uploads."""

    doing: Callable[[Action], None]
    progress: Progress


def execute(plan: DeployPlan, wanted: Wanted, cloud: Writer, reports: Reports) -> None:
    """Carry out *plan*; the first failure ends it, and planning again continues from there."""
    executor = _Executor(wanted, cloud, reports.progress)
    for action in plan.actions:
        reports.doing(action)
        executor.do(action)


class _Executor:
    def __init__(self, wanted: Wanted, cloud: Writer, progress: Progress) -> None:
        self._wanted = wanted
        self._cloud = cloud
        self._progress = progress
        self._role = ""
        self._published: dict[str, str] = {}

    def do(self, action: Action) -> None:  # noqa: PLR0912 - one arm for each action
        match action:
            case CreateRole(role=role):
                self._role = self._cloud.create_role(role.name, role.policy, self._wanted.tags)
            case UpdateRole(role=role):
                self._cloud.put_role_policy(role.name, role.policy)
            case CreateBucket(name=name):
                self._cloud.create_bucket(name)
            case PutQueue(queue=queue, exists=exists):
                self._cloud.put_queue(queue.name, queue.attributes, self._wanted.tags, exists=exists)
            case PutMapping(mapping=mapping, version=version, uuid=uuid):
                self._cloud.put_mapping(mapping, version or self._published[mapping.function], uuid=uuid)
            case DeleteMapping(mapping=gone):
                self._cloud.delete_mapping(gone.uuid)
            case CreateFunction():
                self._create(action)
            case UpdateCode(function=function):
                architecture = function.configuration.architecture
                self._cloud.update_code(
                    function.name,
                    function.code,
                    architecture=architecture,
                    bucket=self._wanted.bucket,
                    progress=self._progress,
                )
            case UpdateConfiguration(function=function, versions=versions):
                self._cloud.update_configuration(function.name, self._configuration(function, versions))
            case SetReserved(name=name, reserved=reserved):
                self._cloud.set_reserved(name, reserved)
            case Publish(function=function_name, name=name):
                self._published[function_name] = self._cloud.publish(name)
            case PointAlias(function=function_name, name=name, version=version, exists=exists):
                self._cloud.put_alias(name, ALIAS, version or self._published[function_name], exists=exists)
            case PutUrl(name=name, auth=auth, mode=mode, exists=exists):
                self._cloud.put_url(name, ALIAS, auth=auth, mode=mode, exists=exists)
            case PutAsynchronous(name=name, asynchronous=asynchronous):
                self._cloud.put_asynchronous(name, ALIAS, asynchronous)
            case Allow(name=name, statement=statement):
                self._cloud.allow(name, ALIAS, statement)
            case Forbid(name=name, statement=statement):
                self._cloud.forbid(name, ALIAS, statement.sid)
            case _:
                assert_never(action)

    def _create(self, action: CreateFunction) -> None:
        function = action.function
        self._cloud.create_function(
            function.name,
            function.code,
            self._configuration(function, action.versions),
            bucket=self._wanted.bucket,
            tags=self._wanted.tags,
            progress=self._progress,
        )

    def _configuration(self, function: WantedFunction, versions: tuple[tuple[str, str | None], ...]) -> Configuration:
        known = {name: number or self._published[name] for name, number in versions}
        configuration = function.configuration
        environment = environment_of(function, known)
        return replace(configuration, environment=environment, role=configuration.role or self._role)
