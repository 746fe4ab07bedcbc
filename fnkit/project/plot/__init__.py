"""Draw a graph: SVG, PNG, Mermaid and DOT, from the manifest alone and without Graphviz.

A manifest becomes a `Diagram` (`flows`, `documents`), which `dot` and `mermaid` write as text; for SVG it gets coordinates first
(`layering`, `ordering`, `spacing`, `curves`, put together by `layout`) and then colours and letters (`look`, `svg`).
"""

from __future__ import annotations

import difflib
from pathlib import Path

from fnkit.errors import UsageError
from fnkit.manifest.model import Document, Flow, Manifest, Router
from fnkit.project.plot.diagram import Diagram
from fnkit.project.plot.documents import gateway_diagram, inference_graph_diagram
from fnkit.project.plot.drawing import FORMATS, RANKDIRS, Drawing, known_format
from fnkit.project.plot.flows import flow_diagram, router_diagram

__all__ = ["FORMATS", "RANKDIRS", "Diagram", "Drawing", "diagram_of", "plot"]


def plot(manifest: Manifest, *, filename: str | Path | None = None, format: str | None = None, **attrs: object) -> Drawing:
    """Return a drawing of *manifest*, and write it to *filename* if there is one.

    *format* is svg, png, mermaid or dot; without it the suffix of *filename* says the format. *attrs* are Graphviz attributes
    of the graph; `rankdir` (LR, TB, RL, BT) is the direction of the arrows in every format. Raises UsageError for an unknown
    format or direction, FnkitError when the file cannot be written or PNG is not possible here.
    """
    attributes = {key: str(value) for key, value in attrs.items() if value is not None}
    if "rankdir" in attributes:
        attributes["rankdir"] = _known_rankdir(attributes["rankdir"])
    drawing = Drawing(diagram_of(manifest), attributes)
    if format is not None:
        known_format(format)
    if filename is not None:
        drawing.save(filename, format)
    return drawing


def diagram_of(manifest: Manifest) -> Diagram:
    """Return what there is to draw of *manifest*, whatever its topology."""
    match manifest.spec:
        case Flow() as flow:
            return flow_diagram(manifest, flow)
        case Router() as router:
            return router_diagram(manifest, router)
        case Document() as document if manifest.topology == "gateway":
            return gateway_diagram(manifest, document)
        case Document() as document:
            return inference_graph_diagram(manifest, document)


def _known_rankdir(value: str) -> str:
    if value.upper() in RANKDIRS:
        return value.upper()
    near = difflib.get_close_matches(value.upper(), RANKDIRS, n=1, cutoff=0.4)
    meant = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"unknown rankdir {value!r}", hint=f"{meant}directions: {', '.join(RANKDIRS)}")
