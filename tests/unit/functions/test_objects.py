"""Payloads that are too large to be sent travel by a store."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest

from fnkit.engine import drive
from fnkit.errors import InvokeError
from fnkit.functions.marks import reference_of, render_reference
from fnkit.functions.objects import FolderStore, ObjectStore, open_store
from fnkit.net.blocking import connector
from fnkit.net.client import Client
from tests.fakes.moto_cloud import moto_cloud

DATA = b"\x00payload" * 1000


@pytest.fixture(scope="module")
def cloud() -> Iterator[str]:
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    with moto_cloud() as url:
        boto3.client("s3", region_name="us-east-1", endpoint_url=url, **keys).create_bucket(Bucket="large")
        yield url


@pytest.fixture
def client() -> Iterator[Client]:
    client = Client(connector())
    yield client
    drive(client.close())


@pytest.fixture(params=["folder", "bucket"])
def store(request: pytest.FixtureRequest, tmp_path: Path, cloud: str, client: Client) -> ObjectStore:
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    environ = {
        "folder": {"FNKIT_OBJECT_DIR": str(tmp_path / "objects")},
        "bucket": {"FNKIT_OBJECT_BUCKET": "large", "AWS_ENDPOINT_URL": cloud, **keys},
    }[request.param]
    found = open_store(environ, lambda: client)
    assert found is not None
    return found


def test_what_is_stored_is_there_until_it_is_removed(store: ObjectStore) -> None:
    key = drive(store.put(DATA))

    assert drive(store.get(key)) == DATA

    drive(store.remove(key))
    with pytest.raises(InvokeError):
        drive(store.get(key))


def test_removing_twice_is_no_error(store: ObjectStore) -> None:
    key = drive(store.put(DATA))
    drive(store.remove(key))

    drive(store.remove(key))

    with pytest.raises(InvokeError):
        drive(store.get(key))


def test_a_key_that_leads_elsewhere_is_refused(store: ObjectStore) -> None:
    with pytest.raises(InvokeError, match="is no key"):
        drive(store.get("../secret"))


def test_a_bucket_that_is_not_there_says_what_to_look_at(cloud: str, client: Client) -> None:
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    store = open_store({"FNKIT_OBJECT_BUCKET": "missing", "AWS_ENDPOINT_URL": cloud, **keys}, lambda: client)
    assert store is not None

    with pytest.raises(InvokeError, match="answered 404 to PUT") as refused:
        drive(store.put(DATA))

    assert "fnkit-objects/*" in refused.value.hint


def test_without_a_place_there_is_no_store(client: Client) -> None:
    assert open_store({}, lambda: client) is None


def test_a_folder_that_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(InvokeError, match="cannot be stored"):
        drive(FolderStore(str(tmp_path / "file")).put(DATA))


def test_a_reference_is_told_from_a_call() -> None:
    assert reference_of({"fnkit": {"object": "k1"}}) == "k1"
    assert reference_of({"fnkit": {"object": "k1", "step": "s"}}) == ""
    assert reference_of({"fnkit": {"step": "s"}}) == ""
    assert b'"object"' in render_reference("k1")
