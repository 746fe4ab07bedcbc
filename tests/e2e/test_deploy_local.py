"""`fnkit deploy --target local`: the way of those who have no cloud account."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import requests

from tests.fakes.emulator_process import REPOSITORY, watched

STREAMING = REPOSITORY / "examples" / "streaming" / "serve.py"
DEPLOY = [sys.executable, "-m", "fnkit", "deploy", str(STREAMING)]


def fnkit_deploy(*arguments: str, environ: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*DEPLOY, *arguments], check=False, capture_output=True, text=True, timeout=60, env=environ)


def test_local_deploys_into_an_emulator_that_lives_as_long_as_the_command(tmp_path: Path) -> None:
    command = [*DEPLOY, "--target", "local", "--placement", "fused", "--json"]
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=tmp_path, start_new_session=True)
    with watched(process) as running:
        answer = requests.post(running.url, data="hello", timeout=20)

        assert answer.text.splitlines()[4] == "chunk 4: processed 'hello'"
        assert list(running.functions) == ["streaming-fn"]


def test_what_only_aws_knows_is_refused_all_at_once() -> None:
    done = fnkit_deploy("--target", "local", "--stage", "x", "--public", "--region", "eu-west-1")

    assert done.returncode == 2
    assert "means nothing with --target local: --public, --region, --stage" in done.stderr


def test_without_region_and_credentials_the_way_without_an_account_is_named(tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}

    done = fnkit_deploy(environ={**environ, "HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"})

    assert done.returncode == 2
    assert "no AWS region is set, and there are no credentials" in done.stderr
    assert "--target local" in done.stderr
