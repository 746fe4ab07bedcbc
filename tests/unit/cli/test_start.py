"""What a command loads before it does anything: nothing that only others need."""

import subprocess
import sys

import pytest

SERVER = {"gunicorn", "uvicorn", "uvicorn_worker", "fnkit_emulator.server"}
BUILDING = {"fnkit.bundle", "fnkit.deploy.deployment"}


@pytest.mark.parametrize(
    ("module", "unneeded"),
    [
        ("fnkit.cli", {"boto3", "asyncio", "fnkit.project", *SERVER, *BUILDING}),
        ("fnkit.cli.invoke", {"boto3", "asyncio", *SERVER, *BUILDING}),
        ("fnkit.cli.queues", {"boto3", *SERVER, *BUILDING}),
        ("fnkit.cli.router", {"boto3", *SERVER, *BUILDING}),
        ("fnkit.cli.check", {"boto3", "asyncio", *SERVER, *BUILDING}),
        ("fnkit.cli.emulate", {"boto3", "asyncio", "fnkit_emulator", *SERVER}),
    ],
)
def test_a_command_starts_without_what_others_need(module: str, unneeded: set[str]) -> None:
    program = f"import sys, {module}; print(*sorted(set(sys.argv[1:]) & set(sys.modules)))"

    ran = subprocess.run([sys.executable, "-c", program, *unneeded], capture_output=True, text=True, check=True)

    assert ran.stdout.split() == []
