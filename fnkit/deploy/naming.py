"""Name what a deployment owns. The names follow from graph, stage and function alone, so they are found again without a state
file.

Lambda allows 64 characters. A function of a graph has at most 40, so the prefix that all functions of one deployment share has at
most 24: a longer one is cut and gets a piece of its own hash.
"""

from __future__ import annotations

import hashlib
import re

PREFIX_LIMIT = 24
ALIAS = "live"


def function_prefix(graph: str, stage: str) -> str:
    """Return what the Lambda names of all functions of *graph* on *stage* start with: "chat-dev-"."""
    plain = f"{graph}-{stage}"
    clean = re.sub(r"[^A-Za-z0-9-]+", "-", plain).strip("-")
    if clean != plain or len(clean) >= PREFIX_LIMIT:
        digest = hashlib.sha256(f"{graph}\0{stage}".encode()).hexdigest()[:6]
        clean = f"{clean[: PREFIX_LIMIT - 8].rstrip('-')}-{digest}"
    return f"{clean}-"


def role_name(prefix: str) -> str:
    """Return the name of the role that the functions of a deployment share."""
    return f"{prefix}role"


def bucket_name(account: str, region: str) -> str:
    """Return the bucket that large bundles go through: one for all graphs of an account and region."""
    return f"fnkit-{account}-{region}"


def tags(graph: str, stage: str) -> dict[str, str]:
    """Return the tags by which a deployment knows its own."""
    return {"fnkit:graph": graph, "fnkit:stage": stage}
