"""The result of `plot`: one drawing, in every format that is asked of it."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import cast

from fnkit.errors import FnkitError, UsageError
from fnkit.project.plot.diagram import Diagram
from fnkit.project.plot.dot import Attributes, edge_attributes, graph_attributes, node_attributes, to_dot
from fnkit.project.plot.layout import Rankdir
from fnkit.project.plot.mermaid import to_mermaid
from fnkit.project.plot.svg import to_svg

FORMATS = ("svg", "png", "mermaid", "dot")
_SUFFIXES = {"svg": "svg", "png": "png", "mermaid": "mermaid", "mmd": "mermaid", "dot": "dot", "gv": "dot"}
RANKDIRS = ("LR", "TB", "RL", "BT")


@dataclass(frozen=True, slots=True)
class Drawing:
    """A drawn graph. It shows itself in a notebook; `svg()`, `png()`, `mermaid()` and `source` (DOT) give its formats.

    *attributes* are Graphviz attributes of the graph. Only `rankdir` (LR, TB, RL or BT) changes the SVG; without it the
    drawing runs to the right, or downwards when it would become very wide.
    """

    diagram: Diagram
    attributes: Mapping[str, str] = field(default_factory=dict)

    @property
    def rankdir(self) -> Rankdir | None:
        """The direction that was asked for."""
        value = self.attributes.get("rankdir")
        return None if value is None else cast(Rankdir, value)  # `plot` lets no other value in

    @property
    def source(self) -> str:
        """The graph in DOT, the language of Graphviz."""
        return to_dot(self.diagram, self.attributes)

    @property
    def graph_attrs(self) -> Attributes:
        """The DOT attributes of the graph."""
        return graph_attributes(self.attributes)

    @property
    def nodes(self) -> dict[str, Attributes]:
        """The DOT attributes of each node, by its name."""
        return node_attributes(self.diagram)

    @property
    def edges(self) -> list[list[str]]:
        """Source and target of each arrow."""
        return [[source, target] for source, target in edge_attributes(self.diagram)]

    @property
    def edge_attrs(self) -> dict[tuple[str, str], Attributes]:
        """The DOT attributes of each arrow, by its ends."""
        return edge_attributes(self.diagram)

    def svg(self) -> str:
        """Return the drawing as an SVG document."""
        return to_svg(self.diagram, self.rankdir)

    def mermaid(self) -> str:
        """Return the drawing as Mermaid text."""
        return to_mermaid(self.diagram, self.rankdir or "LR")

    def png(self, scale: float = 2.0) -> bytes:
        """Return the drawing as a PNG image, *scale* times as large as the SVG; needs the extra `plot`."""
        try:
            cairosvg = import_module("cairosvg")
        except (ImportError, OSError) as error:  # OSError: the package is there, the cairo library is not
            raise FnkitError(
                f"a PNG image needs cairosvg, which cannot be loaded: {error}",
                hint='pip install "fnkit[plot]" (and the cairo library of your system), or choose the format svg',
            ) from error
        image = cairosvg.svg2png(bytestring=self.svg().encode(), scale=scale)
        assert isinstance(image, bytes)
        return image

    def data(self, format: str) -> bytes:
        """Return the content of a file in *format* (one of `FORMATS`)."""
        match known_format(format):
            case "svg":
                return self.svg().encode()
            case "png":
                return self.png()
            case "mermaid":
                return self.mermaid().encode()
            case _:
                return self.source.encode()

    def save(self, filename: str | Path, format: str | None = None) -> Path:
        """Write the drawing to *filename*; without *format* its suffix says the format (none: SVG). Return the path."""
        path = Path(filename)
        content = self.data(format or format_of(path))
        try:
            path.write_bytes(content)
        except OSError as error:
            raise FnkitError(
                f"cannot write the drawing: {error.strerror}",
                where=str(path),
                hint="choose a file in a folder that exists and that you may write to",
            ) from error
        return path

    def _repr_svg_(self) -> str:
        return self.svg()

    def _repr_mimebundle_(self, include: object = None, exclude: object = None) -> dict[str, str]:
        return {"image/svg+xml": self.svg(), "text/plain": self.source}

    def __str__(self) -> str:
        return self.source


def known_format(name: str) -> str:
    """Return the format called *name* (`mmd` and `gv` are known too); UsageError with the nearest one otherwise."""
    found = _SUFFIXES.get(name.lower().lstrip("."))
    if found:
        return found
    near = difflib.get_close_matches(name.lower(), _SUFFIXES, n=1, cutoff=0.4)
    meant = f"did you mean {near[0]!r}? " if near else ""
    raise UsageError(f"unknown plot format {name!r}", hint=f"{meant}formats: {', '.join(FORMATS)}")


def format_of(path: Path) -> str:
    """Return the format that the suffix of *path* says; SVG without a suffix."""
    if not path.suffix:
        return "svg"
    try:
        return known_format(path.suffix[1:])
    except UsageError as error:
        raise UsageError(f"the suffix of {path.name!r} is no plot format", where=str(path), hint=error.hint) from None
