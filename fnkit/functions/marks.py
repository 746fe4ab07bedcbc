"""How the payload of an invocation shows that another function of the graph has sent it.

Every function looks at every payload for it; what is inside is the business of `envelope` and `codec`, which only those load that find it.
"""

from __future__ import annotations

MARK = "fnkit"


def is_call(payload: object) -> bool:
    """Tell whether an invocation's *payload* is an envelope."""
    return isinstance(payload, dict) and len(payload) == 1 and isinstance(payload.get(MARK), dict) and "step" in payload[MARK]


def render_reference(key: str) -> bytes:
    """Return the payload that stands for the one under *key*."""
    return f'{{"{MARK}":{{"object":"{key}"}}}}'.encode()


def reference_of(payload: object) -> str:
    """Return the key that *payload* stands for, "" for a payload that stands for itself."""
    inner = payload.get(MARK) if isinstance(payload, dict) and len(payload) == 1 else None
    key = inner.get("object") if isinstance(inner, dict) and "step" not in inner else None
    return key if isinstance(key, str) else ""
