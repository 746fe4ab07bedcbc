"""Deploy to moto's server, which keeps what Lambda would keep and checks what it is sent, without running it."""

import hashlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.awslambda_simple.models import lambda_simple_backends

from fnkit.bundle import Build, build, read_bundles
from fnkit.bundle.model import MAX_DIRECT_UPLOAD
from fnkit.deploy import Reports, Wishes, carry_out, prepare
from fnkit.deploy.aws import Aws
from fnkit.deploy.session import Session
from fnkit.manifest import Flow, Function, Manifest, Step
from fnkit.project.loaded import Loaded
from tests.fakes.builds import with_size
from tests.fakes.moto_cloud import moto_cloud, reset
from tests.fakes.sources import COUNTING, GREETER

REGION = "eu-central-1"
APP = "class Greet:\n    def do(self, x):\n        return 'hello'\n"
SHOUT = "class Shout:\n    def do(self, x):\n        return str(x).upper()\n"


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    with moto_cloud() as url:
        yield url


@pytest.fixture
def endpoint(moto: str) -> str:
    reset(moto)
    return moto


@pytest.fixture
def project(tmp_path: Path) -> Path:
    root = tmp_path / "project"
    root.mkdir()
    (root / "greet.py").write_text(APP)
    (root / "shout.py").write_text(SHOUT)
    return root


def _built(project: Path, out: Path, *, streaming: bool = True) -> Build:
    steps = (Step("greet", target="greet:Greet"), Step("shout", target="shout:Shout", after=("greet",), responder=True))
    entry = Function("chat", "entry", streaming=streaming)
    return build(Loaded(Manifest("chat", Flow(steps), functions=(entry,), streaming=streaming), project), out)


def _environ(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    return {
        **kept,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        **more,
    }


CREDENTIALS = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing"}


def _fnkit(*arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "fnkit", *arguments]
    environ = environ if environ is not None else _environ(**CREDENTIALS)
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environ, timeout=100)


def _deploy(out: Path, endpoint: str, *arguments: str) -> list[dict[str, object]]:
    done = _fnkit("deploy", str(out), "--endpoint-url", endpoint, "--region", REGION, "--json", *arguments)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def _client(endpoint: str, service: str = "lambda") -> Any:
    return boto3.client(
        service, endpoint_url=endpoint, region_name=REGION, aws_access_key_id="testing", aws_secret_access_key="testing"
    )


def _stored(name: str, qualifier: str) -> bytes:
    """Return the code that moto keeps for a version of a function; its server does not give it out, but runs in this process."""
    backend = lambda_simple_backends["123456789012"][REGION]
    code = backend.get_function(name, qualifier).code_bytes
    assert isinstance(code, bytes)
    return code


def _changes(events: list[dict[str, object]]) -> list[object]:
    return [event["text"] for event in events if event["event"] == "action"]


def test_what_moto_stores_is_byte_for_byte_what_was_built(project: Path, tmp_path: Path, endpoint: str) -> None:
    built = _built(project, tmp_path / "out")

    events = _deploy(tmp_path / "out", endpoint)

    assert events[-1]["event"] == "deployed"
    assert str(events[-1]["url"]).startswith("https://")
    for bundle in built.bundles:
        stored = _stored(f"chat-dev-{bundle.function.name}", "1")
        assert stored == bundle.path.read_bytes()
        assert hashlib.sha256(stored).hexdigest() == bundle.sha256


def test_a_dry_run_shows_the_plan_that_is_then_carried_out_and_a_second_run_plans_nothing(
    project: Path, tmp_path: Path, endpoint: str
) -> None:
    _built(project, tmp_path / "out")

    dry = _deploy(tmp_path / "out", endpoint, "--dry-run")
    after_dry = _client(endpoint).list_functions()["Functions"]
    wet = _deploy(tmp_path / "out", endpoint)
    again = _deploy(tmp_path / "out", endpoint)

    assert after_dry == []
    assert dry[-1]["event"] == "plan"
    assert dry[-1]["actions"] == _changes(wet)
    assert again[0] == {"event": "plan", "actions": []}
    assert again[-1]["url"] == wet[-1]["url"]


