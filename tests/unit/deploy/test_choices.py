"""What a deployment is to be, by the options, the settings and what was built."""

from __future__ import annotations

from pathlib import Path

import pytest

from fnkit.bundle import Options, build
from fnkit.deploy.choices import Choices, build_for_cloud, choose
from fnkit.manifest import Flow, Manifest, Step
from fnkit.project import Loaded


@pytest.mark.parametrize(("platform", "architecture"), [("linux-arm64", "arm64"), ("linux-x86_64", "x86_64")])
def test_a_built_folder_is_deployed_to_the_machines_that_it_was_built_for(
    platform: str, architecture: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "steps.py").write_text("class Echo:\n    def do(self, body):\n        return body\n")
    loaded = Loaded(Manifest("g", Flow((Step("echo", target="steps:Echo", responder=True),))), tmp_path)
    build(loaded, tmp_path / "out", options=Options(platform=platform))

    built, settings = build_for_cloud(str(tmp_path / "out"), tmp_path / "other", options=Options(), environ={}, report=print)

    assert choose(Choices(), settings, built.manifest, {}).architecture == architecture
