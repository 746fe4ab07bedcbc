"""Import what needs boto3: an extra that most commands do without, and that takes a while to import."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from fnkit.errors import UsageError


def import_boto3(module: str) -> Any:
    """Return *module*, which imports boto3. UsageError if boto3 is not installed."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name not in {"boto3", "botocore"}:
            raise
        raise UsageError("this needs boto3, which is not installed", hint="pip install 'fnkit[aws]'") from error
