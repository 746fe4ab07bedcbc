"""Texts that stand for what is known only where a template is carried out: the account, the region, a parameter, an attribute.

What a deployment wants is written with them in the place of the values, and `resolve` turns the finished document into the
intrinsic functions of CloudFormation. All characters are printable ASCII, so that a placeholder passes through JSON unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from fnkit.deploy.state import Account

_FOUND = re.compile(r"\[\[fnkit:([A-Za-z0-9:.]+)\]\]")


def placeholder(reference: str) -> str:
    """Return the text that stands for *reference*: a parameter, a resource, `Resource.Attribute`, or a pseudo parameter."""
    return f"[[fnkit:{reference}]]"


def is_placeholder(text: str) -> bool:
    """Tell whether *text* stands for something as a whole."""
    return _FOUND.fullmatch(text) is not None


ANYWHERE = Account(
    placeholder("AWS::AccountId"), placeholder("AWS::Region"), placeholder("AWS::Partition"), placeholder("AWS::URLSuffix")
)
"""The account, region and partition in which a template is carried out, whichever they are."""


def resolve(value: object, known: Mapping[str, object]) -> object:
    """Return *value*, a JSON document, with intrinsic functions for its placeholders; *known* are texts that are replaced as a whole."""
    match value:
        case str():
            return known.get(value) or _text(value)
        case Mapping():
            return {key: resolve(item, known) for key, item in value.items()}
        case list() | tuple():
            return [resolve(item, known) for item in value]
        case _:
            return value


def _text(text: str) -> object:
    if whole := _FOUND.fullmatch(text):
        resource, dot, attribute = whole[1].partition(".")
        return {"Fn::GetAtt": [resource, attribute]} if dot else {"Ref": whole[1]}
    if _FOUND.search(text) is None:
        return text
    return {"Fn::Sub": _FOUND.sub(r"${\1}", text.replace("${", "${!"))}
