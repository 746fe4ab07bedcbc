"""What the engine costs before the first event: which modules it loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

SYNC_GRAPH = """
import sys
sys.path.insert(0, sys.argv[1])
from fnkit.engine import Context, Event, compile_flow, drive, drive_iterator
from fnkit.manifest.model import Flow, Manifest, Step

class Words:
    def do(self, body):
        yield from body["text"].split()

class Mark:
    def do(self, body):
        return {"text": body["text"] + " c"}

steps = (
    Step("m", target="Mark"), Step("side", target="Mark", after=("m",)), Step("w", target="Words", after=("m",), responder=True),
)
topology = compile_flow(Manifest(name="g", spec=Flow(steps=steps)), namespaces=[globals()], context=Context())
response = drive(topology(Event(b'{"text": "a b"}')))
assert b"".join(drive_iterator(response.body)) == b"abc"
print(" ".join(sorted(name for name in sys.argv[2:] if name in sys.modules)))
"""


def test_a_graph_of_sync_steps_branches_and_streams_without_loading_what_it_does_not_need() -> None:
    unwanted = [
        "asyncio",
        "logging",
        "http.client",
        "http",
        "socket",
        "ssl",
        "concurrent",
        "traceback",
        "uuid",
        "pickle",
        "email",
        "subprocess",
    ]

    result = subprocess.run(
        [sys.executable, "-I", "-S", "-c", SYNC_GRAPH, str(ROOT), *unwanted], capture_output=True, text=True, check=False
    )

    assert result.returncode == 0, result.stderr
    assert result.stdout.split() == []


def test_expressions_are_only_loaded_by_graphs_that_have_some() -> None:
    code = "import sys; sys.path.insert(0, sys.argv[1]); import fnkit.engine; print('fnkit.engine.expressions' in sys.modules)"

    result = subprocess.run([sys.executable, "-I", "-S", "-c", code, str(ROOT)], capture_output=True, text=True, check=True)

    assert result.stdout == "False\n"
