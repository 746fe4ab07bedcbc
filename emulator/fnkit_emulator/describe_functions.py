"""The records in which the Lambda API describes functions."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping

from fnkit_emulator.account import ACCOUNT
from fnkit_emulator.deployed import HANDLER, Deployed

BUNDLES_PATH = "_fnkit/bundles/"


def arn(name: str, region: str) -> str:
    """Return the ARN of the function *name*, with a made-up account."""
    return f"arn:aws:lambda:{region}:{ACCOUNT}:function:{name}"


def configuration(deployed: Deployed) -> dict[str, object]:
    """Return the FunctionConfiguration of *deployed*."""
    return {
        "FunctionName": deployed.name,
        "FunctionArn": deployed.arn,
        "Runtime": f"python{deployed.version}",
        "Role": f"arn:aws:iam::{ACCOUNT}:role/emulated",
        "Handler": HANDLER,
        "CodeSize": deployed.size,
        "CodeSha256": b64encode(bytes.fromhex(deployed.sha256)).decode("ascii"),
        "Description": "",
        "Timeout": deployed.function.timeout_s,
        "MemorySize": deployed.function.memory_mb,
        "Version": "$LATEST",
        "PackageType": "Zip",
        "Architectures": ["x86_64"],
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "Environment": {"Variables": dict(deployed.function.environment)},
    }


def function(deployed: Deployed, urls: Mapping[str, str]) -> dict[str, object]:
    """Return what GetFunction answers; the code can be had from the emulator itself."""
    base = urls[deployed.name].partition("/_functions/")[0].rstrip("/")
    location = f"{base}/{BUNDLES_PATH}{deployed.name}.zip"
    return {
        "Configuration": configuration(deployed),
        "Code": {"RepositoryType": "S3", "Location": location},
        "Tags": {},
    }


def url_config(deployed: Deployed, url: str) -> dict[str, object]:
    """Return the function URL's configuration."""
    created = "2020-01-01T00:00:00Z"
    return {
        "FunctionUrl": url,
        "FunctionArn": deployed.arn,
        "AuthType": "NONE",
        "InvokeMode": "RESPONSE_STREAM" if deployed.streaming else "BUFFERED",
        "CreationTime": created,
        "LastModifiedTime": created,
    }
