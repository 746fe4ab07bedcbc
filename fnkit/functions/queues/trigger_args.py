"""The arguments by which MLRun's users say how a queue is read: `trigger_args=` of a queue step."""

from __future__ import annotations

from collections.abc import Mapping

from fnkit.manifest.spelling import did_you_mean

_NUMBERS = {"max_workers": "max_concurrency", "read_batch_size": "batch_size"}
_STARTS = ("initial_offset", "seek_to", "seekTo")
_SECRETS = ("sasl_user", "sasl_pass", "access_key")
_OTHERS = (
    "name kind group webapi partitions explicit_ack_mode extra_attributes worker_allocation_mode worker_termination_timeout"
    " polling_interval_ms ack_window_size session_timeout heartbeat_interval fetch_default maxWorkers"
).split()  # of the platform that MLRun runs on; nothing here to set by them


def read_trigger(given: object, problems: list[str]) -> dict[str, object]:
    """Return what *given* sets, under the names of a queue's own arguments, and `starting`: "earliest" or "latest"."""
    if not given:
        return {}
    if not isinstance(given, Mapping):
        problems.append(f"trigger_args must be a mapping of names to values, not {type(given).__name__}")
        return {}
    found: dict[str, object] = {}
    for name, value in given.items():
        if name in _NUMBERS:
            found[_NUMBERS[name]] = value
        elif name in _STARTS:
            if value not in ("earliest", "latest"):
                problems.append(f"trigger_args['{name}'] must be 'earliest' or 'latest', not {value!r}")
            found["starting"] = value
        elif name in _SECRETS:
            problems.append(f"trigger_args['{name}'] would put credentials into the graph; use credentials=")
        elif name not in _OTHERS:
            known = sorted((*_NUMBERS, *_STARTS, *_OTHERS))
            problems.append(f"trigger_args['{name}'] is unknown; {did_you_mean(str(name), known)}")
    return found
