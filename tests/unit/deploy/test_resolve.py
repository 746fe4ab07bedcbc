import pytest

from fnkit.deploy.resolve import deployed_url, emulated_url
from fnkit.deploy.state import Configuration, RemoteFunction, Url, Version
from fnkit.errors import InvokeError
from tests.fakes.cloud import InMemoryCloud


def _cloud(name: str) -> InMemoryCloud:
    cloud = InMemoryCloud()
    latest = Version("$LATEST", "", Configuration("python3.11", "h", 128, 3, "x86_64", "r"))
    cloud.functions[name] = RemoteFunction(latest, alias="1", url=Url(f"https://{name}/", "AWS_IAM", "BUFFERED"))
    return cloud


def test_the_name_of_a_graph_means_its_entry_function_on_the_stage() -> None:
    assert deployed_url("chat", "prod", _cloud("chat-prod-chat")) == "https://chat-prod-chat/"


def test_the_name_of_a_lambda_function_means_itself() -> None:
    assert deployed_url("chat-prod-chat", "dev", _cloud("chat-prod-chat")) == "https://chat-prod-chat/"


def test_an_unknown_name_says_what_was_looked_for() -> None:
    with pytest.raises(InvokeError, match="no function with a URL called chat-dev-chat or chat"):
        deployed_url("chat", "dev", InMemoryCloud())


def test_an_emulated_function_has_a_path_of_its_own() -> None:
    assert emulated_url("http://127.0.0.1:8080", "a b") == "http://127.0.0.1:8080/_functions/a%20b/"
