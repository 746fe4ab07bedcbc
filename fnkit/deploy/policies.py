"""The permissions that a deployment needs, as plain JSON.

A public function URL needs two statements since October 2025: one to call the URL, one to invoke the function through it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from fnkit.deploy.state import Account

POLICY_NAME = "fnkit"
TRUST: dict[str, object] = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a function's policy, as the arguments of AddPermission."""

    sid: str
    action: str
    condition: tuple[str, str | bool]


PUBLIC = (
    Statement("fnkit-public-url", "lambda:InvokeFunctionUrl", ("FunctionUrlAuthType", "NONE")),
    Statement("fnkit-public-invoke", "lambda:InvokeFunction", ("InvokedViaFunctionUrl", True)),
)


def role_policy(account: Account, prefix: str, more: Iterable[Mapping[str, object]] = ()) -> dict[str, object]:
    """Return what the functions of the deployment *prefix* may do: write their logs, call each other, and what *more* says."""
    lambdas = f"arn:{account.partition}:lambda:{account.region}:{account.number}:function:{prefix}*"
    logs = f"arn:{account.partition}:logs:{account.region}:{account.number}:log-group:/aws/lambda/{prefix}*"
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["logs:CreateLogGroup", "logs:CreateLogStream", "logs:PutLogEvents"],
                "Resource": [logs, f"{logs}:*"],
            },
            {"Effect": "Allow", "Action": ["lambda:InvokeFunction"], "Resource": [lambdas]},
            *more,
        ],
    }
