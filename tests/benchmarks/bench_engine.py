"""Measure the engine: what an event costs, against plain calls and awaits, and against its peers.

Each library runs in a long-lived process of its own (`engine_worker.py`), the peers in environments of their own (`.venv-bench-*` beside
the project, made on the first run). All of them get the same cases in interleaved rounds, so that a busy machine is busy for all; printed
are medians of the processor's time. Where the step waits it is the clock's, of the quickest round: a busy machine only makes it longer.
One event is under way at a time, but for the cases with 64 at once. "plain" is the loop that one would write without any graph: calls,
awaits, `asyncio.gather`. The targets are ratios to it.

    python tests/benchmarks/bench_engine.py [--rounds N] [--quick] [--no-peers] [--json]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
WORKER = Path(__file__).with_name("engine_worker.py")
PEERS = {
    "storey": ("storey==1.14.1", "packaging"),  # which storey imports and does not ask for
    "mlrun": ("mlrun==1.12.1",),
    "langgraph": ("langgraph==1.2.22",),
}
MODULES = {"langgraph": "langgraph.graph"}
CASES = (
    "async 1", "async 5", "async 20", "sync 1", "sync 5", "sync 20",
    "loop 100", "fan 8", "64 at once, 5 steps", "64 at once, 10 ms",
)  # fmt: skip
TARGETS = {"async 20": 3.0, "loop 100": 3.0, "fan 8": 1.5, "64 at once, 10 ms": 1.5}
WAITING = "64 at once, 10 ms"
SLICE_S = 0.25
QUICK_S = 0.05


@dataclass(frozen=True)
class Library:
    """A library and the worker process that has it."""

    name: str
    worker: subprocess.Popen[str]

    def ask(self, case: str, count: int) -> float | None:
        """Return the seconds that *count* events of *case* took; None where the library has no such case."""
        assert self.worker.stdin is not None
        assert self.worker.stdout is not None
        self.worker.stdin.write(f"{case} {count}\n")
        self.worker.stdin.flush()
        line = self.worker.stdout.readline()
        if not line:
            raise SystemExit(f"the worker of {self.name} ended with code {self.worker.wait()} in case {case}")
        answer = json.loads(line)
        return None if answer is None else float(answer)


def start(name: str, python: Path) -> Library:
    """Start the worker of library *name* under the interpreter *python*."""
    worker = subprocess.Popen(
        [str(python), str(WORKER), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={"PYTHONPATH": str(ROOT)} if python == Path(sys.executable) else {},
    )
    return Library(name, worker)


def environment(name: str) -> Path:
    """Return the interpreter of the environment that has the peer *name*, installing it where it is missing."""
    folder = ROOT / f".venv-bench-{name}"
    python = folder / "bin" / "python"
    done = folder / "installed"
    if not done.exists():
        sys.stderr.write(f"installing {PEERS[name][0]} into {folder.name} ...\n")
        venv.create(folder, with_pip=True)
        subprocess.run([str(python), "-m", "pip", "install", "-q", "--disable-pip-version-check", *PEERS[name]], check=True)
        done.touch()
    return python


def counts_for(library: Library, slice_s: float) -> dict[str, int]:
    """Return how many events of each case fill a slice of time; cases that the library does not have are left out."""
    found: dict[str, int] = {}
    for case in CASES:
        least = 64 if "at once" in case else 1
        spent, count = library.ask(case, least), least
        while spent is not None and spent < slice_s / 5:
            count *= 4
            spent = library.ask(case, count)
        if spent is not None:
            found[case] = max(least, int(count * slice_s / max(spent, 1e-9)) // least * least)
    return found


def measure(libraries: list[Library], rounds: int, slice_s: float) -> dict[str, dict[str, float]]:
    """Return the median of the µs per event, by case and library."""
    counts = {library.name: counts_for(library, slice_s) for library in libraries}
    times: dict[str, dict[str, list[float]]] = {case: {} for case in CASES}
    for _ in range(rounds):
        for case in CASES:
            for library in libraries:
                count = counts[library.name].get(case)
                spent = library.ask(case, count) if count else None
                if count and spent is not None:
                    times[case].setdefault(library.name, []).append(spent / count * 1e6)
    return {case: {name: _typical(case, values) for name, values in found.items()} for case, found in times.items()}


def _typical(case: str, values: list[float]) -> float:
    return min(values) if case == WAITING else statistics.median(values)


def import_ms(modules: dict[str, tuple[Path, str]], rounds: int) -> dict[str, float]:
    """Return the median time of a process that imports a module, by label."""
    code = "import time, subprocess, sys; t = time.perf_counter(); subprocess.run(sys.argv[1:], check=True); print(time.perf_counter() - t)"
    times: dict[str, list[float]] = {label: [] for label in modules}
    for _ in range(rounds):
        for label, (python, statement) in modules.items():
            command = [sys.executable, "-c", code, str(python), "-c", statement]
            result = subprocess.run(
                command, check=True, capture_output=True, text=True, env={"PYTHONPATH": str(ROOT)} if "fnkit" in label else {}
            )
            times[label].append(float(result.stdout.splitlines()[-1]) * 1e3)
    return {label: statistics.median(values) for label, values in times.items()}


def table(times: dict[str, dict[str, float]], names: list[str]) -> str:
    """Return the table of the times, with fnkit's ratio to plain and each peer's ratio to fnkit."""
    others = [name for name in names if name not in ("plain", "fnkit")]
    head = f"{'µs per event':22}" + "".join(f"{name:>18}" for name in ("plain", "fnkit", *others)) + "   target"
    rows = [head, "-" * len(head)]
    for case, found in times.items():
        plain, ours = found["plain"], found["fnkit"]
        cells = [f"{plain:18.2f}", f"{ours:10.2f} ({ours / plain:4.2f}x)"]
        cells += [f"{found[name]:9.1f} ({found[name] / ours:5.1f}x)" if name in found else f"{'-':>18}" for name in others]
        target = TARGETS.get(case)
        verdict = "" if target is None else f"   <= {target:g}x {'met' if ours <= target * plain else 'MISSED'}"
        rows.append(f"{case:22}" + "".join(cells) + verdict)
    return "\n".join(rows)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark and print its tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=0, help="rounds of all cases (default 7, with --quick 3)")
    parser.add_argument("--quick", action="store_true", help="short rounds")
    parser.add_argument("--no-peers", action="store_true", help="only fnkit and plain Python")
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of tables")
    options = parser.parse_args(arguments)
    rounds = options.rounds or (3 if options.quick else 7)
    ours = Path(sys.executable)
    pythons = {"plain": ours, "fnkit": ours} | ({} if options.no_peers else {name: environment(name) for name in PEERS})
    libraries = [start(name, python) for name, python in pythons.items()]
    try:
        times = measure(libraries, rounds, QUICK_S if options.quick else SLICE_S)
        memory = {library.name: library.ask("memory", 0) or 0.0 for library in libraries}
    finally:
        for library in libraries:
            library.worker.kill()
            library.worker.wait()
    imports = import_ms(
        {
            "python": (ours, "pass"),
            "import fnkit.engine": (ours, "import fnkit.engine"),
            "import asyncio": (ours, "import asyncio"),
        }
        | {
            f"import {name}": (python, f"import {MODULES.get(name, name)}")
            for name, python in pythons.items()
            if name not in ("plain", "fnkit")
        },
        rounds,
    )
    if options.json:
        sys.stdout.write(json.dumps({"us_per_event": times, "peak_memory_mb": memory, "start_ms": imports}) + "\n")
        return 0
    sys.stdout.write(table(times, list(pythons)) + "\n\n")
    sys.stdout.write("peak memory, MB: " + ", ".join(f"{name} {value:.0f}" for name, value in memory.items()) + "\n")
    bare = imports["python"]
    sys.stdout.write(
        "start, ms: " + ", ".join(f"{name} {value:.0f} ({value / bare:.1f}x)" for name, value in imports.items()) + "\n"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
