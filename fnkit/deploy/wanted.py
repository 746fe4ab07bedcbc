"""Say what a build shall become on AWS, and refuse what AWS would refuse, all at once."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal

from fnkit.bundle import MAX_DIRECT_UPLOAD, MAX_UNZIPPED, Build, Bundle
from fnkit.deploy.asynchronous import NOTHING_SAID, AsyncWishes, want_asynchronous, want_queues
from fnkit.deploy.asynchronous import find_grants as find_async_grants
from fnkit.deploy.asynchronous import find_problems as find_async_problems
from fnkit.deploy.callees import find_callees, in_order
from fnkit.deploy.naming import bucket_name, function_prefix, role_name, tags
from fnkit.deploy.policies import role_policy
from fnkit.deploy.queue_names import Names
from fnkit.deploy.sources import Sources, made_queues, want_sources
from fnkit.deploy.sources import find_problems as find_queue_problems
from fnkit.deploy.sources import find_warnings as find_queue_warnings
from fnkit.deploy.state import Account, Code, Configuration, Wanted, WantedFunction, WantedRole
from fnkit.errors import ProblemsError, UsageError
from fnkit.manifest import Function, Manifest

HANDLER = "fnkit.runtime.handler.handler"
BOOTSTRAP = "/var/task/fnkit-bootstrap"
StreamRuntime = Literal["patch", "wrapper", "off"]
_MAX_ENVIRONMENT = 4096  # bytes, all names and values together
_VARIABLE = re.compile(r"[a-zA-Z]\w+", re.ASCII)
_RESERVED = frozenset(
    "_HANDLER _X_AMZN_TRACE_ID AWS_DEFAULT_REGION AWS_REGION AWS_EXECUTION_ENV AWS_LAMBDA_FUNCTION_NAME "
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE AWS_LAMBDA_FUNCTION_VERSION AWS_LAMBDA_INITIALIZATION_TYPE AWS_LAMBDA_LOG_GROUP_NAME "
    "AWS_LAMBDA_LOG_STREAM_NAME AWS_ACCESS_KEY AWS_ACCESS_KEY_ID AWS_SECRET_ACCESS_KEY AWS_SESSION_TOKEN "
    "AWS_LAMBDA_RUNTIME_API LAMBDA_TASK_ROOT LAMBDA_RUNTIME_DIR".split()
)
_STAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,15}")


@dataclass(frozen=True, slots=True)
class Wishes:
    """How to deploy.

    *role* and *bucket*: given ones, `""` for our own. *stream_runtime*: how functions stream. *secrets*: the ARNs of secrets, by the
    variables that queues name for their credentials.
    """

    stage: str = "dev"
    public: bool = False
    role: str = ""
    bucket: str = ""
    architecture: str = "x86_64"
    stream_runtime: StreamRuntime = "patch"
    secrets: Mapping[str, str] = field(default_factory=dict)
    asynchronous: AsyncWishes = NOTHING_SAID


def want(build: Build, account: Account, wishes: Wishes) -> Wanted:
    """Return what *build* shall become in *account*. UsageError or ProblemsError for what Lambda would not take."""
    if _STAGE.fullmatch(wishes.stage) is None:
        raise UsageError(
            f"{wishes.stage!r} is no name for a stage", where="--stage", hint="use letters, digits and hyphens, at most 16"
        )
    manifest = build.manifest
    prefix = function_prefix(manifest.name, wishes.stage)
    names = Names(account, prefix)
    problems = (
        *_problems(build),
        *find_queue_problems(manifest, names, wishes.secrets),
        *find_async_problems(wishes.asynchronous, names, {name for _, name in made_queues(manifest, names)}),
    )
    if problems:
        raise ProblemsError(f"the deployment of {manifest.name}", problems)
    sources = want_sources(manifest, names, wishes.secrets)
    functions = _functions(build, prefix, wishes, sources)
    grants = (*sources.statements, *_objects(account, wishes), *find_async_grants(wishes.asynchronous, names))
    through_bucket = any(function.code.key for function in functions)
    return Wanted(
        graph=manifest.name,
        stage=wishes.stage,
        tags=tags(manifest.name, wishes.stage),
        role=None if wishes.role else WantedRole(role_name(prefix), role_policy(account, prefix, grants)),
        functions=functions,
        auth="NONE" if wishes.public else "AWS_IAM",
        mode="RESPONSE_STREAM" if _streams(manifest, wishes) else "BUFFERED",
        bucket=(wishes.bucket or bucket_name(account.number, account.region)) if through_bucket else "",
        queues=(*sources.queues, *want_queues(wishes.asynchronous, names)),
        mappings=sources.mappings,
        asynchronous=want_asynchronous(wishes.asynchronous, names),
    )


def find_warnings(build: Build) -> tuple[str, ...]:
    """Return what a deployment leaves to the user, and what it cannot keep."""
    shared = [function for function in build.manifest.functions if function.concurrency > 1]
    alone = [
        f"function {function.name!r}: concurrency {function.concurrency} holds locally only, "
        "an environment of Lambda takes one event at a time"
        for function in shared
    ]
    return (*alone, *find_queue_warnings(build.manifest))


def _objects(account: Account, wishes: Wishes) -> Iterator[Mapping[str, object]]:
    """Yield what the role needs to carry large events by the given bucket."""
    if wishes.bucket:
        actions = ["s3:PutObject", "s3:GetObject", "s3:DeleteObject"]
        yield {
            "Effect": "Allow",
            "Action": actions,
            "Resource": [f"arn:{account.partition}:s3:::{wishes.bucket}/fnkit-objects/*"],
        }


def _functions(build: Build, prefix: str, wishes: Wishes, sources: Sources) -> tuple[WantedFunction, ...]:
    """Return each function after those that it calls, and whose versions it is told; the entry function last."""
    callees = find_callees(build.manifest)
    bundles = {bundle.function.name: bundle for bundle in build.bundles}
    wanted: list[WantedFunction] = []
    for function in in_order((bundle.function for bundle in build.bundles), callees):
        pins = tuple(sorted(callees[function.name].intersection(one.function for one in wanted)))
        wanted.append(_function(build.manifest, bundles[function.name], prefix, wishes, sources, pins))
    return tuple(wanted)


def _function(
    manifest: Manifest, bundle: Bundle, prefix: str, wishes: Wishes, sources: Sources, pins: tuple[str, ...]
) -> WantedFunction:
    function = bundle.function
    environment = {**function.environment, **sources.secrets, "FNKIT_FUNCTION_PREFIX": prefix}
    if wishes.bucket:
        environment["FNKIT_OBJECT_BUCKET"] = wishes.bucket  # for events that are too large to be sent from function to function
    if sources.urls:
        environment["FNKIT_QUEUE_URLS"] = json.dumps(sources.urls, sort_keys=True)
    if function.name in sources.reported:
        environment["FNKIT_KAFKA_REPORTS"] = sources.reported[function.name]
    if function.kind == "entry":
        environment["FNKIT_RESPONSE_MODE"] = "streaming" if _streams(manifest, wishes) else "buffered"
    if wishes.stream_runtime != "patch":
        environment["FNKIT_STREAM_RUNTIME"] = wishes.stream_runtime
    if wishes.stream_runtime == "wrapper":
        environment["AWS_LAMBDA_EXEC_WRAPPER"] = BOOTSTRAP
    configuration = Configuration(
        runtime=f"python{manifest.python}",
        handler=HANDLER,
        memory_mb=function.memory_mb,
        timeout_s=function.timeout_s,
        architecture=wishes.architecture,
        role=wishes.role,
        environment=environment,
    )
    name = prefix + function.name
    key = f"{name}/{bundle.sha256}.zip" if bundle.size > MAX_DIRECT_UPLOAD else ""
    code = Code(bundle.path, base64.b64encode(bytes.fromhex(bundle.sha256)).decode(), bundle.size, key)
    return WantedFunction(function.name, name, code, configuration, pins, function.max_environments)


def _streams(manifest: Manifest, wishes: Wishes) -> bool:
    return wishes.stream_runtime != "off" and (manifest.streaming or manifest.entry.streaming)


def _problems(build: Build) -> Iterator[str]:
    if not build.manifest.python:
        yield "the manifest names no Python version: build it again"
    for bundle in build.bundles:
        for problem in (*_limits(bundle.function), *_variables(bundle.function)):
            yield f"function {bundle.function.name!r}: {problem}"
        if bundle.unzipped_size > MAX_UNZIPPED:
            yield f"function {bundle.function.name!r}: {bundle.unzipped_size / 2**20:.0f} MB unzipped, Lambda takes 250 MB"


def _limits(function: Function) -> Iterator[str]:
    if not 128 <= function.memory_mb <= 10_240:
        yield f"memory_mb is {function.memory_mb}, Lambda gives 128 to 10240"
    if not 1 <= function.timeout_s <= 900:
        yield f"timeout_s is {function.timeout_s}, Lambda gives 1 to 900"


def _variables(function: Function) -> Iterator[str]:
    for name in sorted(function.environment):
        if name in _RESERVED or name.startswith("FNKIT_"):
            yield f"environment variable {name} is not yours to set"
        elif _VARIABLE.fullmatch(name) is None:
            yield f"environment variable {name!r}: Lambda wants two or more letters, digits or underscores, a letter first"
    total = sum(len(f"{name}{value}".encode()) for name, value in function.environment.items())
    if total > _MAX_ENVIRONMENT - 1024:  # the rest is ours
        yield f"environment variables take {total} bytes, Lambda has 4096 for all, fnkit's own included"
