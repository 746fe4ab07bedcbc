"""What the settings of a project and the options of a command say together about a deployment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from fnkit.bundle import Build, Options, build, is_build_folder
from fnkit.bundle.platforms import choose_platform
from fnkit.deploy.asynchronous import AsyncWishes
from fnkit.deploy.sources import find_secrets
from fnkit.deploy.wanted import StreamRuntime, Wishes
from fnkit.errors import UsageError
from fnkit.manifest import Manifest
from fnkit.project import Settings, load, read_settings


@dataclass(frozen=True, slots=True)
class Choices:
    """The options of a command: `""` and None mean as the settings say."""

    stage: str = ""
    public: bool | None = None
    stream_runtime: StreamRuntime = "patch"
    platform: str = ""


def choose(choices: Choices, settings: Settings, manifest: Manifest, environ: Mapping[str, str]) -> Wishes:
    """Return how to deploy *manifest*; *environ* may name the secrets of its queues."""
    platform = choices.platform or _cloud_platform(settings)
    return Wishes(
        stage=choices.stage or settings.stage,
        public=settings.public if choices.public is None else choices.public,
        role=settings.role,
        bucket=settings.bucket,
        architecture=choose_platform(platform, for_cloud=True).architecture,
        stream_runtime=choices.stream_runtime,
        secrets=find_secrets(manifest, environ),
        asynchronous=AsyncWishes(settings.async_retries, settings.async_max_age_s, settings.async_failures),
    )


def build_for_cloud(
    target: str, out: Path, *, options: Options, environ: Mapping[str, str], report: Callable[[str], None]
) -> tuple[Build, Settings]:
    """Build *target* into *out* for Lambda's machines, or open it if it is built; return it with the settings that hold for it."""
    if options.platform == "host":
        raise UsageError(
            "Lambda does not have this machine", where="--platform", hint="leave it out, or name a platform of Linux"
        )
    if is_build_folder(Path(target)):
        if options.placement:
            raise UsageError("what is built is placed already", where="--placement", hint="name the step file instead")
        built, settings = build(target, out), read_settings(Path.cwd(), environ)
        return built, replace(settings, platform=built.platform or settings.platform)
    loaded = load(target)
    platform = options.platform or _cloud_platform(loaded.settings)
    return build(loaded, out, options=replace(options, platform=platform, for_cloud=True), report=report), loaded.settings


def _cloud_platform(settings: Settings) -> str:
    """Return the platform that *settings* name for functions in the cloud; this machine is none that Lambda has."""
    return "" if settings.platform == "host" else settings.platform
