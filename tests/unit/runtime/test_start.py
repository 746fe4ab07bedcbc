"""The start of a function: what is wrong with it is reported under AWS's names."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fnkit.manifest import dumps
from fnkit.manifest.model import Flow, Function, Manifest, Step
from fnkit.runtime.invocation import Failure
from fnkit.runtime.loop import read_concurrency
from tests.fakes.runtime_api import FakeRuntimeApi

ROOT = Path(__file__).parents[3]


def bundle(folder: Path, code: str, step: Step, **files: str) -> Path:
    """Write a bundle by hand: *code* is its app.py; fnkit comes from where the tests run."""
    folder.mkdir()
    entry = Function("graph", "entry", (step.name,), module="app")
    manifest = Manifest("graph", Flow((step,)), functions=(entry,), placement="fused")
    (folder / "graph.json").write_text(dumps(manifest))
    (folder / "bundle.json").write_text('{"format": "fnkit.bundle/1", "function": "graph", "python": "3.11", "pickled": false}')
    (folder / "app.py").write_text(code)
    for name, text in files.items():
        (folder / name.replace("__", ".")).write_text(text)
    return folder


STEP = Step("step", target="app:Step", responder=True, function="graph")
GOOD = "class Step:\n    def do(self, body):\n        return body\n"


def command(folder: Path) -> list[str]:
    """Return what runs the bundle in *folder* in our own loop."""
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from fnkit.runtime.loop import main; import os; "
    return [sys.executable, "-I", "-S", "-B", "-c", f"{program}sys.exit(main({str(folder)!r}, os.environ))"]


def run(folder: Path, api: FakeRuntimeApi, **environ: str) -> subprocess.Popen[str]:
    variables = {"AWS_LAMBDA_RUNTIME_API": api.address, "PATH": os.environ["PATH"], "PYTHONDONTWRITEBYTECODE": "1", **environ}
    return subprocess.Popen(command(folder), env=variables, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize(
    ("code", "step", "kind", "text"),
    [
        ("import nothing_like_this\n", STEP, "Runtime.ImportModuleError", "No module named 'nothing_like_this'"),
        ("def broken(:\n", STEP, "Runtime.UserCodeSyntaxError", "app.py, line 1: "),
        ("class Other: pass\n", STEP, "AttributeError", "module 'app' has no attribute 'Step'"),
        ("class Step: pass\n", STEP, "MLRunValueError", "does not have a handler that can be called"),
        ("class Step:\n    def __init__(self): raise RuntimeError('no model')\n", STEP, "RuntimeError", "no model"),
        (
            GOOD,
            Step("step", target="app:Step", args={"z": 1}, responder=True, function="graph"),
            "TypeError",
            "failed to init step step",
        ),
        ("raise SystemExit(3)\n", STEP, "SystemExit", "3"),
    ],
)
def test_an_error_in_the_users_file_is_an_error_of_the_start(code: str, step: Step, kind: str, text: str, tmp_path: Path) -> None:
    with FakeRuntimeApi() as api:
        process = run(bundle(tmp_path / "b", code, step), api)
        _, log = process.communicate(timeout=60)
        found, document = api.init_errors.get(timeout=60)

    assert found == kind
    assert text in str(document["errorMessage"])
    assert process.returncode == 1
    assert f"[ERROR] {kind}: " in log


def test_a_traceback_begins_with_the_users_code(tmp_path: Path) -> None:
    code = "class Step:\n    def __init__(self):\n        raise RuntimeError('no model')\n"

    with FakeRuntimeApi() as api:
        run(bundle(tmp_path / "b", code, STEP), api).communicate(timeout=60)
        _, document = api.init_errors.get(timeout=60)

    stack = document["stackTrace"]
    assert isinstance(stack, list)
    assert len(stack) == 1
    assert "app.py" in stack[0]


def test_a_bundle_without_its_graph_says_so(tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b", GOOD, STEP)
    (folder / "graph.json").unlink()

    with FakeRuntimeApi() as api:
        run(folder, api).communicate(timeout=60)
        kind, document = api.init_errors.get(timeout=60)

    assert kind == "ManifestError"
    assert "graph.json" in str(document["errorMessage"])


def test_outside_of_a_function_the_program_says_so() -> None:
    program = str(ROOT / "fnkit" / "runtime" / "__main__.py")

    done = subprocess.run([sys.executable, "-I", "-S", program], env={}, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert "AWS_LAMBDA_RUNTIME_API is not set" in done.stderr


def test_the_bundle_comes_first_on_the_path_and_prints_go_out_at_once(tmp_path: Path) -> None:
    code = "import sys\nclass Step:\n    def do(self, body):\n        return sys.path[0]\n"
    folder = bundle(tmp_path / "b", code, STEP)

    with FakeRuntimeApi() as api:
        process = run(folder, api)
        assert api.call({}).json == str(folder)
        api.close()
        process.communicate(timeout=60)
    assert process.returncode == 0


def test_a_step_sees_its_invocation_and_the_process_its_trace(tmp_path: Path) -> None:
    code = (
        "import os\nclass Step:\n    def do_event(self, event):\n        context = event.lambda_context\n"
        "        event.body = [context.aws_request_id, context.get_remaining_time_in_millis() > 1000, context.function_name,\n"
        "            context.client_context.custom, context.w3c(), os.environ['_X_AMZN_TRACE_ID'][:7],\n"
        "            event.headers['x-amzn-trace-id'][:7]]\n"
        "        return event\n"
    )
    client = json.dumps({"custom": {"a": 1}, "w3c": {"traceparent": "00-1", "other": 5}})

    with FakeRuntimeApi() as api:
        process = run(bundle(tmp_path / "b", code, STEP), api, AWS_LAMBDA_FUNCTION_NAME="graph-dev-graph")
        found = api.call({}, **{"Lambda-Runtime-Client-Context": client}).json
        api.close()
        process.communicate(timeout=60)

    assert found == ["request-1", True, "graph-dev-graph", {"a": 1}, {"traceparent": "00-1"}, "Root=1-", "Root=1-"]


def test_a_loggers_lines_name_the_request(tmp_path: Path) -> None:
    code = "import logging\nclass Step:\n    def do(self, body):\n        logging.getLogger('x').warning('careful')\n        return 1\n"
    folder = bundle(tmp_path / "b", code, STEP)
    with FakeRuntimeApi() as api:
        variables = {"AWS_LAMBDA_RUNTIME_API": api.address}
        with subprocess.Popen(command(folder), env=variables, stdout=subprocess.PIPE, text=True) as process:
            api.call({})
            assert process.stdout is not None
            line = process.stdout.readline()
            api.close()

    assert line.startswith("[WARNING]\t")
    assert line.endswith("Z\trequest-1\tcareful\n")


@pytest.mark.parametrize("text", ["0", "-1", "many", "1.5"])
def test_a_concurrency_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(Failure, match="FNKIT_CONCURRENCY"):
        read_concurrency({"FNKIT_CONCURRENCY": text})


STREAMS = {
    "threads": "import threading\nclass Step:\n    wait = threading.Barrier(200)\n    def do(self, body):\n        yield f'a{body};'\n"
    "        self.wait.wait(60)\n        yield f'b{body};'\n",
    "asyncio": "import asyncio\nclass Step:\n    def __init__(self):\n        self.n, self.all = 0, asyncio.Event()\n"
    "    async def do(self, body):\n        yield f'a{body};'\n        self.n += 1\n        if self.n == 200:\n            self.all.set()\n"
    "        await asyncio.wait_for(self.all.wait(), 60)\n        yield f'b{body};'\n",
}


@pytest.mark.parametrize("kind", STREAMS)
def test_two_hundred_streams_at_once_complete_in_one_environment_and_none_is_mixed_up(kind: str, tmp_path: Path) -> None:
    folder = bundle(tmp_path / "b", STREAMS[kind], STEP)
    event = {"requestContext": {"http": {"method": "POST", "path": "/"}}, "headers": {"content-type": "application/json"}}

    with FakeRuntimeApi() as api:
        process = run(folder, api, FNKIT_CONCURRENCY="200", FNKIT_RESPONSE_MODE="streaming")
        exchanges = [api.invoke({**event, "body": str(number)}) for number in range(200)]
        found = [exchange.wait(60).content for exchange in exchanges]
        api.close()
        process.communicate(timeout=60)

    assert found == [b"a%d;b%d;" % (number, number) for number in range(200)]


def test_what_the_runtime_brings_can_be_imported_and_what_the_bundle_brings_goes_before_it(tmp_path: Path) -> None:
    runtime = tmp_path / "runtime"
    runtime.mkdir()
    (runtime / "only_there.py").write_text("NAME = 'runtime'\n")
    (runtime / "in_both.py").write_text("NAME = 'runtime'\n")
    code = (
        "import in_both, only_there\n\n\nclass Step:\n    def do(self, body):\n        return [only_there.NAME, in_both.NAME]\n"
    )
    folder = bundle(tmp_path / "task", code, STEP, in_both__py="NAME = 'bundle'\n")

    with FakeRuntimeApi() as api:
        process = run(folder, api, LAMBDA_RUNTIME_DIR=str(runtime))
        answer = api.call({}).json
        api.close()
        process.communicate(timeout=60)

    assert answer == ["runtime", "bundle"]
