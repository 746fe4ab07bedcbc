"""Whose credentials the functions and the pollers use: made-up ones, or the user's own where the queues of a graph ask for them.

The pollers work in the emulator's own process and use what this machine's shell has, with `--env` on top. The functions get made-up AWS
credentials, unless the graph has a queue on AWS (or the options say otherwise): then those that boto3 finds here, as keys, with the
endpoints that the shell names. Whatever they have, they call the emulator with a key of its own, so the user's never travel there.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from importlib import import_module
from urllib.parse import urlsplit

from fnkit.errors import UsageError
from fnkit.functions.queues.cluster import read_credentials
from fnkit.functions.queues.errors import QueueError
from fnkit.functions.queues.spec import QueueSpec
from fnkit_emulator.options import Options

KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
_OF_IDENTITY = frozenset({*KEYS, "AWS_PROFILE", "AWS_DEFAULT_PROFILE"})
_ENDPOINT = "AWS_ENDPOINT_URL"
_V3IO = {"V3IO_API": "which says where the service of its stream is", "V3IO_ACCESS_KEY": "which holds the key to it"}
Resolve = Callable[[Mapping[str, str]], Mapping[str, str]]


def outside(given: Mapping[str, str], shell: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables of *shell* with *given* on top. Keys or a profile in *given* replace all that the shell says of who we are."""
    replaced = _OF_IDENTITY if any(given.get(name) for name in _OF_IDENTITY) else frozenset()
    return {**{name: value for name, value in shell.items() if name not in replaced}, **given}


def with_credentials(
    options: Options, specs: Iterable[QueueSpec], *, shell: Mapping[str, str] = os.environ, resolve: Resolve | None = None
) -> tuple[Options, tuple[str, ...]]:
    """Return *options* with what the functions of a graph with the queues *specs* get, and what people should be told.

    *resolve* finds AWS credentials for a set of variables. `UsageError` names every variable that a queue needs and nobody has set.
    """
    specs = tuple(specs)
    around = outside(options.environment, shell)
    logins = _logins(specs, around)
    environment = {**logins, **options.environment}
    on_aws = sorted({spec.name for spec in specs if _asks_aws(spec, around)})
    if not (options.aws_credentials or (options.aws_credentials is None and on_aws)):
        return replace(options, environment=environment), ()
    found = (resolve or find_aws_credentials)(around)
    endpoints = {name: value for name, value in around.items() if name.startswith(_ENDPOINT) and name != f"{_ENDPOINT}_LAMBDA"}
    remarks = () if found else (_nobody(on_aws),)
    return replace(options, environment={**endpoints, **environment}, identity=found), remarks


def find_aws_credentials(around: Mapping[str, str]) -> Mapping[str, str]:
    """Return the AWS credentials that *around* names, as variables; empty without any. `UsageError` for a profile that does not work."""
    if around.get(KEYS[0]) and around.get(KEYS[1]):
        return {name: around[name] for name in KEYS if around.get(name)}
    try:
        chain = import_module("boto3").Session(profile_name=around.get("AWS_PROFILE") or None).get_credentials()
        now = None if chain is None else chain.get_frozen_credentials()
    except ModuleNotFoundError:
        return {}
    except Exception as error:  # botocore's own, of many kinds: an unknown profile, a broken file, a login that has ended
        raise UsageError(
            f"the AWS credentials cannot be found: {error}",
            where=f"profile {around['AWS_PROFILE']}" if around.get("AWS_PROFILE") else "",
            hint="see ~/.aws/config, or log in again with `aws sso login`; --no-aws-credentials goes on without",
        ) from error
    if now is None:
        return {}
    values = (now.access_key, now.secret_key, now.token or "")
    return {name: value for name, value in zip(KEYS, values, strict=True) if value}


def _nobody(queues: list[str]) -> str:
    named = f"queue{'s' if len(queues) > 1 else ''} {', '.join(repr(name) for name in queues)}"
    wanted = (
        f"{named} of this graph {'are' if len(queues) > 1 else 'is'} on AWS"
        if queues
        else "the functions shall have AWS credentials"
    )
    return f"{wanted}, without credentials: set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"


def _asks_aws(spec: QueueSpec, around: Mapping[str, str]) -> bool:
    if spec.kind in ("sqs", "kinesis"):
        return True
    secret = bool(spec.credentials) and around.get(spec.credentials, "").startswith("arn:")
    return spec.kind == "kafka" and (secret or (bool(spec.cluster) and not spec.brokers))


def _logins(specs: tuple[QueueSpec, ...], around: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which Kafka and V3IO queues are reached."""
    named = {spec.credentials: spec for spec in specs if spec.credentials}
    streams = [spec for spec in specs if spec.kind == "v3io"]
    problems = [problem for spec in named.values() for problem in _login_problems(spec, around)]
    problems += [problem for spec in streams for problem in _v3io_problems(spec, around)]
    if problems:
        raise UsageError("\n".join(sorted(problems)), hint="set it in this shell, or with --env")
    wanted = (*named, *(_V3IO if streams else ()))
    return {name: around[name] for name in wanted if name in around}


def _v3io_problems(spec: QueueSpec, around: Mapping[str, str]) -> Iterator[str]:
    for name, what in _V3IO.items():
        if not around.get(name) and not (name == "V3IO_API" and urlsplit(spec.address).netloc):
            yield f"queue '{spec.name}': the variable {name}, {what}, is not set"


def _login_problems(spec: QueueSpec, around: Mapping[str, str]) -> Iterator[str]:
    try:
        read_credentials(spec, around, lambda _service, _arn: {"SecretString": '{"username": "", "password": ""}'})
    except QueueError as error:
        yield f"{error.where}: {error.message}; {error.hint}"