def test_a_change_of_code_uploads_only_the_changed_function(project: Path, tmp_path: Path, endpoint: str) -> None:
    _built(project, tmp_path / "one")
    _deploy(tmp_path / "one", endpoint)
    (project / "shout.py").write_text(SHOUT + "# changed\n")
    built = _built(project, tmp_path / "two")

    changes = _changes(_deploy(tmp_path / "two", endpoint))

    assert [str(change).partition(" (")[0] for change in changes] == [
        "upload code of chat-dev-shout",
        "publish a version of chat-dev-shout",
        "configure chat-dev-chat",
        "publish a version of chat-dev-chat",
        "switch alias live of chat-dev-chat to the new version",
    ]
    assert _stored("chat-dev-shout", "2") == built.bundle("shout").path.read_bytes()
    environment = _client(endpoint).get_function_configuration(FunctionName="chat-dev-chat", Qualifier="live")["Environment"]
    assert json.loads(environment["Variables"]["FNKIT_VERSIONS"]) == {"greet": "1", "shout": "2"}


def test_public_and_back_leaves_no_permission(project: Path, tmp_path: Path, endpoint: str) -> None:
    _built(project, tmp_path / "out")
    _deploy(tmp_path / "out", endpoint, "--public")
    client = _client(endpoint)
    policy = json.loads(client.get_policy(FunctionName="chat-dev-chat", Qualifier="live")["Policy"])
    url = client.get_function_url_config(FunctionName="chat-dev-chat", Qualifier="live")
    again = _deploy(tmp_path / "out", endpoint, "--public")

    _deploy(tmp_path / "out", endpoint)

    assert (url["AuthType"], url["InvokeMode"]) == ("NONE", "RESPONSE_STREAM")
    assert {item["Action"]: item["Principal"] for item in policy["Statement"]} == {
        "lambda:InvokeFunctionUrl": "*",
        "lambda:InvokeFunction": "*",
    }
    assert again[0]["actions"] == []
    after = client.get_function_url_config(FunctionName="chat-dev-chat", Qualifier="live")
    assert after["AuthType"] == "AWS_IAM"
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        client.get_policy(FunctionName="chat-dev-chat", Qualifier="live")


def test_functions_and_role_carry_our_tags_and_only_the_permissions_they_need(
    project: Path, tmp_path: Path, endpoint: str
) -> None:
    _built(project, tmp_path / "out")
    _deploy(tmp_path / "out", endpoint, "--stage", "test")

    tags = _client(endpoint).get_function(FunctionName="chat-test-greet")["Tags"]
    iam = _client(endpoint, "iam")
    policy = iam.get_role_policy(RoleName="chat-test-role", PolicyName="fnkit")["PolicyDocument"]

    assert tags == {"fnkit:graph": "chat", "fnkit:stage": "test"}
    invoke = policy["Statement"][1]
    assert invoke["Resource"] == [f"arn:aws:lambda:{REGION}:123456789012:function:chat-test-*"]
    assert invoke["Action"] == ["lambda:InvokeFunction"]


def test_a_bundle_above_the_limit_goes_through_s3(project: Path, tmp_path: Path, endpoint: str) -> None:
    built = with_size(_built(project, tmp_path / "out"), "greet", MAX_DIRECT_UPLOAD + 1)
    session = Session(lambda service: _client(endpoint, service), REGION, "aws", None)
    sent: list[tuple[str, int]] = []
    cloud = Aws(session)

    carry_out(
        prepare(built, cloud, Wishes()),
        cloud,
        Reports(lambda action: None, lambda name, count, total: sent.append((name, count))),
    )

    assert _stored("chat-dev-greet", "1") == built.bundle("greet").path.read_bytes()
    assert ("chat-dev-greet", built.bundle("greet").path.stat().st_size) in sent
    assert prepare(built, Aws(session), Wishes()).plan.actions == ()


def test_a_long_upload_tells_how_far_it_is(project: Path, tmp_path: Path, endpoint: str) -> None:
    (project / "model.bin").write_bytes(os.urandom(3 * 2**20))
    flow = Flow((Step("greet", target="greet:Greet", responder=True),))
    loaded = Loaded(Manifest("chat", flow), project, includes=("model.bin",))
    build(loaded, tmp_path / "out", placement="fused")

    events = _deploy(tmp_path / "out", endpoint)

    sent = [event["sent"] for event in events if event["event"] == "upload"]
    total = {event["total"] for event in events if event["event"] == "upload"}
    assert len(sent) == 5
    assert sent == sorted(int(str(count)) for count in sent)
    assert {sent[-1]} == total


