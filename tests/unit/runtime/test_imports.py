"""What a cold start loads of the standard library: as little as it can, from the start of Python to the first answer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fnkit.manifest import dumps
from fnkit.manifest.model import Flow, Function, Manifest, Step
from tests.fakes.runtime_api import FakeRuntimeApi, Posted

ROOT = Path(__file__).parents[3]
UNWANTED = """
    argparse ast asyncio base64 collections concurrent contextlib copy copyreg dataclasses datetime decimal dis email enum fnmatch
    functools hashlib heapq hmac http importlib inspect io.open_code json keyword linecache locale logging math multiprocessing
    operator pathlib pickle platform queue random re reprlib selectors shutil signal site socket ssl string struct subprocess
    tempfile textwrap threading token tokenize traceback types typing urllib uuid warnings weakref zipfile
""".split()
STEP = f"""
import sys
UNWANTED = {UNWANTED!r}

def loaded():
    return [name for name in sys.modules if name.partition(".")[0] in UNWANTED]

class Answers:
    def do(self, body):
        return {{"loaded": loaded(), "ours": [name for name in sys.modules if name.startswith("fnkit")]}}

class Streams:
    def do(self, body):
        yield str(loaded())
        yield str(loaded())
"""
PROGRAM = """
import sys
for name in sys.argv[3:]:
    __import__(name.removeprefix("_"))
    sys.modules[name] = None
sys.path.insert(0, sys.argv[1])
import os
from fnkit.runtime.loop import main
sys.exit(main(sys.argv[2], os.environ))
"""
REQUEST = {
    "requestContext": {"http": {"method": "POST", "path": "/"}}, "headers": {"content-type": "application/json"}, "body": "[1]",
}  # fmt: skip


def answer(target: str, folder: Path, payload: object, *hidden: str, **environ: str) -> Posted:
    """Return what a fresh process answers whose only step is *target*; it has to do without the modules *hidden*."""
    folder.mkdir()
    step = Step("step", target=f"app:{target}", responder=True, function="graph")
    entry = Function("graph", "entry", ("step",), module="app")
    (folder / "graph.json").write_text(dumps(Manifest("graph", Flow((step,)), functions=(entry,), placement="fused")))
    (folder / "bundle.json").write_text('{"format": "fnkit.bundle/1", "function": "graph", "python": "3.11", "pickled": false}')
    (folder / "app.py").write_text(STEP)
    with FakeRuntimeApi(cancels=True) as api:
        exchange = api.invoke(payload)
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", "-c", PROGRAM, str(ROOT), str(folder), *hidden],
            env={"AWS_LAMBDA_RUNTIME_API": api.address, "PATH": os.environ["PATH"], **environ},
        )
        try:
            posted = exchange.wait()
        finally:
            api.close()
            process.wait(30)
    return posted


@pytest.mark.parametrize("payload", [REQUEST, {"a": 1}], ids=["request", "direct"])
def test_the_first_answer_needs_none_of_the_modules_that_take_long_to_load(payload: object, tmp_path: Path) -> None:
    posted = answer("Answers", tmp_path / "bundle", payload, FNKIT_RESPONSE_MODE="streaming")

    assert b'"loaded": []' in posted.body, posted.body


def test_the_first_answer_needs_no_part_of_fnkit_that_is_for_others(tmp_path: Path) -> None:
    posted = answer("Answers", tmp_path / "bundle", {"a": 1})

    ours = posted.json["ours"]  # type: ignore[index]  # the step answers with a dict
    assert not {name for name in ours if name.startswith(("fnkit.net", "fnkit.steps", "fnkit.serving", "fnkit.inference_graph"))}
    assert not set(ours) & {
        "fnkit.functions.placement",
        "fnkit.functions.frames",
        "fnkit.runtime.step_calls",
        "fnkit.engine.loop",
    }


def test_a_stream_needs_none_of_them_either(tmp_path: Path) -> None:
    posted = answer("Streams", tmp_path / "bundle", REQUEST, FNKIT_RESPONSE_MODE="streaming")

    assert posted.content == b"[][]"


def test_the_public_modules_do_as_well_as_their_halves_in_c(tmp_path: Path) -> None:
    posted = answer("Streams", tmp_path / "bundle", REQUEST, "_socket", "_signal", "_json", FNKIT_RESPONSE_MODE="streaming")

    assert b"'socket'" in posted.content
    assert b"'enum'" in posted.content
