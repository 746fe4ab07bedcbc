"""What is said of a function besides its graph: parameters, triggers, environment, limits."""

from __future__ import annotations

from collections.abc import Mapping

from fnkit.errors import MLRunInvalidArgumentError
from fnkit.manifest.spelling import did_you_mean
from fnkit.project.graph import FlowGraph
from fnkit.project.router import RouterGraph


class FunctionSpec:
    """The specification of a function; an attribute that nobody reads is refused when it is set."""

    __slots__ = (
        "concurrency",
        "default_class",
        "default_content_type",
        "env",
        "graph",
        "max_environments",
        "memory_mb",
        "parameters",
        "streaming",
        "timeout_s",
        "triggers",
    )

    def __init__(self) -> None:
        self.graph: FlowGraph | RouterGraph | None = None
        self.parameters: dict[str, object] = {}
        self.default_content_type = ""
        self.default_class = ""
        self.streaming: bool | None = None
        self.triggers: dict[str, Mapping[str, object]] = {}
        self.env: dict[str, str] = {}
        self.memory_mb: int | None = None
        self.timeout_s: int | None = None
        self.concurrency: int | None = None
        self.max_environments: int | None = None

    def __setattr__(self, name: str, value: object) -> None:
        if name == "load_mode":
            _check_load_mode(value)
            return
        if name not in self.__slots__:
            raise AttributeError(f"a function's spec has no {name!r}; {did_you_mean(name, self.__slots__)}")
        object.__setattr__(self, name, value)

    @property
    def load_mode(self) -> str:
        """When models are loaded: before the first event, in every function."""
        return "sync"

    def set_streaming(self, enabled: bool) -> None:
        """Stream answers or not; MLRunInvalidArgumentError where a trigger exists that cannot stream."""
        for name, trigger in self.triggers.items():
            if enabled and trigger.get("kind") != "http":
                raise MLRunInvalidArgumentError(
                    f"Streaming is only supported with HTTP triggers. Found non-HTTP trigger '{name}' of kind "
                    f"'{trigger.get('kind')}'. Remove non-HTTP triggers before enabling streaming."
                )
        self.streaming = enabled

    def add_trigger(self, name: str, trigger: Mapping[str, object]) -> None:
        """Add a trigger; MLRunInvalidArgumentError where answers are streamed and it is not HTTP."""
        kind = trigger.get("kind")
        if self.streaming and kind != "http":
            raise MLRunInvalidArgumentError(
                f"Cannot add non-HTTP trigger '{name}' (kind='{kind}') when streaming is enabled. Streaming only supports HTTP "
                "triggers. Either disable streaming with set_streaming(False) or use HTTP triggers only."
            )
        self.triggers[name] = trigger


def _check_load_mode(mode: object) -> None:
    if mode not in (None, "", "sync"):
        raise MLRunInvalidArgumentError(
            f"load_mode {mode!r} is not possible: an environment that loads aside would be frozen before it is ready",
            hint="leave it out: models are loaded before an environment takes its first event",
        )
