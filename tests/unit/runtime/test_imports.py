"""What a cold start loads of the standard library: as little as it can, from the start of Python to the first answer."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fnkit.engine.drive import drive
from fnkit.manifest import dumps
from fnkit.manifest.model import Flow, Function, Manifest, Step
from fnkit.runtime.plain import PlainTransport, connector
from tests.fakes.runtime_api import FakeRuntimeApi, Posted

ROOT = Path(__file__).parents[3]
UNWANTED = """
    argparse ast asyncio base64 binascii collections concurrent contextlib copy copyreg dataclasses datetime decimal dis email enum fnmatch
    functools hashlib heapq hmac http importlib inspect json keyword locale logging math multiprocessing
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


def write_bundle(folder: Path, target: str, code: str) -> Path:
    """Write a bundle by hand, whose only step is the class *target* of *code*; fnkit comes from where the tests run."""
    folder.mkdir()
    step = Step("step", target=f"app:{target}", responder=True, function="graph")
    entry = Function("graph", "entry", ("step",), module="app")
    (folder / "graph.json").write_text(dumps(Manifest("graph", Flow((step,)), functions=(entry,), placement="fused")))
    (folder / "bundle.json").write_text('{"format": "fnkit.bundle/1", "function": "graph", "python": "3.11", "pickled": false}')
    (folder / "app.py").write_text(code)
    return folder


def answer(target: str, folder: Path, payload: object, *hidden: str, **environ: str) -> Posted:
    """Return what a fresh process answers whose only step is *target*; it has to do without the modules *hidden*."""
    write_bundle(folder, target, STEP)
    with FakeRuntimeApi(cancels=True) as api:
        exchange = api.invoke(payload)
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-B", "-c", PROGRAM, str(ROOT), str(folder), *hidden],
            env={"AWS_LAMBDA_RUNTIME_API": api.address, "PATH": os.environ["PATH"], **environ},
        )
        try:
            posted = exchange.wait(60)
        finally:
            api.close()
            process.wait(60)
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


GARBAGE = "import gc\nclass Step:\n    def do(self, body):\n        return [gc.isenabled(), gc.get_freeze_count() > 1000]\n"


def test_the_users_code_runs_with_its_garbage_collected_and_ours_set_aside(tmp_path: Path) -> None:
    folder = write_bundle(tmp_path / "bundle", "Step", GARBAGE)

    with FakeRuntimeApi() as api:
        exchange = api.invoke({})
        environ = {"AWS_LAMBDA_RUNTIME_API": api.address, "LAMBDA_TASK_ROOT": str(folder), "PATH": os.environ["PATH"]}
        process = subprocess.Popen([sys.executable, "-I", "-S", "-B", str(ROOT / "fnkit/runtime/__main__.py")], env=environ)
        posted = exchange.wait(60)
        api.close()
        process.wait(60)

    assert posted.json == [True, True]


def test_a_default_time_out_of_the_users_code_does_not_end_the_wait_for_events() -> None:
    before = socket.getdefaulttimeout()
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.setdefaulttimeout(0.01)
        try:
            transport = drive(connector(f"127.0.0.1:{server.getsockname()[1]}")())
        finally:
            socket.setdefaulttimeout(before)

        assert isinstance(transport, PlainTransport)
        assert transport.socket.gettimeout() is None
        transport.close()


def test_a_host_without_an_open_port_is_an_error_of_the_system() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]

    with pytest.raises(ConnectionRefusedError):
        drive(connector(f"127.0.0.1:{port}")())
