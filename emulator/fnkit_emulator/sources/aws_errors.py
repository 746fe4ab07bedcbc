"""Say what boto3 raises, and what to do about it."""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError

from fnkit.functions.queues.aws import advice_on


def explained(error: BotoCoreError | ClientError) -> str:
    """Return the text of *error*, with what to do where that is known."""
    code = error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""
    advice = advice_on(str(code)) or _ADVICE.get(type(error).__name__, "")
    return f"{error}; {advice}" if advice else str(error)


_ADVICE = {
    "NoCredentialsError": "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "EndpointConnectionError": "see that the network and the endpoint are right",
}
