"""`fn.deploy()` on this machine: an emulator of its own bundles that lives as long as the process."""

from __future__ import annotations

import os
import runpy
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import fnkit
from fnkit.errors import CredentialsError, EmulatorError, InvokeError, MLRunInvalidArgumentError, UsageError
from fnkit.project import ServingFunction
from tests.fakes.patience import quickest, wait_until

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FNKIT_TARGET", "FNKIT_EMULATOR_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def function(tmp_path: Path) -> Iterator[ServingFunction]:
    """A function that tells a secret and doubles numbers."""
    (tmp_path / "doubling.py").write_text(
        "class Double:\n    def __init__(self, context):\n        self.context = context\n\n"
        "    def do(self, body):\n        print('doubling', body)\n"
        "        return {'result': body['n'] * 2, 'secret': self.context.get_secret('TOKEN')}\n"
    )
    made = fnkit.code_to_function("doubling", filename=str(tmp_path / "doubling.py"))
    made.set_topology("flow").to("Double").respond()
    yield made
    made.undeploy()


def test_a_deployed_function_answers_and_a_second_deploy_replaces_it(
    function: ServingFunction, capfd: pytest.CaptureFixture[str]
) -> None:
    function.with_secrets("inline", {"TOKEN": "t"})

    address = function.deploy()

    assert function.get_url() == address
    assert function.invoke("/", body={"n": 4}) == {"result": 8, "secret": "t"}
    with pytest.raises(RuntimeError, match=r"^bad function response 400: KeyError: 'n'"):
        function.invoke("", body={"m": 4})

    graph = function.set_topology("flow", exist_ok=True)
    graph.to(name="say", handler="({'said': event})").respond()
    assert function.deploy() == address
    assert function.invoke(body={"n": 1}) == {"said": {"n": 1}}
    assert function.invoke("/", body='{"n": 2}') == {"said": {"n": 2}}

    function.undeploy()
    assert "Double | doubling {'n': 4}" in capfd.readouterr().err
    with pytest.raises(InvokeError, match="the function is not deployed"):
        function.get_url()


def test_the_streaming_script_runs_as_printed_and_streams() -> None:
    cell = runpy.run_path(str(ROOT / "examples" / "streaming" / "serve.py"))
    url = cell["fn"].get_url()

    def first_chunk_s() -> float:
        start = time.perf_counter()
        with urllib.request.urlopen(urllib.request.Request(url, b"hello")) as answer:
            first = answer.readline()
            waited = time.perf_counter() - start
            rest = answer.readlines()

        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert [first, *rest] == [f"chunk {number}: processed 'hello'\n".encode() for number in range(5)]
        assert waited >= 0.5
        assert time.perf_counter() - start >= 2.5
        return waited

    assert quickest(first_chunk_s, 1.5) < 1.5
    cell["fn"].undeploy()


def test_the_emulator_ends_with_the_process_that_started_it(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os\nimport fnkit\n\n\ndef say(body):\n    return os.getpid()\n\n\n"
        "fn = fnkit.new_function('short')\nfn.set_topology('flow').to(say).respond()\nprint(fn.deploy(), flush=True)\nos._exit(0)\n"
    )

    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=True, timeout=60)

    url = done.stdout.strip()
    wait_until(lambda: not _answers(url), "the end of the emulator")


def _answers(url: str) -> bool:
    try:
        urllib.request.urlopen(url, timeout=2).close()
    except OSError as error:
        return getattr(error, "code", None) is not None
    return True


class _Running(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(b'{"running": true}')

    def log_message(self, format: str, *args: object) -> None:
        pass


def test_a_running_emulator_is_used_where_one_is_named(function: ServingFunction, monkeypatch: pytest.MonkeyPatch) -> None:
    server = HTTPServer(("127.0.0.1", 0), _Running)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    url = f"http://127.0.0.1:{server.server_port}/"
    monkeypatch.setenv("FNKIT_EMULATOR_URL", url)

    try:
        assert function.deploy() == url
        assert function.invoke("/x", body={"a": 1}) == {"running": True}
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
    with pytest.raises(EmulatorError, match="no emulator answers there"):
        function.deploy()
    function.spec.graph = None


def test_what_cannot_be_deployed_is_told(function: ServingFunction, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="unknown target 'azure'"):
        function.deploy(target="azure")
    monkeypatch.setenv("FNKIT_TARGET", "gcp")
    with pytest.raises(UsageError, match="FNKIT_TARGET"):
        function.deploy()
    with pytest.raises(MLRunInvalidArgumentError, match="nothing to deploy"):
        fnkit.new_function("empty").deploy()
    with pytest.raises(InvokeError, match="the function is not deployed"):
        function.invoke("/")


def test_an_emulator_that_does_not_come_up_says_why(function: ServingFunction) -> None:
    function.with_requirements(["a-package-that-nobody-has==9.9.9"])

    with pytest.raises(Exception, match="a-package-that-nobody-has") as caught:
        function.deploy()

    assert getattr(caught.value, "exit_code", 0) in (1, 2)


def test_aws_without_credentials_says_so_and_secrets_stay_here(
    function: ServingFunction, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_REGION", "eu-west-1")
    monkeypatch.setenv("HOME", str(tmp_path))
    function.with_secrets("inline", {"TOKEN": "t"})

    with pytest.warns(UserWarning, match="secrets stay on this machine: TOKEN"), pytest.raises(CredentialsError) as caught:
        function.deploy(target="aws")

    assert "local" in caught.value.hint


def test_invoke_can_use_a_mock_server(function: ServingFunction) -> None:
    assert function.invoke("/", body={"n": 1}, mock=True) == {"result": 2, "secret": os.environ.get("TOKEN")}


@pytest.mark.parametrize("placement", ["step", "declared", "fused"])
def test_the_cyclic_example_answers_from_its_bundles(placement: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FNKIT_PLACEMENT", placement)
    function = runpy.run_path(str(ROOT / "examples" / "cyclic" / "serve.py"))["function"]
    function.deploy()

    accepted = function.invoke("/", body={"topic": "t", "target": 3})
    refused = function.invoke("/", body={"topic": "t", "target": 31})
    function.undeploy()

    assert accepted == {"answer": "t, draft 3", "attempts": 3}
    assert refused == {"answer": None, "attempts": 30, "error": "no draft was accepted"}
