import pytest

from fnkit.deploy.aws import Aws
from fnkit.deploy.session import open_session
from fnkit.errors import DeployError, UsageError
from tests.fakes.http_answers import answering


@pytest.fixture(autouse=True)
def _credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")


@pytest.mark.parametrize("region", ["eu-central-1", "us-gov-west-1", "cn-north-1", "ap-southeast-9"])
def test_known_regions_and_new_ones_at_known_places_are_taken(region: str) -> None:
    assert open_session(region=region).region == region


def test_a_partition_follows_from_the_region() -> None:
    assert open_session(region="cn-north-1").partition == "aws-cn"


@pytest.mark.parametrize(("region", "hint"), [("eu-centrall-1", "eu-central-1"), ("us-east1", "us-east-1"), ("mars", "--region")])
def test_a_misspelt_region_is_refused_with_the_one_that_was_meant(region: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        open_session(region=region)

    assert hint in caught.value.hint


def test_another_endpoint_may_have_regions_of_its_own() -> None:
    assert open_session(region="local-1", endpoint_url="http://127.0.0.1:1").region == "local-1"


def test_an_endpoint_that_is_not_aws_is_said_to_be_none() -> None:
    with answering([b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\nhello"]) as server:
        cloud = Aws.connect(region="eu-central-1", endpoint_url=server.url)

        with pytest.raises(DeployError, match="what answers is not AWS"):
            cloud.account()


@pytest.mark.parametrize("variable", ["AWS_REGION", "AWS_DEFAULT_REGION"])
def test_the_region_comes_from_the_environment_where_none_is_given(variable: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "eu-west-2")

    assert open_session().region == "eu-west-2"
    assert open_session(region="eu-west-1").region == "eu-west-1"
