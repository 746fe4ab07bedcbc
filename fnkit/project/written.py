"""What every graph can do once it is written, whatever its topology."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fnkit.project.function import ServingFunction
    from fnkit.project.mock import MockServer


class WrittenGraph:
    """The base of graphs that belong to a function: pictures, a mock server, YAML."""

    _function: ServingFunction

    def plot(self, filename: str | None = None, format: str | None = None, **options: object) -> object:
        """Draw the graph; see `fnkit.project.plot`. A *filename* writes it, its suffix chooses the format."""
        return self._function.plot(filename, format, **options)

    def to_mock_server(self, **options: object) -> MockServer:
        """Return a server that runs this graph in this process; see `ServingFunction.to_mock_server`."""
        return self._function.to_mock_server(**options)  # type: ignore[arg-type]  # the same options, passed on

    def to_dict(self) -> dict[str, object]:
        """Return the graph as it was written, under MLRun's keys."""
        raise NotImplementedError(f"{type(self).__name__} does not say how it was written")

    def to_yaml(self) -> str:
        """Return `to_dict()` as YAML."""
        text: str = import_module("yaml").safe_dump(self.to_dict(), sort_keys=False)
        return text
