"""Bodies over the payload limit between functions, and streams through two functions."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import requests

from fnkit.bundle import build
from fnkit.manifest import Flow, Function, Manifest, Step
from fnkit.project.loaded import Loaded
from tests.fakes.emulator_process import emulator
from tests.fakes.patience import quickest

PROJECT = Path(__file__).parents[1] / "projects" / "queues"


def build_flow(out: Path, *steps: Step, placement: str, streaming: bool = False) -> Path:
    entry = replace(Function(name="hops", kind="entry", module="hops", timeout_s=60), streaming=streaming)
    manifest = Manifest(name="hops", spec=Flow(steps=steps), functions=(entry,), streaming=streaming)
    build(Loaded(manifest, PROJECT), out, placement=placement)
    return out


def test_an_event_over_the_limit_reaches_the_other_function_and_leaves_nothing_behind(tmp_path: Path) -> None:
    steps = (Step("blow", target="hops:Blow"), Step("count", target="hops:Count", after=("blow",), responder=True))
    built = build_flow(tmp_path / "build", *steps, placement="step")

    with emulator(built, "--queue-dir", str(tmp_path / "queues")) as running:
        answer = requests.post(running.url, json={"size": 7_000_000}, timeout=60)

    assert answer.json() == {"size": 7_000_000}
    assert list((tmp_path / "queues" / "hops" / "objects").iterdir()) == []


def test_fifty_megabytes_stream_through_two_functions_in_flat_memory(tmp_path: Path) -> None:
    steps = (Step("pour", target="hops:Pour"), Step("pass", target="hops:Pass", after=("pour",), responder=True))
    built = build_flow(tmp_path / "build", *steps, placement="step", streaming=True)

    with emulator(built) as running:
        with requests.post(running.url, json={"chunks": 10, "size": 65536}, stream=True, timeout=60) as warm:
            sum(map(len, warm.iter_content(65536)))
        before = max(_memory_mb(pid) for pid in running.pids)
        with requests.post(running.url, json={"chunks": 800, "size": 65536}, stream=True, timeout=60) as answer:
            size = sum(map(len, answer.iter_content(65536)))
        after = max(_memory_mb(pid) for pid in running.pids)

    assert size == 800 * 65536
    assert after - before < 30


def test_a_hop_costs_the_first_chunk_less_than_twenty_milliseconds(tmp_path: Path) -> None:
    steps = (Step("pour", target="hops:Pour"), Step("pass", target="hops:Pass", after=("pour",), responder=True))
    fused, apart = (build_flow(tmp_path / name, *steps, placement=name, streaming=True) for name in ("fused", "step"))
    calls = 2  # both classes have functions of their own

    with emulator(fused) as together, emulator(apart) as distributed:

        def hop_s() -> float:
            more = min(_first_chunk_s(distributed.url) for _ in range(15)) - min(_first_chunk_s(together.url) for _ in range(15))
            return more / calls

        assert quickest(hop_s, 0.020) < 0.020


def _first_chunk_s(url: str) -> float:
    start = time.perf_counter()
    with requests.post(url, data=json.dumps({"chunks": 2, "size": 10}), stream=True, timeout=60) as answer:
        next(answer.iter_content(None))
        return time.perf_counter() - start


def _memory_mb(pid: int) -> float:
    """Return the peak of the process's own memory."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except FileNotFoundError:
        return 0.0
    return next((int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM")), 0.0)
