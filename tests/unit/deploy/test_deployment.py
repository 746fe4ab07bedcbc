import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fnkit.bundle import Build
from fnkit.deploy import Deployed, Prepared, Reports, Wishes, carry_out, prepare
from fnkit.deploy.state import RemoteFunction, Version
from fnkit.errors import BundleError, DeployError, ProblemsError, UsageError
from fnkit.manifest import Function
from tests.fakes.builds import fake_build, manifest, with_size
from tests.fakes.cloud import InMemoryCloud

ENTRY = "chat-dev-chat"


class Log:
    """Hears what a deployment does."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.uploads: list[str] = []

    @property
    def reports(self) -> Reports:
        return Reports(lambda action: self.lines.append(action.describe()), lambda name, sent, total: self.uploads.append(name))


def _deploy(build: Build, cloud: InMemoryCloud, wishes: Wishes | None = None, log: Log | None = None) -> Deployed:
    return carry_out(_prepare(build, cloud, wishes), cloud, (log or Log()).reports)


def _prepare(build: Build, cloud: InMemoryCloud, wishes: Wishes | None = None) -> Prepared:
    return prepare(build, cloud, wishes or Wishes())


def test_a_first_deployment_makes_everything_and_moves_the_alias_after_all_versions(tmp_path: Path) -> None:
    cloud = InMemoryCloud()

    deployed = _deploy(fake_build(tmp_path), cloud)

    assert cloud.changes == [
        "create role chat-dev-role",
        "create chat-dev-greet",
        "publish chat-dev-greet",
        "create chat-dev-shout",
        "publish chat-dev-shout",
        "create chat-dev-chat",
        "publish chat-dev-chat",
        "alias chat-dev-chat 1",
        "url chat-dev-chat AWS_IAM BUFFERED",
    ]
    assert deployed.url == "https://chat-dev-chat.lambda-url.eu-central-1.on.aws/"
    assert deployed.functions == {"greet": "chat-dev-greet", "shout": "chat-dev-shout", "chat": "chat-dev-chat"}


def test_a_second_run_plans_nothing(tmp_path: Path) -> None:
    cloud = InMemoryCloud()
    _deploy(fake_build(tmp_path), cloud)

    assert _prepare(fake_build(tmp_path), cloud).plan.actions == ()


def test_the_plan_tells_what_the_deployment_then_does(tmp_path: Path) -> None:
    cloud, log = InMemoryCloud(), Log()
    prepared = _prepare(fake_build(tmp_path), cloud)

    carry_out(prepared, cloud, log.reports)

    assert tuple(log.lines) == prepared.plan.lines()


def test_planning_changes_nothing(tmp_path: Path) -> None:
    cloud = InMemoryCloud()

    _prepare(fake_build(tmp_path), cloud)

    assert cloud.changes == []


def test_a_change_of_code_sends_only_that_function_and_pins_its_new_version(tmp_path: Path) -> None:
    cloud = InMemoryCloud()
    _deploy(fake_build(tmp_path), cloud)
    cloud.changes.clear()
    cloud.sent.clear()

    _deploy(fake_build(tmp_path, contents={"greet": b"changed"}), cloud)

    assert cloud.sent == ["chat-dev-greet"]
    assert cloud.changes == [
        "code chat-dev-greet",
        "publish chat-dev-greet",
        "configure chat-dev-chat",
        "publish chat-dev-chat",
        "alias chat-dev-chat 2",
    ]
    pinned = cloud.functions[ENTRY].latest.configuration.environment["FNKIT_VERSIONS"]
    assert json.loads(pinned) == {"greet": "2", "shout": "1"}


def test_going_back_to_earlier_code_reuses_its_version(tmp_path: Path) -> None:
    cloud = InMemoryCloud()
    _deploy(fake_build(tmp_path), cloud)
    _deploy(fake_build(tmp_path, contents={"greet": b"changed"}), cloud)
    cloud.changes.clear()

    _deploy(fake_build(tmp_path), cloud)

    assert cloud.changes == ["alias chat-dev-chat 1"]


@settings(max_examples=30, deadline=None)
@given(fail_at=st.integers(1, 12), public=st.booleans(), streaming=st.booleans())
def test_a_deployment_that_breaks_off_is_continued_by_running_it_again(
    fail_at: int, public: bool, streaming: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("broken")
    build = fake_build(folder, manifest(streaming=streaming))
    cloud, whole = InMemoryCloud(fail_at=fail_at), InMemoryCloud()
    wishes = Wishes(public=public)

    try:
        _deploy(build, cloud, wishes)
    except DeployError:
        _deploy(build, cloud, wishes)
    _deploy(build, whole, wishes)

    assert cloud.functions == whole.functions
    assert cloud.changes == whole.changes  # nothing was done twice
    assert _prepare(build, cloud, wishes).plan.actions == ()


@settings(max_examples=20, deadline=None)
@given(fail_at=st.integers(1, 5))
def test_clients_see_nothing_of_an_update_that_breaks_off(fail_at: int, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("update")
    cloud = InMemoryCloud()
    _deploy(fake_build(folder), cloud)
    before = _seen_by_clients(cloud)
    cloud.fail_at = len(cloud.changes) + fail_at

    with pytest.raises(DeployError, match="failed before"):
        _deploy(fake_build(folder, contents={"greet": b"other"}), cloud)

    assert _seen_by_clients(cloud) == before


def _seen_by_clients(cloud: InMemoryCloud) -> object:
    """Return what the alias leads to: the entry function's version, and the versions that it calls."""
    entry = cloud.functions[ENTRY]
    version = next(item for item in entry.versions if item.number == entry.alias)
    pins = json.loads(version.configuration.environment["FNKIT_VERSIONS"])
    called = {name: cloud.functions[f"chat-dev-{name}"].versions[int(number) - 1] for name, number in pins.items()}
    return entry.alias, entry.url, version, called


