"""The exporters that `fnkit build --target` knows, by their words."""

from __future__ import annotations

from collections.abc import Mapping

from fnkit.deploy import cloudformation, container, knative, kserve
from fnkit.deploy.export import Exporter

EXPORTERS: Mapping[str, Exporter] = {
    "cloudformation": cloudformation.EXPORTER,
    "container": container.EXPORTER,
    "knative": knative.EXPORTER,
    "kserve": kserve.EXPORTER,
}
