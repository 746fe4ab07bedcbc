"""Export a graph as a CloudFormation stack: `template.yaml`, and `code/`, the bundles under the keys that the template names.

The template asks for a bucket when it is carried out, and for the secrets that queues name where these are not known here. Nothing is
asked of AWS: account, region and partition are those in which the template is carried out.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import yaml

from fnkit.bundle import Build, verify_bundle
from fnkit.deploy.choices import Choices, build_for_cloud, choose
from fnkit.deploy.export import Exported, Exporter, Order
from fnkit.deploy.naming import function_prefix
from fnkit.deploy.placeholders import ANYWHERE, placeholder
from fnkit.deploy.sources import secret_names
from fnkit.deploy.state import Wanted
from fnkit.deploy.template import BUCKET, Document, Parameter, bucket_parameter, code_key, secret_parameter, write_template
from fnkit.deploy.wanted import StreamRuntime, Wishes, find_warnings, want
from fnkit.errors import DeployError

_INLINE = 51_200  # bytes of a template that is sent as it is
_LARGEST = 1_000_000  # and of one that is put into a bucket first
_ZIP = re.compile(r"[0-9a-f]{64}\.zip")
_HEADING = ("FUNCTION", "NAME ON LAMBDA", "BUNDLE")


@dataclass(frozen=True, slots=True)
class Stack:
    """A template and what belongs to it: *keys* are the places of the bundles in the bucket, by the names of the graph."""

    wanted: Wanted
    keys: Mapping[str, str]
    parameters: tuple[Parameter, ...]
    text: str


def make_stack(build: Build, wishes: Wishes) -> Stack:
    """Return the stack of *build*. ProblemsError, UsageError or DeployError for what Lambda or CloudFormation would not take."""
    unknown = [secret_parameter(name) for name in secret_names(build.manifest) if name not in wishes.secrets]
    told = {variable: placeholder(secret_parameter(variable).name) for variable in secret_names(build.manifest)}
    wanted = want(build, ANYWHERE, replace(wishes, secrets={**told, **wishes.secrets}))
    hashes = {bundle.function.name: bundle.sha256 for bundle in build.bundles}
    keys = {function.function: code_key(function, hashes[function.function]) for function in wanted.functions}
    parameters = (bucket_parameter(wishes.bucket), *unknown)
    text = template_text(write_template(wanted, keys, parameters))
    if len(text.encode()) > _LARGEST:
        raise DeployError(
            f"the template has {len(text.encode())} bytes, CloudFormation takes {_LARGEST}",
            where=wanted.graph,
            hint="put steps together with function= or --placement fused, or use fnkit deploy, which has no such limit",
        )
    return Stack(wanted, keys, parameters, text)


def template_text(document: Document) -> str:
    """Return *document* as YAML, without the anchors that CloudFormation does not read."""
    text: str = yaml.dump(document, Dumper=_Plain, sort_keys=False, allow_unicode=True, width=10_000)
    return text


def write_stack(
    build: Build, wishes: Wishes, template: Path, *, region: str = "", report: Callable[[str], None] = lambda _: None
) -> Exported:
    """Write the stack of *build*: the file *template*, and beside it the folder `code`; *report* is told what is left to choose."""
    for bundle in build.bundles:
        verify_bundle(bundle)
    stack = make_stack(build, wishes)
    code = template.parent / "code"
    for bundle in build.bundles:
        _put(bundle.path, code / stack.keys[bundle.function.name])
    template.write_text(stack.text, "utf-8")
    if not wishes.bucket:
        report("run these with BUCKET set to a bucket of yours in the region of the stack")
    functions = [(function.function, function.name, stack.keys[function.function]) for function in stack.wanted.functions]
    return Exported(
        stack.wanted.graph,
        _HEADING,
        tuple((function, name, str(code / key)) for function, name, key in functions),
        tuple({"event": "function", "function": function, "name": name, "key": key} for function, name, key in functions),
        {"template": str(template), "code": str(code)},
        tuple(_commands(stack, template, code, wishes.bucket or "$BUCKET", region)),
        (*build.warnings, *find_warnings(build)),
    )


def export_order(order: Order) -> Exported:
    """Write the stack of the graph of *order*."""
    built, settings = build_for_cloud(order.target, order.out, options=order.build, environ=os.environ, report=order.report)
    runtime = cast(StreamRuntime, order.text("stream_runtime", "patch"))  # the command has checked it
    public = order.given.get("public")
    choices = Choices(order.text("stage"), None if public is None else bool(public), runtime, order.build.platform)
    order.out.mkdir(parents=True, exist_ok=True)
    wishes = choose(choices, settings, built.manifest, os.environ)
    return write_stack(built, wishes, order.out / "template.yaml", region=settings.region, report=order.report)


def _put(bundle: Path, place: Path) -> None:
    """Let *place* be *bundle*, which it is called by the hash of, and remove what older builds left beside it."""
    place.parent.mkdir(parents=True, exist_ok=True)
    for left in place.parent.iterdir():
        if _ZIP.fullmatch(left.name):
            left.unlink()
    try:
        os.link(bundle, place)
    except OSError:  # another file system, or one without links
        shutil.copyfile(bundle, place)


def _commands(stack: Stack, template: Path, code: Path, bucket: str, region: str) -> Iterator[str]:
    """Yield what a user runs next: copy the bundles, then carry out the template."""
    there = ["--region", region] if region else []
    name = function_prefix(stack.wanted.graph, stack.wanted.stage).rstrip("-")
    copy = ["aws", "s3", "sync", str(code), f"s3://{bucket}", "--size-only", *there]
    run = ["aws", "cloudformation", "deploy", "--template-file", str(template), "--stack-name"]
    run += [name if name[:1].isalpha() else f"fnkit-{name}", *there]
    if stack.wanted.role is not None:
        run += ["--capabilities", "CAPABILITY_NAMED_IAM"]
    if len(stack.text.encode()) > _INLINE:
        run += ["--s3-bucket", bucket]
    given = [f"{parameter.name}={bucket if parameter.name == BUCKET else '$' + parameter.name}" for parameter in stack.parameters]
    run += ["--parameter-overrides", *given]
    for command in (copy, run):
        yield " ".join(f'"{word}"' if "$" in word else shlex.quote(word) for word in command)


class _Plain(yaml.SafeDumper):
    """Writes what occurs twice twice."""

    def ignore_aliases(self, data: object) -> bool:
        return True


EXPORTER = Exporter(
    export_order,
    frozenset({"placement", "python", "platform", "refresh", "stage", "public", "stream_runtime"}),
    "a template.yaml and the bundles it names, to be carried out by AWS CloudFormation",
)
