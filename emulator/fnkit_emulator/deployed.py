"""The functions of a build, unpacked and ready to be started."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol

from fnkit.bundle.interpreter import find_interpreter
from fnkit.errors import EmulatorError
from fnkit.manifest import Function, Manifest
from fnkit_emulator.account import ACCOUNT
from fnkit_emulator.credentials import KEYS
from fnkit_emulator.options import Options
from fnkit_emulator.zygote import remove

HANDLER = "fnkit.runtime.handler.handler"
_PROXIES = frozenset({"http_proxy", "https_proxy", "all_proxy"})
_MACHINE = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE")


class Bundle(Protocol):
    """The zip of one function."""

    @property
    def function(self) -> Function: ...

    @property
    def path(self) -> Path: ...

    @property
    def sha256(self) -> str: ...

    @property
    def size(self) -> int: ...


class Build(Protocol):
    """A placed manifest and the zips that were built from it."""

    @property
    def manifest(self) -> Manifest: ...

    @property
    def bundles(self) -> tuple[Bundle, ...]: ...


@dataclass(frozen=True, slots=True)
class Deployed:
    """One function of the emulator.

    *root* is the unpacked bundle; *python* the interpreter for it; *version* its X.Y; *streaming* the invoke mode of its URL;
    *limit* the most environments it may have.
    """

    function: Function
    root: Path
    zip_path: Path
    sha256: str
    size: int
    python: str
    version: str
    streaming: bool
    limit: int
    region: str

    @property
    def name(self) -> str:
        """The name of the function, in the manifest and in the Lambda API."""
        return self.function.name

    @property
    def arn(self) -> str:
        """The function's ARN, with a made-up account."""
        return f"arn:aws:lambda:{self.region}:{ACCOUNT}:function:{self.name}"


@contextmanager
def unpack(build: Build, options: Options) -> Iterator[tuple[Deployed, ...]]:
    """Unpack the bundles of *build*, each into a folder of its own, read-only; they are removed in the end."""
    root = Path(tempfile.mkdtemp(prefix="fnkit-emulate-"))
    try:
        written: dict[tuple[bytes, int], Path] = {}
        yield tuple(
            _deploy(build.manifest, bundle, root / bundle.function.name / "task", options, written) for bundle in build.bundles
        )
    finally:
        if root.exists():
            remove(str(root))


def _deploy(manifest: Manifest, bundle: Bundle, root: Path, options: Options, written: dict[tuple[bytes, int], Path]) -> Deployed:
    try:
        extract(bundle.path, root, written)
        facts = json.loads((root / "bundle.json").read_bytes())
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise EmulatorError(
            f"the bundle cannot be read: {error}", where=str(bundle.path), hint="build it again with `fnkit build`"
        ) from error
    version = str(facts.get("python") or _running_version())
    function = bundle.function
    return Deployed(
        function=function,
        root=root,
        zip_path=bundle.path,
        sha256=bundle.sha256,
        size=bundle.size,
        python=find_python(version),
        version=version,
        streaming=manifest.streaming if function.kind == "entry" else function.streaming,
        limit=function.max_environments or options.max_environments,
        region=options.region,
    )


def extract(archive: Path, root: Path, written: dict[tuple[bytes, int], Path]) -> None:
    """Unpack *archive* into the new folder *root*, executables kept as such, and make all of it read-only.

    *written* are the files of earlier bundles by hash and mode. One that is the same is linked: fnkit and the requirements are in most
    bundles of a graph, and making a file takes ten times as long.
    """
    root.mkdir(parents=True)
    with zipfile.ZipFile(archive) as zipped:
        for entry in zipped.infolist():
            path = root / _inside(entry.filename)
            if entry.is_dir():
                path.mkdir(parents=True, exist_ok=True)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            executable = (entry.external_attr >> 16) & stat.S_IXUSR
            _put(path, zipped.read(entry), 0o555 if executable else 0o444, written)
    for folder, _, _ in os.walk(root, topdown=False):
        os.chmod(folder, 0o555)  # noqa: S103 - nobody may write


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts:
        raise zipfile.BadZipFile(f"{name!r} leads out of it")
    return path


def _put(path: Path, content: bytes, mode: int, written: dict[tuple[bytes, int], Path]) -> None:
    key = hashlib.sha256(content).digest(), mode
    if (known := written.get(key)) is not None:
        with contextlib.suppress(OSError):  # too many links, or a file system without them
            os.link(known, path)
            return
    path.write_bytes(content)
    path.chmod(mode)
    written[key] = path


def find_python(version: str) -> str:
    """Return the interpreter for Python *version* ("3.12"): the running one, or the one that bundles are compiled with."""
    if version == _running_version():
        return sys.executable
    found = find_interpreter(version)
    if found is None:
        raise EmulatorError(
            f"the bundles are for Python {version}, and no python{version} was found here",
            hint=f"install Python {version}, or build for {_running_version()} (setting `python`)",
        )
    return str(found)


def variables(deployed: Deployed, options: Options, *, endpoint: str, access_key: str) -> Mapping[str, str]:
    """Return the environment variables of every environment of *deployed*; *endpoint* is the emulator's own URL."""
    function = deployed.function
    system = {
        "AWS_LAMBDA_FUNCTION_NAME": deployed.name,
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory_mb),
        "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{deployed.name}",
        "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
        "AWS_EXECUTION_ENV": f"AWS_Lambda_python{deployed.version}",
        "AWS_ENDPOINT_URL_LAMBDA": endpoint,
        "FNKIT_ACCESS_KEY": access_key,
        "LAMBDA_TASK_ROOT": str(deployed.root),
        "LAMBDA_RUNTIME_DIR": str(deployed.root),
        "_HANDLER": HANDLER,
        "FNKIT_RESPONSE_MODE": "streaming" if deployed.streaming else "buffered",
        "FNKIT_FUNCTION_PREFIX": "",
        "FNKIT_CONCURRENCY": str(function.concurrency),
        "FNKIT_EMULATOR": "1",
        "PYTHONPATH": str(deployed.root),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "PATH": os.environ.get("PATH", os.defpath),
        "LANG": "C.UTF-8",
        "TZ": ":UTC",
    }
    region = options.environment.get("AWS_REGION") or deployed.region
    return {
        **_passed_on(),
        **{name: value for name, value in function.environment.items() if name not in KEYS},  # AWS refuses these too
        **{name: value for name, value in options.environment.items() if name not in KEYS},
        **system,
        "AWS_REGION": region,
        "AWS_DEFAULT_REGION": region,
        **_identity(options, access_key),
    }


def _identity(options: Options, access_key: str) -> Mapping[str, str]:
    """Whom the functions are to AWS: the one whose keys were given by hand, the one who was looked up, or nobody."""
    for known in (options.environment, options.identity):
        if known.get(KEYS[0]):
            return {name: known[name] for name in KEYS if known.get(name)}
    return dict(zip(KEYS, (access_key, "emulated", "emulated"), strict=True))


def _passed_on() -> dict[str, str]:
    """What environments need of this machine's own variables to reach the network through a proxy and to load libraries."""
    proxies = {name: value for name, value in os.environ.items() if name.lower() in _PROXIES}
    if proxies:
        proxies["NO_PROXY"] = proxies["no_proxy"] = ",".join(
            filter(None, ("127.0.0.1,localhost", os.environ.get("NO_PROXY") or os.environ.get("no_proxy")))
        )
    machine = {name: os.environ[name] for name in _MACHINE if name in os.environ}
    return {**proxies, **machine}


def _running_version() -> str:
    return f"{sys.version_info[0]}.{sys.version_info[1]}"
