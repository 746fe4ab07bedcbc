"""Amazon's Runtime Interface Emulator: the binary that the aws-sam-cli wheel ships, unpacked once into a cache."""

from __future__ import annotations

import http.client
import json
import os
import platform
import signal
import socket
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.fakes.ports import free_port

WHEEL = "aws-sam-cli==1.170.0"


def find_rie() -> Path | None:
    """Return the binary, downloaded by pip if need be; None where it cannot be had."""
    machine = {"x86_64": "x86_64", "aarch64": "arm64"}.get(platform.machine(), "")
    if not sys.platform.startswith("linux") or not machine:
        return None
    cache = Path(os.environ.get("FNKIT_TEST_CACHE") or Path.home() / ".cache" / "fnkit-tests")
    binary = cache / f"aws-lambda-rie-{machine}"
    if binary.exists():
        return binary
    cache.mkdir(parents=True, exist_ok=True)
    wheels = sorted(cache.glob("aws_sam_cli-*.whl")) or _download(cache)
    if not wheels:
        return None
    with zipfile.ZipFile(wheels[-1]) as archive:
        data = archive.read(f"samcli/local/rapid/{binary.name}")
    unfinished = binary.with_suffix(f".{os.getpid()}")
    unfinished.write_bytes(data)
    unfinished.chmod(0o755)
    unfinished.replace(binary)
    return binary


def _download(cache: Path) -> list[Path]:
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--dest", str(cache), WHEEL]
    try:
        subprocess.run(command, check=True, timeout=120, capture_output=True)
    except (subprocess.SubprocessError, OSError):
        return []
    return sorted(cache.glob("aws_sam_cli-*.whl"))


@dataclass(frozen=True, slots=True)
class Answer:
    """What the emulator answered to an invocation, and when its body was complete, in seconds after the call."""

    status: int
    headers: dict[str, str]
    body: bytes


class Rie:
    """A running emulator. It takes one call at a time: a second one in parallel makes it panic."""

    def __init__(self, port: int) -> None:
        self._port = port

    def call(self, payload: object) -> Answer:
        """Invoke the function."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        try:
            connection.request("POST", "/2015-03-31/functions/function/invocations", json.dumps(payload))
            response = connection.getresponse()
            return Answer(response.status, {name.lower(): value for name, value in response.getheaders()}, response.read())
        finally:
            connection.close()


@contextmanager
def running_rie(binary: Path, command: list[str], environ: dict[str, str], folder: Path, log: Path) -> Iterator[Rie]:
    """Run *command*, a runtime, under the emulator, in *folder*; its log goes to *log*."""
    front, api = free_port(), free_port()
    arguments = ["--runtime-interface-emulator-address", f"127.0.0.1:{front}", "--runtime-api-address", f"127.0.0.1:{api}"]
    environ = {name: value for name, value in environ.items() if name != "AWS_LAMBDA_RUNTIME_API"}
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(binary), *arguments, *command], env=environ, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        try:
            _wait_for(front, process)
            yield Rie(front)
        finally:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert process.poll() is None, "the emulator has ended"
            assert time.monotonic() < until, "the emulator does not listen"
            time.sleep(0.01)  # there is nothing to wait on: it says nowhere that it listens
