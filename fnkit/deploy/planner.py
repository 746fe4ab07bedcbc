"""Compare what shall be with what is, and plan the difference. Pure: nothing is read or changed here.

The order of a plan is its safety. What is no longer allowed goes first. Then the functions behind the entry function are
brought up to date and published, then the entry function, which is told their versions. Until then clients see nothing of it.
Last of all the alias moves: one switch for the whole graph. A plan that was broken off is continued by planning again, for what
was done is found done. Published versions are found again by what they are, code and configuration, so nothing is published
twice, and going back to earlier code reuses its version.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

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
from fnkit.deploy.policies import PUBLIC
from fnkit.deploy.state import Configuration, InvokeMode, RemoteFunction, RemoteState, Version, Wanted, WantedFunction
from fnkit.errors import DeployError

VERSIONS = "FNKIT_VERSIONS"
_STACK = "aws:cloudformation:stack-name"  # a tag that CloudFormation gives to what it makes


@dataclass(frozen=True, slots=True)
class DeployPlan:
    """What a deployment will do, in order; nothing if all is as it shall be."""

    actions: tuple[Action, ...]

    def lines(self) -> tuple[str, ...]:
        """Return one line for each action."""
        return tuple(action.describe() for action in self.actions)


def plan(wanted: Wanted, remote: RemoteState) -> DeployPlan:
    """Return what turns *remote* into *wanted*. DeployError if a name is taken by something that is not ours."""
    _refuse_strangers(wanted, remote)
    actions: list[Action] = [
        *_closing(wanted, remote),
        *_role(wanted, remote),
        *_bucket(wanted, remote),
        *_queues(wanted, remote),
    ]
    role = remote.role.arn if wanted.role and remote.role else ""
    versions: dict[str, str | None] = {}
    for function in wanted.functions:
        mine = function if wanted.role is None else _with_role(function, role)
        there = remote.functions.get(function.name)
        told = tuple((name, versions[name]) for name in function.pins)
        number, steps = _function(mine, there, told)
        versions[function.function] = number
        actions += steps
        actions += _reserved(function, there)
    actions += _front(wanted, remote.functions.get(wanted.entry.name), versions[wanted.entry.function])
    actions += _mappings(wanted, remote, versions)
    return DeployPlan(tuple(actions))


def environment_of(function: WantedFunction, versions: Mapping[str, str]) -> dict[str, str]:
    """Return the environment of *function* when the functions that it pins have *versions*."""
    environment = dict(function.configuration.environment)
    if function.pins:
        environment[VERSIONS] = json.dumps({name: versions[name] for name in function.pins}, sort_keys=True)
    return environment


def _refuse_strangers(wanted: Wanted, remote: RemoteState) -> None:
    found = {name: there.tags for name, there in sorted(remote.functions.items())} | dict(remote.queue_tags)
    if wanted.role and remote.role:
        found[wanted.role.name] = remote.role.tags
    strangers = [name for name, tags in found.items() if not _ours(wanted, tags)]
    stacks = {tags[_STACK] for tags in found.values() if _STACK in tags}
    if stacks:
        raise DeployError(
            f"stage {wanted.stage} of {wanted.graph} belongs to the CloudFormation stack {', '.join(sorted(stacks))}",
            hint="update the stack (fnkit build --target cloudformation), or choose another --stage",
        )
    if strangers:
        raise DeployError(
            f"not made by this deployment, though it has the name: {', '.join(strangers)}",
            hint="choose another --stage, rename the graph, or delete what is in the way",
        )


def _ours(wanted: Wanted, tags: Mapping[str, str]) -> bool:
    return all(tags.get(key) == value for key, value in wanted.tags.items())


def _closing(wanted: Wanted, remote: RemoteState) -> Iterator[Action]:
    there = remote.functions.get(wanted.entry.name)
    if wanted.auth != "NONE" and there is not None:
        yield from (Forbid(wanted.entry.name, item) for item in PUBLIC if item.sid in there.statements)
        if there.url is not None and there.url.auth == "NONE":
            mode: InvokeMode = "RESPONSE_STREAM" if there.url.mode == "RESPONSE_STREAM" else "BUFFERED"
            yield PutUrl(wanted.entry.name, wanted.auth, mode, exists=True)


def _role(wanted: Wanted, remote: RemoteState) -> Iterator[Action]:
    if wanted.role is None:
        return
    if remote.role is None:
        yield CreateRole(wanted.role)
    elif remote.role.policy != wanted.role.policy:
        yield UpdateRole(wanted.role)


def _bucket(wanted: Wanted, remote: RemoteState) -> Iterator[Action]:
    if wanted.bucket and not remote.bucket:
        yield CreateBucket(wanted.bucket)


def _queues(wanted: Wanted, remote: RemoteState) -> Iterator[Action]:
    for queue in wanted.queues:
        there = remote.queues.get(queue.name)
        if there is None or any(not _same(there.get(name, ""), value) for name, value in queue.attributes.items()):
            yield PutQueue(queue, exists=there is not None)


def _same(there: str, wanted: str) -> bool:
    """Compare attributes of a queue: those that hold JSON come back with other spaces and an own order."""
    try:
        return bool(json.loads(there) == json.loads(wanted))
    except ValueError:
        return there == wanted


def _mappings(wanted: Wanted, remote: RemoteState, versions: Mapping[str, str | None]) -> Iterator[Action]:
    """Yield the switch of what reads queues, after that of what clients call."""
    kept: set[str] = set()
    for mapping in wanted.mappings:
        there = next((one for one in remote.mappings.get(mapping.name, ()) if one.source == mapping.source), None)
        version = versions[mapping.function]
        if there is not None:
            kept.add(there.uuid)
        if there is None or version is None or there.version != version or _differs(mapping.settings, there.settings):
            yield PutMapping(mapping, version, there.uuid if there else "")
    for name, found in sorted(remote.mappings.items()):
        yield from (DeleteMapping(name, one) for one in found if one.uuid not in kept)


def _differs(wanted: Mapping[str, object], there: Mapping[str, object]) -> bool:
    """Compare what is wanted; Lambda answers with more, such as destinations that are empty."""
    return any(not _holds(there.get(name), value) for name, value in wanted.items())


def _holds(there: object, wanted: object) -> bool:
    if isinstance(wanted, Mapping) and isinstance(there, Mapping):
        return not _differs(wanted, there)
    return there == wanted


def _with_role(function: WantedFunction, role: str) -> WantedFunction:
    return replace(function, configuration=replace(function.configuration, role=role))


def _function(
    function: WantedFunction, there: RemoteFunction | None, told: tuple[tuple[str, str | None], ...]
) -> tuple[str | None, list[Action]]:
    """Return the version that *function* will have, None for one not published yet, and what leads there."""
    publish = Publish(function.function, function.name)
    if there is None:
        return None, [CreateFunction(function, told), publish]
    configuration = _resolved(function, told)
    if configuration is not None:
        for version in reversed(there.versions):
            if version.code == function.code.sha256 and version.configuration == configuration:
                return version.number, []
    actions: list[Action] = []
    architecture = function.configuration.architecture  # it changes with the code
    if there.latest.code != function.code.sha256 or there.latest.configuration.architecture != architecture:
        actions.append(UpdateCode(function))
    changed = _changed(function.configuration, configuration, there.latest)
    if changed:
        actions.append(UpdateConfiguration(function, told, changed))
    return None, [*actions, publish]


def _resolved(function: WantedFunction, told: tuple[tuple[str, str | None], ...]) -> Configuration | None:
    """Return the whole configuration, None while it depends on versions that are not published yet."""
    known = {name: number for name, number in told if number is not None}
    if len(known) != len(told):
        return None
    return replace(function.configuration, environment=environment_of(function, known))


def _changed(wanted: Configuration, resolved: Configuration | None, latest: Version) -> tuple[str, ...]:
    there = latest.configuration
    changed = [
        word
        for word, is_other in (
            ("runtime", wanted.runtime != there.runtime),
            ("handler", wanted.handler != there.handler),
            ("memory", wanted.memory_mb != there.memory_mb),
            ("timeout", wanted.timeout_s != there.timeout_s),
            ("role", wanted.role != there.role),
        )
        if is_other
    ]
    before = dict(there.environment)
    if resolved is None:
        before.pop(VERSIONS, None)
        changed.append("versions of the other functions")
    if (resolved or wanted).environment != before:
        changed.append("environment")
    return tuple(changed)


def _reserved(function: WantedFunction, there: RemoteFunction | None) -> Iterator[Action]:
    if function.reserved != (there.reserved if there else None):
        yield SetReserved(function.name, function.reserved)


def _front(wanted: Wanted, there: RemoteFunction | None, version: str | None) -> Iterator[Action]:
    """Yield the switch of the alias, and what has to follow it: a URL and its permissions need an alias to stand on."""
    name = wanted.entry.name
    alias = there.alias if there else None
    if version is None or alias != version:
        yield PointAlias(wanted.entry.function, name, version, exists=alias is not None)
    url = there.url if there else None
    if url is None:
        yield PutUrl(name, wanted.auth, wanted.mode, exists=False)
    elif url.mode != wanted.mode or (url.auth != wanted.auth and wanted.auth == "NONE"):
        yield PutUrl(name, wanted.auth, wanted.mode, exists=True)
    if wanted.auth == "NONE":
        held = there.statements if there else frozenset()
        yield from (Allow(name, item) for item in PUBLIC if item.sid not in held)
    if wanted.asynchronous is not None and (there is None or there.asynchronous != wanted.asynchronous):
        yield PutAsynchronous(name, wanted.asynchronous)
