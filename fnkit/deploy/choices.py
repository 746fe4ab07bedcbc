"""What the settings of a project and the options of a command say together about a deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from fnkit.bundle.platforms import choose_platform
from fnkit.deploy.sources import find_secrets
from fnkit.deploy.wanted import StreamRuntime, Wishes
from fnkit.manifest import Manifest
from fnkit.project import Settings


@dataclass(frozen=True, slots=True)
class Choices:
    """The options of a command: `""` and None mean as the settings say."""

    stage: str = ""
    public: bool | None = None
    stream_runtime: StreamRuntime = "patch"


def choose(choices: Choices, settings: Settings, manifest: Manifest, environ: Mapping[str, str]) -> Wishes:
    """Return how to deploy *manifest*; *environ* may name the secrets of its queues."""
    return Wishes(
        stage=choices.stage or settings.stage,
        public=settings.public if choices.public is None else choices.public,
        role=settings.role,
        bucket=settings.bucket,
        architecture=choose_platform(cloud_platform(settings), for_cloud=True).architecture,
        stream_runtime=choices.stream_runtime,
        secrets=find_secrets(manifest, environ),
    )


def cloud_platform(settings: Settings) -> str:
    """Return the platform that *settings* name for functions in the cloud; this machine is none that Lambda has."""
    return "" if settings.platform == "host" else settings.platform