def test_a_step_file_is_built_and_deployed_at_once_as_its_options_say(tmp_path: Path, endpoint: str) -> None:
    (tmp_path / "serve.py").write_text(GREETER)
    common = ("--endpoint-url", endpoint, "--region", REGION, "--json", "--stage", "qa")

    done = _fnkit("deploy", str(tmp_path / "serve.py"), *common, "--placement", "fused", "--stream-runtime", "wrapper")

    assert done.returncode == 0, done.stderr
    found = _client(endpoint).list_functions()["Functions"]
    variables = found[0]["Environment"]["Variables"]
    assert [item["FunctionName"] for item in found] == ["chat-qa-chat"]
    assert variables["FNKIT_STREAM_RUNTIME"] == "wrapper"
    assert variables["AWS_LAMBDA_EXEC_WRAPPER"] == "/var/task/fnkit-bootstrap"


def test_a_script_deploys_itself_to_aws(tmp_path: Path, endpoint: str) -> None:
    (tmp_path / "serve.py").write_text(GREETER + 'print(fn.deploy(target="aws"))\n')
    environ = _environ(**CREDENTIALS, AWS_ENDPOINT_URL=endpoint, AWS_REGION=REGION)

    done = subprocess.run(
        [sys.executable, str(tmp_path / "serve.py")], capture_output=True, text=True, check=False, env=environ, timeout=60
    )

    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("https://")
    assert {item["FunctionName"] for item in _client(endpoint).list_functions()["Functions"]} == {
        "chat-dev-chat",
        "chat-dev-Greet",
    }


@pytest.mark.parametrize(("answer", "arguments", "count"), [("n", (), 0), ("y", (), 3), ("", ("--yes",), 3)])
def test_a_person_at_a_terminal_is_asked_unless_they_said_yes(
    project: Path, tmp_path: Path, endpoint: str, answer: str, arguments: tuple[str, ...], count: int
) -> None:
    _built(project, tmp_path / "out")
    person, terminal = os.openpty()
    os.write(person, f"{answer}\n".encode())
    command = [sys.executable, "-m", "fnkit", "deploy", str(tmp_path / "out"), "--endpoint-url", endpoint, "--region", REGION]

    done = subprocess.run(
        [*command, *arguments],
        stdin=terminal,
        capture_output=True,
        text=True,
        check=False,
        env=_environ(**CREDENTIALS),
        timeout=60,
    )
    os.close(person)
    os.close(terminal)

    assert ("Carry out this plan?" in done.stderr) == (not arguments)
    assert done.returncode == (0 if count else 1), done.stderr
    assert len(_client(endpoint).list_functions()["Functions"]) == count


# -- what goes wrong


def test_without_credentials_the_way_without_an_account_is_named(project: Path, tmp_path: Path) -> None:
    _built(project, tmp_path / "out")

    done = _fnkit("deploy", str(tmp_path / "out"), "--region", REGION, environ=_environ())

    assert done.returncode == 1
    assert "no AWS credentials" in done.stderr
    assert "--target local" in done.stderr
    assert "fnkit emulate" in done.stderr
    assert "Traceback" not in done.stderr


def test_an_endpoint_that_nobody_listens_on_is_named(project: Path, tmp_path: Path) -> None:
    _built(project, tmp_path / "out")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]

    environ = _environ(**CREDENTIALS, AWS_MAX_ATTEMPTS="1")
    done = _fnkit(
        "deploy", str(tmp_path / "out"), "--region", REGION, "--endpoint-url", f"http://127.0.0.1:{port}", environ=environ
    )

    assert done.returncode == 1
    assert "cannot be reached" in done.stderr
    assert f"127.0.0.1:{port}" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "no AWS region is set"),
        (("--region", "eu-centrall-1"), "did you mean eu-central-1?"),
        (("--region", "not a region"), "is no AWS region"),
        (("--region", REGION, "--endpoint-url", "localhost:4566"), "is no URL"),
        (("--region", REGION, "--stage", "a/b"), "no name for a stage"),
        (("--region", REGION, "--placement", "fused"), "placed already"),
    ],
)
def test_wrong_use_is_refused_with_exit_code_two(
    project: Path, tmp_path: Path, arguments: tuple[str, ...], message: str, endpoint: str
) -> None:
    _built(project, tmp_path / "out")
    if "--stage" in arguments:
        arguments = (*arguments, "--endpoint-url", endpoint)

    done = _fnkit("deploy", str(tmp_path / "out"), *arguments)

    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_unknown_profile_is_a_matter_of_credentials(project: Path, tmp_path: Path) -> None:
    _built(project, tmp_path / "out")

    done = _fnkit("deploy", str(tmp_path / "out"), "--region", REGION, environ=_environ(AWS_PROFILE="nobody"))

    assert (done.returncode, "nobody" in done.stderr, "Traceback" in done.stderr) == (1, True, False)


