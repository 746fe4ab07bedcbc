"""The files of an exported stack, and what its user is told to run."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from fnkit.bundle import Build
from fnkit.cli.build import command as build_command
from fnkit.cli.deploy import command as deploy_command
from fnkit.deploy import Wishes
from fnkit.deploy.cloudformation import write_stack
from fnkit.errors import BundleError
from fnkit.functions import place
from fnkit.manifest import Flow, Function, Manifest, Step
from tests.fakes.builds import fake_build
from tests.fakes.sources import GREETER


@pytest.fixture
def script(tmp_path: Path) -> str:
    (tmp_path / "serve.py").write_text(GREETER)
    return str(tmp_path / "serve.py")


def run_build(*arguments: str) -> Result:
    return CliRunner().invoke(build_command, [*arguments, "--target", "cloudformation"])


def built(folder: Path, contents: dict[str, bytes] | None = None) -> Build:
    (folder / "built").mkdir(exist_ok=True)
    return fake_build(folder / "built", contents=contents)


def test_the_folder_code_holds_the_bundles_under_the_keys_of_the_template(tmp_path: Path) -> None:
    exported = write_stack(built(tmp_path), Wishes(), tmp_path / "template.yaml")

    found = {path.relative_to(tmp_path / "code").as_posix(): path.read_bytes() for path in (tmp_path / "code").rglob("*.zip")}
    text = (tmp_path / "template.yaml").read_text()
    assert set(found) == {row[2].removeprefix(f"{tmp_path}/code/") for row in exported.rows}
    for key, content in found.items():
        assert key.endswith(f"/{hashlib.sha256(content).hexdigest()}.zip")
        assert f"S3Key: {key}\n" in text


def test_older_bundles_are_taken_away_and_other_files_are_left(tmp_path: Path) -> None:
    write_stack(built(tmp_path), Wishes(), tmp_path / "template.yaml")
    mine = tmp_path / "code" / "chat-dev-greet" / "notes.zip"
    mine.write_bytes(b"mine")

    write_stack(built(tmp_path, {"greet": b"changed"}), Wishes(), tmp_path / "template.yaml")

    left = {path.name for path in mine.parent.iterdir()}
    assert left == {"notes.zip", f"{hashlib.sha256(b'changed').hexdigest()}.zip"}


def test_a_bundle_that_was_changed_after_it_was_built_is_refused(tmp_path: Path) -> None:
    build = built(tmp_path)
    build.bundles[0].path.write_bytes(b"something else")

    with pytest.raises(BundleError):
        write_stack(build, Wishes(), tmp_path / "template.yaml")

    assert not (tmp_path / "template.yaml").exists()


def test_the_commands_copy_the_bundles_and_carry_out_the_template(tmp_path: Path) -> None:
    exported = write_stack(built(tmp_path), Wishes(bucket="ours"), tmp_path / "my stack.yaml", region="eu-central-1")

    assert exported.commands == (
        f"aws s3 sync {tmp_path}/code s3://ours --size-only --region eu-central-1",
        f"aws cloudformation deploy --template-file '{tmp_path}/my stack.yaml' --stack-name chat-dev --region eu-central-1 "
        "--capabilities CAPABILITY_NAMED_IAM --parameter-overrides CodeBucket=ours",
    )


def test_without_a_role_of_its_own_a_stack_needs_no_capability(tmp_path: Path) -> None:
    exported = write_stack(built(tmp_path), Wishes(role="arn:aws:iam::123456789012:role/mine"), tmp_path / "template.yaml")

    assert "--capabilities" not in exported.commands[1]
    assert exported.commands[1].endswith('--parameter-overrides "CodeBucket=$BUCKET"')


def test_a_large_template_goes_through_the_bucket(tmp_path: Path) -> None:
    large = {f"V{number}": "x" * 100 for number in range(28)}
    steps = tuple(Step(f"s{n}", handler="app:run", after=(f"s{n - 1}",) if n else (), function=f"f{n}") for n in range(20))
    many = place(Manifest("chat", Flow(steps), functions=(Function("chat", "entry"),), python="3.11"), "step")
    many = replace(many, functions=tuple(replace(item, environment=large) for item in many.functions))

    small = write_stack(built(tmp_path), Wishes(), tmp_path / "template.yaml")
    exported = write_stack(fake_build(tmp_path, many), Wishes(), tmp_path / "template.yaml")

    assert "--s3-bucket" not in small.commands[1]
    assert '--s3-bucket "$BUCKET"' in exported.commands[1]


def test_a_secret_that_is_not_known_is_asked_for_and_what_aws_does_otherwise_is_said(tmp_path: Path) -> None:
    queue = Step("jobs", kind="queue", args={"path": "kafka://one:9092/orders", "credentials": "KAFKA"}, after=("take",))
    steps = (Step("take", handler="app:take"), queue, Step("keep", handler="app:keep", after=("jobs",), function="keeper"))
    graph = place(Manifest("orders", Flow(steps), functions=(Function("orders", "entry"),), python="3.11"), "step")

    exported = write_stack(fake_build(tmp_path, graph), Wishes(), tmp_path / "template.yaml")

    assert '"CodeBucket=$BUCKET" "KAFKASecret=$KAFKASecret"' in exported.commands[1]
    assert any("comes again as a whole" in warning for warning in exported.warnings)


@pytest.mark.parametrize(("stage", "name"), [("dev", "chat-dev"), ("1st", "chat-1st")])
def test_fnkit_build_writes_the_stack_beside_the_bundles(tmp_path: Path, script: str, stage: str, name: str) -> None:
    out = tmp_path / "out"

    done = run_build(script, "-o", str(out), "--stage", stage, "--public", "--json")

    assert done.exit_code == 0, done.output
    last = json.loads(done.stdout.splitlines()[-1])
    assert last["event"] == "exported"
    assert last["template"] == str(out / "template.yaml")
    assert f"--stack-name {name} " in last["commands"][1]
    text = (out / "template.yaml").read_text()
    assert "AuthType: NONE" in text
    assert sorted(path.name for path in out.glob("*.zip")) == ["Greet.zip", "chat.zip"]


def test_what_is_built_becomes_a_stack_in_another_folder(tmp_path: Path, script: str) -> None:
    CliRunner().invoke(build_command, [script, "-o", str(tmp_path / "built")])

    done = run_build(str(tmp_path / "built"), "-o", str(tmp_path / "stack"), "--stream-runtime", "wrapper")

    assert done.exit_code == 0, done.output
    assert "/var/task/fnkit-bootstrap" in (tmp_path / "stack" / "template.yaml").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--image", "x"), "does not go with --target cloudformation"),
        (("--platform", "host"), "Lambda does not have this machine"),
        (("--stage", "a/b"), "is no name for a stage"),
    ],
)
def test_options_that_make_no_stack_are_refused(tmp_path: Path, script: str, arguments: tuple[str, ...], message: str) -> None:
    done = run_build(script, "-o", str(tmp_path / "out"), *arguments)

    assert (done.exit_code, message in done.stderr) == (2, True), done.output


def test_options_of_a_stack_are_refused_without_one(tmp_path: Path, script: str) -> None:
    done = CliRunner().invoke(build_command, [script, "-o", str(tmp_path / "out"), "--public"])

    assert done.exit_code == 2
    assert "goes with --target cloudformation only" in done.stderr


@pytest.mark.parametrize("option", [("--dry-run",), ("--endpoint-url", "http://127.0.0.1:1")])
def test_fnkit_deploy_refuses_a_template_with_what_asks_aws(tmp_path: Path, script: str, option: tuple[str, ...]) -> None:
    done = CliRunner().invoke(deploy_command, [script, "--template", str(tmp_path / "t.yaml"), *option])

    assert done.exit_code == 2
    assert "does not go with --template" in done.stderr
