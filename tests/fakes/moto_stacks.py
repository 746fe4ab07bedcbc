"""CloudFormation on moto, with what its own lacks: aliases, function URLs, attributes of versions, permissions of aliases.

Importing this module teaches them to moto. What moto still leaves out: a function's architectures and tags, and mappings for Kafka,
which it refuses, from a template and from the API alike. It updates a stack in another order than AWS, what is new before what it
depends on; so stacks are made here, and not changed.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from moto.awslambda.utils import get_backend
from moto.cloudformation import parsing
from moto.core.common_models import CloudFormationModel

Made = tuple[str, dict[str, str]]  # what Ref gives, and what Fn::GetAtt gives


def _resource(kind: str, create: Callable[[Any, Any], Made]) -> type[Any]:
    """Return a class for resources of *kind*; *create* makes one in a backend of its properties."""

    class Resource(CloudFormationModel):
        __module__ = "moto.awslambda.models"  # by which moto sorts what belongs to Lambda

        def __init__(self, identity: str, attributes: dict[str, str]) -> None:
            self._identity = identity
            self._attributes = attributes

        @property
        def physical_resource_id(self) -> str:
            return self._identity

        @staticmethod
        def cloudformation_name_type() -> str:
            return ""

        @staticmethod
        def cloudformation_type() -> str:
            return f"AWS::Lambda::{kind}"

        @classmethod
        def create_from_cloudformation_json(
            cls, resource_name: str, cloudformation_json: Any, account_id: str, region_name: str, **_: Any
        ) -> Any:
            return cls(*create(get_backend(account_id, region_name), cloudformation_json["Properties"]))

        def get_cfn_attribute(self, attribute_name: str) -> str:
            return self._attributes[attribute_name]

    return Resource


def _version(backend: Any, said: Any) -> Made:
    made = backend.publish_version(said["FunctionName"])
    assert made.code_sha_256 == said["CodeSha256"]  # as CloudFormation sees to it
    return f"{made.function_arn.removesuffix(f':{made.version}')}:{made.version}", {"Version": str(made.version)}


def _alias(backend: Any, said: Any) -> Made:
    return backend.create_alias(said["Name"], said["FunctionName"], said["FunctionVersion"], "", "").arn, {}


def _url(backend: Any, said: Any) -> Made:
    made = backend.create_function_url_config(said["TargetFunctionArn"], dict(said))
    return made.function.function_arn, {"FunctionUrl": made.url}


def _permission(backend: Any, said: Any) -> Made:
    name, _, alias = said["FunctionName"].rpartition(":function:")[2].partition(":")
    statement = {"StatementId": said["Action"], **{key: value for key, value in said.items() if key != "FunctionName"}}
    backend.add_permission(name, alias, json.dumps(statement))
    return said["Action"], {}


KNOWN = tuple(
    _resource(kind, create)
    for kind, create in (("Version", _version), ("Alias", _alias), ("Url", _url), ("Permission", _permission))
)
parsing.get_model_map.cache_clear()
parsing.get_name_type_map.cache_clear()