def test_public_adds_the_two_statements_and_private_takes_them_away_first(tmp_path: Path) -> None:
    build, cloud = fake_build(tmp_path), InMemoryCloud()
    _deploy(build, cloud)
    cloud.changes.clear()

    _deploy(build, cloud, Wishes(public=True))
    opened, statements = list(cloud.changes), cloud.functions[ENTRY].statements
    assert _prepare(build, cloud, Wishes(public=True)).plan.actions == ()
    cloud.changes.clear()
    _deploy(fake_build(tmp_path, contents={"shout": b"new"}), cloud)

    assert opened == [
        f"url {ENTRY} NONE BUFFERED",
        f"allow {ENTRY} fnkit-public-url",
        f"allow {ENTRY} fnkit-public-invoke",
    ]
    assert statements == {"fnkit-public-url", "fnkit-public-invoke"}
    assert cloud.changes[:3] == [
        f"forbid {ENTRY} fnkit-public-url",
        f"forbid {ENTRY} fnkit-public-invoke",
        f"url {ENTRY} AWS_IAM BUFFERED",
    ]
    assert cloud.functions[ENTRY].statements == frozenset()
    assert _prepare(fake_build(tmp_path, contents={"shout": b"new"}), cloud).plan.actions == ()


def test_a_streaming_graph_gets_a_streaming_url_and_is_told_so(tmp_path: Path) -> None:
    cloud = InMemoryCloud()
    _deploy(fake_build(tmp_path), cloud)

    _deploy(fake_build(tmp_path, manifest(streaming=True)), cloud)

    entry = cloud.functions[ENTRY]
    assert entry.url is not None
    assert entry.url.mode == "RESPONSE_STREAM"
    assert entry.latest.configuration.environment["FNKIT_RESPONSE_MODE"] == "streaming"
    assert _prepare(fake_build(tmp_path, manifest(streaming=True)), cloud).plan.actions == ()


def test_functions_are_configured_as_the_runtime_expects(tmp_path: Path) -> None:
    entry = Function("chat", "entry", memory_mb=1024, timeout_s=30, environment={"MODEL": "small"}, max_environments=7)
    cloud = InMemoryCloud()

    _deploy(fake_build(tmp_path, manifest(entry=entry)), cloud, Wishes(stream_runtime="wrapper", architecture="arm64"))

    there = cloud.functions[ENTRY]
    configuration = there.latest.configuration
    assert (configuration.runtime, configuration.handler) == ("python3.11", "fnkit.runtime.handler.handler")
    assert (configuration.memory_mb, configuration.timeout_s, configuration.architecture) == (1024, 30, "arm64")
    assert there.reserved == 7
    assert configuration.environment == {
        "MODEL": "small",
        "FNKIT_FUNCTION_PREFIX": "chat-dev-",
        "FNKIT_RESPONSE_MODE": "buffered",
        "FNKIT_STREAM_RUNTIME": "wrapper",
        "AWS_LAMBDA_EXEC_WRAPPER": "/var/task/fnkit-bootstrap",
        "FNKIT_VERSIONS": '{"greet": "1", "shout": "1"}',
    }
    step = cloud.functions["chat-dev-greet"].latest.configuration.environment
    assert "FNKIT_RESPONSE_MODE" not in step
    assert "FNKIT_VERSIONS" not in step


def test_a_limit_of_environments_is_lifted_when_it_is_no_longer_declared(tmp_path: Path) -> None:
    cloud = InMemoryCloud()
    _deploy(fake_build(tmp_path, manifest(entry=Function("chat", "entry", max_environments=3))), cloud)
    changed = fake_build(tmp_path, manifest())

    lines = _prepare(changed, cloud).plan.lines()

    assert f"lift the limit of environments of {ENTRY}" in lines


def test_stages_stand_beside_each_other(tmp_path: Path) -> None:
    cloud = InMemoryCloud()
    _deploy(fake_build(tmp_path), cloud)

    _deploy(fake_build(tmp_path), cloud, Wishes(stage="prod"))

    assert {"chat-dev-chat", "chat-prod-chat"} <= set(cloud.functions)
    assert set(cloud.roles) == {"chat-dev-role", "chat-prod-role"}