def test_the_zips_that_moto_stores_run_in_the_emulator(tmp_path: Path, endpoint: str) -> None:
    root = tmp_path / "project"
    root.mkdir()
    (root / "app.py").write_text(COUNTING)
    steps = (Step("count", target="app:Count"), Step("mark", target="app:Mark", after=("count",), responder=True))
    entry = Function("chat", "entry", streaming=True)
    built = build(Loaded(Manifest("chat", Flow(steps), functions=(entry,), streaming=True), root), tmp_path / "out")
    _deploy(tmp_path / "out", endpoint)
    downloaded = tmp_path / "downloaded"
    downloaded.mkdir()
    for name in ("graph.json", "bundles.json"):
        (downloaded / name).write_bytes((tmp_path / "out" / name).read_bytes())
    for bundle in built.bundles:
        (downloaded / bundle.path.name).write_bytes(_stored(f"chat-dev-{bundle.function.name}", "1"))

    with _emulator(downloaded) as url:
        by_url = _fnkit("invoke", url, "-d", '{"count": 3}', "--stream", "--json")
        by_name = _fnkit("invoke", "chat", "--url", url, "-d", '{"count": 2}')
        by_api = _fnkit("invoke", "chat", "--endpoint-url", url, "--region", REGION, "-d", '{"count": 1}')

    assert [bundle.sha256 for bundle in read_bundles(downloaded).bundles] == [bundle.sha256 for bundle in built.bundles]
    assert by_url.returncode == 0, by_url.stderr
    assert json.loads(by_url.stdout.splitlines()[-1])["headers"]["transfer-encoding"] == "chunked"
    assert "".join(json.loads(line)["data"] for line in by_url.stdout.splitlines()[:-1]) == "<0>\n<1>\n<2>\n"
    assert (by_name.stdout, by_name.stderr) == ("<0>\n<1>\n", "")
    assert (by_api.stdout, by_api.stderr) == ("<0>\n", "")


@contextmanager
def _emulator(folder: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "fnkit", "emulate", str(folder), "--port", "0", "--json", "--exit-with-stdin"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        ready = json.loads(process.stdout.readline())
        assert ready["event"] == "ready", ready
        yield ready["url"]
    finally:
        process.communicate(timeout=60)


def test_an_inference_graph_is_deployed_with_a_function_per_service(tmp_path: Path, endpoint: str) -> None:
    example = Path(__file__).parents[2] / "examples" / "kserve" / "switch.yaml"
    common = ("--endpoint-url", endpoint, "--region", REGION, "--json")

    done = _fnkit("deploy", str(example), *common)
    dry = _fnkit("deploy", str(example), *common, "--dry-run")

    assert done.returncode == 0, done.stderr
    names = sorted(item["FunctionName"] for item in _client(endpoint).list_functions()["Functions"])
    prefix = names[0].removesuffix("conditional-routing-pipeline")
    services = ["lower", "middle-model", "upper"]
    assert names == [f"{prefix}{name}" for name in ("conditional-routing-pipeline", *services)]
    configuration = _client(endpoint).get_function_configuration(FunctionName=names[0], Qualifier="live")
    variables = configuration["Environment"]["Variables"]
    assert variables["FNKIT_FUNCTION_PREFIX"] == prefix
    assert json.loads(variables["FNKIT_VERSIONS"]) == dict.fromkeys(services, "1")
    actions = _changes([json.loads(line) for line in done.stdout.splitlines()])
    assert sum("publish a version" in str(action) for action in actions) == 4
    assert "conditional-routing-pipeline" in str(actions[-2])
    assert json.loads(dry.stdout.splitlines()[-1])["actions"] == []
