"""Deploy a build::

    Build --want--> Wanted --+
                             +--plan--> DeployPlan --execute--> URL
    AWS  --read--> RemoteState

`want` and `plan` are functions of data; `read` and `execute` are the only ones that talk, through the `Cloud` that they are given.
"""

from __future__ import annotations

from dataclasses import dataclass

from fnkit.bundle import Build, verify_bundle
from fnkit.deploy.cloud import Cloud, Reader
from fnkit.deploy.executor import Reports, execute
from fnkit.deploy.naming import ALIAS
from fnkit.deploy.planner import DeployPlan, plan
from fnkit.deploy.state import RemoteState, Wanted
from fnkit.deploy.wanted import Wishes, want


@dataclass(frozen=True, slots=True)
class Prepared:
    """A deployment that is planned and not yet carried out."""

    wanted: Wanted
    plan: DeployPlan


@dataclass(frozen=True, slots=True)
class Deployed:
    """A graph on AWS: the *url* of its entry function and the Lambda name of each of its functions."""

    url: str
    functions: dict[str, str]


def prepare(build: Build, cloud: Reader, wishes: Wishes) -> Prepared:
    """Read what is there and plan what makes it *build*. BundleError if a bundle was changed after it was built."""
    for bundle in build.bundles:
        verify_bundle(bundle)
    wanted = want(build, cloud.account(), wishes)
    return Prepared(wanted, plan(wanted, read(wanted, cloud)))


def read(wanted: Wanted, cloud: Reader) -> RemoteState:
    """Return what is there of *wanted*."""
    found = {function.name: cloud.function(function.name) for function in wanted.functions}
    queues = {queue.name: there for queue in wanted.queues if (there := cloud.queue(queue.name)) is not None}
    return RemoteState(
        role=cloud.role(wanted.role.name) if wanted.role else None,
        functions={name: there for name, there in found.items() if there is not None},
        bucket=bool(wanted.bucket) and cloud.has_bucket(wanted.bucket),
        queues=queues,
        queue_tags={name: cloud.queue_tags(name) for name in queues},
        mappings={name: mappings for name in found if found[name] is not None and (mappings := cloud.mappings(name))},
    )


def carry_out(prepared: Prepared, cloud: Cloud, reports: Reports) -> Deployed:
    """Do what was planned and return where the graph is now."""
    execute(prepared.plan, prepared.wanted, cloud, reports)
    return Deployed(
        cloud.url(prepared.wanted.entry.name, ALIAS),
        {function.function: function.name for function in prepared.wanted.functions},
    )