def test_a_given_role_is_used_and_none_is_made(tmp_path: Path) -> None:
    cloud = InMemoryCloud()

    _deploy(fake_build(tmp_path), cloud, Wishes(role="arn:aws:iam::123456789012:role/mine"))

    assert cloud.roles == {}
    assert cloud.functions[ENTRY].latest.configuration.role == "arn:aws:iam::123456789012:role/mine"
    assert _prepare(fake_build(tmp_path), cloud, Wishes(role="arn:aws:iam::123456789012:role/mine")).plan.actions == ()


def test_a_role_whose_policy_was_changed_gets_ours_back(tmp_path: Path) -> None:
    cloud = InMemoryCloud()
    _deploy(fake_build(tmp_path), cloud)
    cloud.roles["chat-dev-role"] = replace(cloud.roles["chat-dev-role"], policy=None)

    assert _prepare(fake_build(tmp_path), cloud).plan.lines() == ("update the policy of role chat-dev-role",)


def test_a_large_bundle_goes_through_a_bucket_that_is_made_for_it(tmp_path: Path) -> None:
    cloud = InMemoryCloud()
    build = with_size(fake_build(tmp_path), "greet", 60 * 2**20)

    prepared = _prepare(build, cloud)
    carry_out(prepared, cloud, Log().reports)

    assert "create bucket fnkit-123456789012-eu-central-1" in prepared.plan.lines()
    assert "create function chat-dev-greet (60.0 MB, through S3)" in prepared.plan.lines()
    assert _prepare(build, cloud).plan.actions == ()


def test_what_is_not_ours_is_never_touched(tmp_path: Path) -> None:
    cloud = InMemoryCloud()
    _deploy(fake_build(tmp_path), cloud)
    stranger = cloud.functions["chat-dev-greet"]
    cloud.functions["chat-dev-greet"] = replace(stranger, tags={"owner": "someone"})

    with pytest.raises(DeployError, match=r"not made by this deployment.*chat-dev-greet"):
        _prepare(fake_build(tmp_path, contents={"greet": b"x"}), cloud)


def test_a_function_left_behind_without_a_version_is_only_published(tmp_path: Path) -> None:
    cloud = InMemoryCloud()
    build = fake_build(tmp_path)
    _deploy(build, cloud)
    there = cloud.functions["chat-dev-shout"]
    cloud.functions["chat-dev-shout"] = RemoteFunction(there.latest, tags=there.tags)

    lines = _prepare(build, cloud).plan.lines()

    assert lines[0] == "publish a version of chat-dev-shout"
    assert not [line for line in lines if line.startswith(("upload", "create"))]


def test_a_change_of_processor_sends_the_code_again(tmp_path: Path) -> None:
    cloud = InMemoryCloud()
    _deploy(fake_build(tmp_path), cloud)
    cloud.sent.clear()

    _deploy(fake_build(tmp_path), cloud, Wishes(architecture="arm64"))

    assert set(cloud.sent) == set(cloud.functions)
    assert _prepare(fake_build(tmp_path), cloud, Wishes(architecture="arm64")).plan.actions == ()


def test_everything_that_lambda_would_refuse_is_reported_at_once(tmp_path: Path) -> None:
    environment = {"AWS_REGION": "x", "A": "1", "FNKIT_X": "y", "BIG": "z" * 4000}
    entry = Function("chat", "entry", memory_mb=64, timeout_s=901, environment=environment)

    with pytest.raises(ProblemsError) as caught:
        _prepare(fake_build(tmp_path, manifest(entry=entry)), InMemoryCloud())

    text = str(caught.value)
    for expected in ("memory_mb is 64", "timeout_s is 901", "AWS_REGION is not yours", "'A'", "FNKIT_X", "Lambda has 4096"):
        assert expected in text


@pytest.mark.parametrize("stage", ["", "a b", "-x", "x" * 17, "prod/1"])
def test_a_stage_is_a_short_plain_name(tmp_path: Path, stage: str) -> None:
    with pytest.raises(UsageError, match="no name for a stage"):
        _prepare(fake_build(tmp_path), InMemoryCloud(), Wishes(stage=stage))


def test_a_bundle_that_was_changed_after_the_build_is_not_sent(tmp_path: Path) -> None:
    build = fake_build(tmp_path)
    build.bundle("greet").path.write_bytes(b"tampered")

    with pytest.raises(BundleError, match="was changed after it was built"):
        _prepare(build, InMemoryCloud())


def test_a_version_is_found_by_what_it_is_not_by_its_number(tmp_path: Path) -> None:
    cloud = InMemoryCloud()
    build = fake_build(tmp_path)
    _deploy(build, cloud)
    there = cloud.functions["chat-dev-greet"]
    newer = Version("2", "other", there.latest.configuration)
    cloud.functions["chat-dev-greet"] = replace(there, latest=replace(newer, number="$LATEST"), versions=(*there.versions, newer))

    assert _prepare(build, cloud).plan.actions == ()
