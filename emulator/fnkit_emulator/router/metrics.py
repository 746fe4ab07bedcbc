"""What `/metrics` says: counters and durations in Prometheus' text format (version 0.0.4)."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_BOUNDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


@dataclass(slots=True)
class Histogram:
    """How long something took, in seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(_BOUNDS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        self.counts[bisect_left(_BOUNDS, seconds)] += 1
        self.total += seconds

    def lines(self, name: str, labels: str) -> list[str]:
        comma = "," if labels else ""
        found = 0
        lines = []
        for bound, count in zip((*map(str, _BOUNDS), "+Inf"), self.counts, strict=True):
            found += count
            lines.append(f'{name}_bucket{{{labels}{comma}le="{bound}"}} {found}')
        braces = f"{{{labels}}}" if labels else ""
        return [*lines, f"{name}_sum{braces} {self.total:.9g}", f"{name}_count{braces} {found}"]


class Metrics:
    """Counts requests and steps. It is the observer of a graph's steps."""

    def __init__(self) -> None:
        self._requests: dict[int, int] = {}
        self._durations = Histogram()
        self._steps: dict[tuple[str, str, str], int] = {}
        self._step_durations: dict[tuple[str, str], Histogram] = {}
        self.in_flight = 0

    def request_done(self, status: int, seconds: float) -> None:
        """A request has been answered; *status* 0: the connection was broken."""
        self._requests[status] = self._requests.get(status, 0) + 1
        self._durations.add(seconds)

    def step_done(
        self, node: str, step: str, target: str, *, status: int, seconds: float, cause: str
    ) -> None:  # the face of an observer
        key = (node, step, str(status) if status else "error")
        self._steps[key] = self._steps.get(key, 0) + 1
        self._step_durations.setdefault((node, step), Histogram()).add(seconds)

    def text(self) -> str:
        """Return the page."""
        lines = _heading("fnkit_router_requests_in_flight", "gauge", "Requests that are being answered.")
        lines.append(f"fnkit_router_requests_in_flight {self.in_flight}")
        lines += _heading("fnkit_router_requests_total", "counter", "Answered requests by HTTP status (0: broken off).")
        lines += [f'fnkit_router_requests_total{{status="{status}"}} {n}' for status, n in sorted(self._requests.items())]
        lines += _heading("fnkit_router_request_duration_seconds", "histogram", "Time from request to answer.")
        lines += self._durations.lines("fnkit_router_request_duration_seconds", "")
        lines += _heading("fnkit_router_steps_total", "counter", "Executed steps by outcome: a status, or error.")
        lines += [
            f'fnkit_router_steps_total{{node="{_escaped(node)}",step="{_escaped(step)}",outcome="{outcome}"}} {n}'
            for (node, step, outcome), n in sorted(self._steps.items())
        ]
        lines += _heading("fnkit_router_step_duration_seconds", "histogram", "Time of a step with all that it runs.")
        for (node, step), histogram in sorted(self._step_durations.items()):
            labels = f'node="{_escaped(node)}",step="{_escaped(step)}"'
            lines += histogram.lines("fnkit_router_step_duration_seconds", labels)
        return "\n".join(lines) + "\n"


def _heading(name: str, kind: str, text: str) -> list[str]:
    return [f"# HELP {name} {text}", f"# TYPE {name} {kind}"]


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
