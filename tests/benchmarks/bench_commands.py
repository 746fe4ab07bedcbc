"""What the commands make their user wait for: the help text, a check, a drawing, an emulator and a router that are ready.

Beside them stand a Python that does nothing and one that imports click, which no command can do without. Rounds are interleaved;
medians are shown, and the ratio to the first. The mock server starts inside a process that has loaded the graph and asyncio.

    python tests/benchmarks/bench_commands.py [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

EXAMPLES = Path(__file__).parents[2] / "examples"
GRAPH = str(EXAMPLES / "cyclic" / "serve.py")
ROUNDS = 11
QUICK_ROUNDS = 3
SPEC = '{"nodes": {"root": {"routerType": "Sequence", "steps": [{"serviceUrl": "http://127.0.0.1:9/"}]}}}'
ROUTER = ("router", "--graph-json", SPEC, "--port", "0", "--json", "--drain-seconds", "0")
MOCK = """
import asyncio, sys, time
sys.path.insert(0, sys.argv[1])
from serve import function
start = time.perf_counter()
with function.to_mock_server():
    print(time.perf_counter() - start)
"""


def fnkit(*arguments: str) -> list[str]:
    """Return the command line of `fnkit` with *arguments*."""
    return [sys.executable, "-m", "fnkit", *arguments]


def to_end(command: list[str]) -> Callable[[], float]:
    """Time *command* from its start to its end."""

    def run() -> float:
        begin = time.perf_counter()
        subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return time.perf_counter() - begin

    return run


def to_ready(command: list[str], folder: Path) -> Callable[[], float]:
    """Time *command*, which runs in *folder*, from its start to the line that says it is ready; then end it."""

    def run() -> float:
        begin = time.perf_counter()
        with (folder / "errors").open("w") as errors:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors, cwd=folder, text=True
            )
        assert process.stdout is not None
        with process.stdout as said:
            line = said.readline()
            took = time.perf_counter() - begin
            if not line or json.loads(line)["event"] != "ready":
                why = (folder / "errors").read_text()
                raise SystemExit(f"{command} is not ready, but ended with {process.wait()}: {line}{why}")
            process.send_signal(signal.SIGTERM)
            process.wait()
        return took

    return run


def printed(command: list[str]) -> Callable[[], float]:
    """Return the seconds that *command* prints."""
    return lambda: float(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main(arguments: list[str] | None = None) -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK_ROUNDS} rounds in place of {ROUNDS}")
    parser.add_argument("--no-peers", action="store_true", help="changes nothing: there is no peer to start")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        os.environ["FNKIT_CACHE_DIR"] = str(folder / "cache")
        os.environ["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")  # which an installed fnkit has, and a checkout may not
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
        cases = {
            "python -c pass": to_end([sys.executable, "-c", "pass"]),
            "python -c 'import click'": to_end([sys.executable, "-c", "import click"]),
            "fnkit --help": to_end(fnkit("--help")),
            "fnkit check": to_end(fnkit("check", GRAPH)),
            "fnkit plot": to_end(fnkit("plot", GRAPH, "-o", str(folder / "graph.svg"))),
            "fnkit router, until ready": to_ready(fnkit(*ROUTER), folder),
            "fnkit emulate, until ready": to_ready(fnkit("emulate", GRAPH, "--port", "0", "--json"), folder),
            "to_mock_server(), in a running process": printed([sys.executable, "-c", MOCK, str(Path(GRAPH).parent)]),
        }
        times: dict[str, list[float]] = {name: [] for name in cases}
        for _ in range(1 + (QUICK_ROUNDS if options.quick else ROUNDS)):
            for name, measure in cases.items():
                times[name].append(measure())
        times = {name: found[1:] for name, found in times.items()}  # the first round has filled the caches
    show(times)
    return 0


def show(times: dict[str, list[float]]) -> None:
    """Print the table."""
    base = statistics.median(times["python -c pass"])
    for name, found in times.items():
        median = statistics.median(found)
        print(f"  {name:40} {median * 1000:8.1f} ms   x{median / base:6.2f}   min {min(found) * 1000:.1f}")


if __name__ == "__main__":
    sys.exit(main())
