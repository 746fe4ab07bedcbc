"""Run the streaming example from its bundles and show each chunk with the time at which it arrived."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import requests

EXAMPLE = Path(__file__).parent / "serve.py"


def main() -> int:
    """Start `fnkit emulate` on a free port, post to the graph, print what comes, stop the emulator."""
    command = [sys.executable, "-m", "fnkit", "emulate", str(EXAMPLE), "--port", "0", "--json"]
    print(f"$ fnkit emulate {EXAMPLE.relative_to(EXAMPLE.parents[2])}")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as emulator:
        try:
            return post(ready_url(emulator))
        finally:
            emulator.terminate()


def ready_url(emulator: subprocess.Popen[str]) -> str:
    """Return the URL that the emulator says it listens on; leave if it says none."""
    assert emulator.stdout is not None
    for line in emulator.stdout:
        event = json.loads(line)
        if event["event"] == "ready":
            for name, url in event["functions"].items():
                print(f"  {name:14} {url}")
            return str(event["url"])
    sys.exit("the emulator did not start")


def post(url: str) -> int:
    """Post one body and print each chunk as it arrives; 0 if all of them came."""
    print(f'\n>>> requests.post("{url}", data="hello", stream=True)')
    start = time.perf_counter()
    with requests.post(url, data="hello", stream=True, timeout=30) as response:
        print(f"HTTP {response.status_code}, Transfer-Encoding: {response.headers.get('Transfer-Encoding')}\n")
        chunks = 0
        for chunk in response.iter_content(chunk_size=None, decode_unicode=True):
            print(f"{time.perf_counter() - start:6.3f} s  {chunk}", end="", flush=True)
            chunks += 1
    print(f"\n{chunks} chunks, each sent when the step yielded it")
    return 0 if response.ok and chunks else 1


if __name__ == "__main__":
    sys.exit(main())
