"""A cloud in memory: it keeps what a deployment writes as Lambda would, and can fail in the middle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from fnkit.deploy.cloud import Progress
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
    Url,
    Version,
    WantedMapping,
)
from fnkit.errors import DeployError

ACCOUNT = Account("123456789012", "eu-central-1")


class InMemoryCloud:
    """Its state is public; *fail_at* is the number of the change that fails, once (0: none)."""

    def __init__(self, *, fail_at: int = 0) -> None:
        self.roles: dict[str, RemoteRole] = {}
        self.functions: dict[str, RemoteFunction] = {}
        self.buckets: set[str] = set()
        self.queues: dict[str, Mapping[str, str]] = {}
        self.tags_of_queues: dict[str, Mapping[str, str]] = {}
        self.sources: dict[str, tuple[RemoteMapping, ...]] = {}
        self.sent: list[str] = []
        self.changes: list[str] = []
        self.fail_at = fail_at

    # ---- reading

    def account(self) -> Account:
        return ACCOUNT

    def role(self, name: str) -> RemoteRole | None:
        return self.roles.get(name)

    def function(self, name: str) -> RemoteFunction | None:
        return self.functions.get(name)

    def has_bucket(self, name: str) -> bool:
        return name in self.buckets

    def queue(self, name: str) -> Mapping[str, str] | None:
        return self.queues.get(name)

    def queue_tags(self, name: str) -> Mapping[str, str]:
        return self.tags_of_queues[name]

    def mappings(self, name: str) -> tuple[RemoteMapping, ...]:
        return self.sources.get(name, ())

    def url(self, name: str, alias: str) -> str:
        found = self.functions[name].url
        assert found is not None
        return found.url

    def find_url(self, name: str) -> str | None:
        there = self.functions.get(name)
        return there.url.url if there and there.url else None

    # ---- changing

    def create_role(self, name: str, policy: Mapping[str, object], tags: Mapping[str, str]) -> str:
        self._change(f"create role {name}")
        self.roles[name] = RemoteRole(f"arn:aws:iam::123456789012:role/{name}", policy, tags)
        return self.roles[name].arn

    def put_role_policy(self, name: str, policy: Mapping[str, object]) -> None:
        self._change(f"policy {name}")
        self.roles[name] = replace(self.roles[name], policy=policy)

    def create_bucket(self, name: str) -> None:
        self._change(f"create bucket {name}")
        self.buckets.add(name)

    def create_function(
        self, name: str, code: Code, configuration: Configuration, *, bucket: str, tags: Mapping[str, str], progress: Progress
    ) -> None:
        assert not code.key or bucket in self.buckets
        assert name not in self.functions
        assert configuration.role
        self._change(f"create {name}")
        self._send(name, code, progress)
        self.functions[name] = RemoteFunction(Version("$LATEST", code.sha256, configuration), tags=tags)

    def update_code(self, name: str, code: Code, *, architecture: str, bucket: str, progress: Progress) -> None:
        self._change(f"code {name}")
        self._send(name, code, progress)
        latest = self.functions[name].latest
        configuration = replace(latest.configuration, architecture=architecture)
        self._put(name, latest=Version("$LATEST", code.sha256, configuration))

    def update_configuration(self, name: str, configuration: Configuration) -> None:
        self._change(f"configure {name}")
        self._put(name, latest=replace(self.functions[name].latest, configuration=configuration))

    def set_reserved(self, name: str, reserved: int | None) -> None:
        self._change(f"reserve {name} {reserved}")
        self._put(name, reserved=reserved)

    def put_queue(self, name: str, attributes: Mapping[str, str], tags: Mapping[str, str], *, exists: bool) -> None:
        assert exists == (name in self.queues)
        self._change(f"queue {name}")
        self.queues[name] = attributes
        self.tags_of_queues.setdefault(name, tags)

    def put_mapping(self, mapping: WantedMapping, version: str, *, uuid: str) -> None:
        assert version in {item.number for item in self.functions[mapping.name].versions}
        self._change(f"mapping {mapping.name} {version}")
        others = tuple(one for one in self.mappings(mapping.name) if one.uuid != uuid)
        made = RemoteMapping(uuid or f"uuid-{len(self.changes)}", mapping.source, version, mapping.settings)
        self.sources[mapping.name] = (*others, made)

    def delete_mapping(self, uuid: str) -> None:
        self._change(f"no mapping {uuid}")
        self.sources = {name: tuple(one for one in found if one.uuid != uuid) for name, found in self.sources.items()}

    def publish(self, name: str) -> str:
        self._change(f"publish {name}")
        there = self.functions[name]
        if there.versions and replace(there.versions[-1], number="$LATEST") == there.latest:
            return there.versions[-1].number
        version = replace(there.latest, number=str(len(there.versions) + 1))
        self._put(name, versions=(*there.versions, version))
        return version.number

    def put_alias(self, name: str, alias: str, version: str, *, exists: bool) -> None:
        self._change(f"alias {name} {version}")
        assert exists == (self.functions[name].alias is not None)
        assert version in {item.number for item in self.functions[name].versions}
        self._put(name, alias=version)

    def put_url(self, name: str, alias: str, *, auth: Auth, mode: InvokeMode, exists: bool) -> None:
        self._change(f"url {name} {auth} {mode}")
        assert exists == (self.functions[name].url is not None)
        self._put(name, url=Url(f"https://{name}.lambda-url.eu-central-1.on.aws/", auth, mode))

    def put_asynchronous(self, name: str, alias: str, asynchronous: Asynchronous) -> None:
        assert self.functions[name].alias is not None
        self._change(f"asynchronous {name}")
        self._put(name, asynchronous=asynchronous)

    def allow(self, name: str, alias: str, statement: Statement) -> None:
        self._change(f"allow {name} {statement.sid}")
        self._put(name, statements=self.functions[name].statements | {statement.sid})

    def forbid(self, name: str, alias: str, sid: str) -> None:
        self._change(f"forbid {name} {sid}")
        self._put(name, statements=self.functions[name].statements - {sid})

    # ---- how

    def _change(self, what: str) -> None:
        if self.fail_at and len(self.changes) + 1 == self.fail_at:
            self.fail_at = 0
            raise DeployError(f"failed before: {what}")
        self.changes.append(what)

    def _send(self, name: str, code: Code, progress: Progress) -> None:
        self.sent.append(name)
        progress(name, code.size, code.size)

    def _put(self, name: str, **values: object) -> None:
        self.functions[name] = replace(self.functions[name], **values)  # type: ignore[arg-type]  # the caller names them
