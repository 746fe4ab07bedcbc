"""Measure the build of a bundle with dependencies against plain zipfile and against reading and hashing alone.

A project with one step class and two requirements is built three times: with an empty cache (install, compile, pack), again with
nothing changed, and again after a change of the step. Beside them stand, on the very files of that bundle: `zipfile` at its
default level, which is what most packagers do at each build; reading and hashing every file, the least that any check for changes
costs; and reading and hashing the finished zip, the least that handing over a cached bundle costs.

    python tests/benchmarks/bench_bundle.py [--quick]
"""

from __future__ import annotations

import hashlib
import os
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from fnkit.bundle import Build, build
from fnkit.errors import BundleError
from fnkit.manifest import Flow, Function, Manifest, Step
from fnkit.project import Loaded, Settings

REQUIREMENTS = ("numpy", "requests")
STEP = "class Step:\n    def do(self, body):\n        return body\n"


def main(arguments: list[str] | None = None) -> int:
    """Print one line for each case: milliseconds and the ratio to zipfile; 0 if the requirements could be installed."""
    flags = sys.argv[1:] if arguments is None else arguments
    rounds = 3 if "--quick" in flags else 7
    with tempfile.TemporaryDirectory(prefix="fnkit-bench-") as name:
        folder = Path(name)
        os.environ["FNKIT_CACHE_DIR"] = str(folder / "cache")
        try:
            return _run(folder, rounds)
        except BundleError as error:
            print(f"the requirements cannot be installed here, so there is nothing to measure: {error.explain()}")
            return 0


def _run(folder: Path, rounds: int) -> int:
    loaded = _project(folder / "project")
    first = _timed(lambda: build(loaded, folder / "out"))
    built = build(loaded, folder / "out")
    tree = _unpacked(built, folder / "tree")
    cases: dict[str, Callable[[], object]] = {
        "fnkit, nothing changed": lambda: build(loaded, folder / "out"),
        "fnkit, step changed": lambda: _changed(loaded, folder / "out"),
        "zipfile, level 6": lambda: _zipfile(tree, folder / "plain.zip"),
        "read and hash the files": lambda: _hashed(tree),
        "read and hash the zip": lambda: hashlib.sha256(built.bundles[0].path.read_bytes()).hexdigest(),
    }
    times: dict[str, list[float]] = {name: [] for name in cases}
    for _ in range(rounds):  # interleaved, so that a busy machine is busy for all
        for name, case in cases.items():
            times[name].append(_timed(case))
    _report(built, first, {name: statistics.median(values) for name, values in times.items()}, rounds)
    return 0


def _report(built: Build, first: float, medians: dict[str, float], rounds: int) -> None:
    bundle = built.bundles[0]
    sizes = f"{bundle.size / 2**20:.1f} MB zipped, {bundle.unzipped_size / 2**20:.1f} MB unzipped, bytecode included"
    print(f"one bundle with {', '.join(REQUIREMENTS)}: {sizes}; medians of {rounds} rounds")
    plain = medians["zipfile, level 6"]
    for name, value in {"fnkit, empty cache (install, compile)": first, **medians}.items():
        print(f"  {name:38} {value * 1000:9.1f} ms   x {value / plain:6.3f}")


def _project(root: Path) -> Loaded:
    root.mkdir()
    (root / "steps.py").write_text(STEP)
    flow = Flow((Step("step", target="steps:Step", responder=True),))
    entry = Function("bench", "entry", requirements=REQUIREMENTS)
    return Loaded(Manifest("bench", flow, functions=(entry,)), root, settings=Settings(placement="fused"))


def _changed(loaded: Loaded, out: Path) -> Build:
    (loaded.root / "steps.py").write_text(f"{STEP}# {time.perf_counter_ns()}\n")
    return build(loaded, out)


def _unpacked(built: Build, folder: Path) -> Path:
    with zipfile.ZipFile(built.bundles[0].path) as archive:
        archive.extractall(folder)
    return folder


def _zipfile(tree: Path, path: Path) -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in tree.rglob("*"):
            if file.is_file():
                archive.write(file, file.relative_to(tree))


def _hashed(tree: Path) -> str:
    digest = hashlib.sha256()
    for file in sorted(tree.rglob("*")):
        if file.is_file():
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _timed(case: Callable[[], object]) -> float:
    start = time.perf_counter()
    case()
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
