"""MLRun's word for what happens to the record of an endpoint that exists already; fnkit keeps no such records and accepts it."""

from __future__ import annotations

from enum import StrEnum


class ModelEndpointCreationStrategy(StrEnum):
    """What MLRun does with the record of a model endpoint of the same name."""

    INPLACE = "inplace"
    ARCHIVE = "archive"
    OVERWRITE = "overwrite"
    SKIP = "skip"
