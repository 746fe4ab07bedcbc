import sys

import pytest

from fnkit.cli.boto import import_boto3
from fnkit.errors import UsageError


def test_a_missing_boto3_is_explained_with_the_extra_that_brings_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] == "boto3" or name == "fnkit.deploy.session"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "boto3", None)

    with pytest.raises(UsageError) as caught:
        import_boto3("fnkit.deploy.session")

    assert "fnkit[aws]" in caught.value.hint


def test_another_missing_module_is_not_blamed_on_boto3() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_module"):
        import_boto3("no_such_module")
