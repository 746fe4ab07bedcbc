"""The context object of an invocation, with the names and the meaning that AWS gives it.

Steps find it as `event.lambda_context`. The managed runtime's own object is passed on where there is one; this one stands in elsewhere.
"""

from __future__ import annotations

from time import time

from fnkit.lean import loads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from fnkit.runtime.invocation import Invocation

_W3C = ("traceparent", "tracestate", "baggage")


class _Fields:
    """Named values, None where nothing was given."""

    def __init__(self, names: tuple[str, ...], values: object) -> None:
        found = values if isinstance(values, dict) else {}
        for name in names:
            setattr(self, name, found.get(name))


class LambdaContext:
    """What AWS tells about one invocation; attribute names are those of the managed runtime."""

    def __init__(self, invocation: Invocation, environ: Mapping[str, str]) -> None:
        self.aws_request_id = invocation.request_id
        self.log_group_name = environ.get("AWS_LAMBDA_LOG_GROUP_NAME")
        self.log_stream_name = environ.get("AWS_LAMBDA_LOG_STREAM_NAME")
        self.function_name = environ.get("AWS_LAMBDA_FUNCTION_NAME")
        self.memory_limit_in_mb = environ.get("AWS_LAMBDA_FUNCTION_MEMORY_SIZE")
        self.function_version = environ.get("AWS_LAMBDA_FUNCTION_VERSION")
        self.invoked_function_arn = invocation.function_arn or None
        self.tenant_id = invocation.tenant_id or None
        self._deadline_ms = invocation.deadline_ms
        client = _json(invocation.client_context)
        found = client.pop("w3c", None) if isinstance(client, dict) else None
        self._w3c = {name: text for name in _W3C if isinstance(found, dict) and isinstance(text := found.get(name), str)}
        self.client_context = _client_context(client)
        identity = _json(invocation.identity)
        given = identity if isinstance(identity, dict) else {}
        self.identity = _Fields(("cognito_identity_id", "cognito_identity_pool_id"), None)
        self.identity.__dict__.update(
            cognito_identity_id=given.get("cognitoIdentityId"), cognito_identity_pool_id=given.get("cognitoIdentityPoolId")
        )

    def get_remaining_time_in_millis(self) -> int:
        """Return how many milliseconds are left until the function is stopped."""
        return max(self._deadline_ms - int(time() * 1000), 0)

    def w3c(self) -> dict[str, str]:
        """Return the trace context that came with a direct invocation."""
        return dict(self._w3c)

    def log(self, message: object) -> None:
        """Write *message* to the function's log."""
        print(message, end="")  # noqa: T201  # what AWS's context does


def _json(text: str) -> object:
    try:
        return loads(text) if text else None
    except ValueError:
        return None


def _client_context(found: object) -> _Fields | None:
    if not isinstance(found, dict):
        return None
    context = _Fields(("custom", "env", "client"), found)
    names = ("installation_id", "app_title", "app_version_name", "app_version_code", "app_package_name")
    if found.get("client") is not None:
        context.__dict__["client"] = _Fields(names, found["client"])
    return context
