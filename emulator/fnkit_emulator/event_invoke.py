"""The configuration of asynchronous invocations, as the Lambda API reads and shows it."""

from __future__ import annotations

import json
import time
from collections.abc import Collection
from dataclasses import replace

from fnkit_emulator.api_error import ApiError
from fnkit_emulator.sources.asynchronous import EventInvokeConfig


def read_config(document: bytes, base: EventInvokeConfig, *, functions: Collection[str]) -> EventInvokeConfig:
    """Return *base* with what *document* says otherwise. `ApiError` for limits and destinations that are refused.

    Destinations are functions of the emulator, or queues: the local queue of that name.
    """
    try:
        said = json.loads(document or b"{}")
    except ValueError:
        raise ApiError(400, "InvalidRequestContentException", "Could not parse request body into json") from None
    if not isinstance(said, dict):
        raise ApiError(400, "InvalidRequestContentException", "the body is not a JSON object")
    destinations = said.get("DestinationConfig") or {}
    return replace(
        base,
        retries=_number(said, "MaximumRetryAttempts", base.retries, 0, 2),
        max_age_s=_number(said, "MaximumEventAgeInSeconds", base.max_age_s, 60, 21_600),
        on_success=_destination(destinations, "OnSuccess", base.on_success, functions),
        on_failure=_destination(destinations, "OnFailure", base.on_failure, functions),
    )


def describe_config(arn: str, config: EventInvokeConfig) -> dict[str, object]:
    """Return *config* in the API's words."""
    return {
        "FunctionArn": f"{arn}:$LATEST",
        "LastModified": time.time(),
        "MaximumRetryAttempts": config.retries,
        "MaximumEventAgeInSeconds": config.max_age_s,
        "DestinationConfig": {
            "OnSuccess": {"Destination": config.on_success} if config.on_success else {},
            "OnFailure": {"Destination": config.on_failure} if config.on_failure else {},
        },
    }


def _number(said: dict[str, object], name: str, base: int, low: int, high: int) -> int:
    value = said.get(name)
    if value is None:
        return base
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        message = f"Value '{value}' at '{name}' failed to satisfy constraint: it must be between {low} and {high}"
        raise ApiError(400, "ValidationException", message)
    return value


def _destination(destinations: object, name: str, base: str, functions: Collection[str]) -> str:
    entry = destinations.get(name) if isinstance(destinations, dict) else None
    if not isinstance(entry, dict):
        return base
    arn = str(entry.get("Destination") or "")
    if ":function:" in arn and arn.rpartition(":function:")[2].partition(":")[0] in functions:
        return arn
    if arn.startswith("arn:aws:sqs:") or not arn:
        return arn
    raise ApiError(
        400,
        "InvalidParameterValueException",
        f"The destination ARN {arn} is invalid: it is no function of this graph and no queue.",
    )
