"""Name the machines that bundles are made for.

A Lambda function runs on Linux with the glibc of its runtime: Amazon Linux 2023 (glibc 2.34) from Python 3.12 on, Amazon Linux
2 (2.26) before. Wheels name the oldest glibc that they run with, so a bundle for Linux takes no newer ones. A Linux machine
runs the same wheels itself: there one and the same bundle is emulated and deployed. On another system the two differ.
"""

from __future__ import annotations

import platform as machine
import sys
from dataclasses import dataclass

from fnkit.errors import UsageError

_ARCHITECTURES = {"x86_64": "x86_64", "amd64": "x86_64", "aarch64": "arm64", "arm64": "arm64"}
_WHEEL_NAMES = {"x86_64": "x86_64", "arm64": "aarch64"}
NAMES = ("linux-x86_64", "linux-arm64", "host")
_AL2, _AL2023 = 17, 34  # the floors that wheels are published for, at or below glibc 2.26 and 2.34
_FLOORS = (5, 12, 17, 24, 26, 27, 28, 31, 34)


@dataclass(frozen=True, slots=True)
class Platform:
    """A kind of machine: *name* is one of `NAMES`."""

    name: str

    @property
    def is_host(self) -> bool:
        """Tell whether it is the running machine, whatever that is."""
        return self.name == "host"

    @property
    def architecture(self) -> str:
        """Lambda's word for its processor: "x86_64" or "arm64"."""
        return _host_architecture() if self.is_host else self.name.removeprefix("linux-")

    @property
    def is_foreign(self) -> bool:
        """Tell whether its compiled code does not run on this machine's processor."""
        return self.architecture != _host_architecture()

    def uv_name(self, python: str) -> str:
        """Return uv's name of it for *python* ("3.12")."""
        return f"{_WHEEL_NAMES[self.architecture]}-manylinux_2_{_glibc(python)}"

    def pip_names(self, python: str) -> tuple[str, ...]:
        """Return every wheel tag that it can run with *python*: pip takes them literally."""
        suffix = _WHEEL_NAMES[self.architecture]
        tags = [f"manylinux_2_{minor}_{suffix}" for minor in reversed(_FLOORS) if minor <= _glibc(python)]
        legacy = ("manylinux2014", "manylinux2010", "manylinux1") if suffix == "x86_64" else ("manylinux2014",)
        return (*tags, *(f"{name}_{suffix}" for name in legacy))

    def runs_wheel(self, tag: str, python: str) -> bool:
        """Tell whether a wheel of *tag* ("cp312-cp312-manylinux_2_17_x86_64") runs on it with *python*."""
        interpreters, abi, platforms = tag.split("-", 2)
        if not any(_suits(interpreter, abi, python) for interpreter in interpreters.split(".")):
            return False
        names = set(platforms.split("."))
        return self.is_host or "any" in names or bool(names & set(self.pip_names(python)))


def choose_platform(name: str = "", *, for_cloud: bool = False) -> Platform:
    """Return the platform called *name*, or the one to take when nothing is said.

    That is Lambda's on Linux (what is emulated is what is deployed) and wherever *for_cloud*; elsewhere the running machine.
    UsageError for a name that is none.
    """
    if name and name not in NAMES:
        raise UsageError(f"unknown platform {name!r}", where="--platform", hint=f"choose one of {', '.join(NAMES)}")
    if name:
        return Platform(name)
    if sys.platform == "linux" and machine.libc_ver()[0] == "glibc":
        return Platform(f"linux-{_host_architecture()}")
    return Platform("linux-x86_64" if for_cloud else "host")


def _suits(interpreter: str, abi: str, python: str) -> bool:
    """Tell whether a wheel for *interpreter* ("py3", "cp312") and *abi* works with *python*."""
    minor = int(python.partition(".")[2])
    kind, version = interpreter[:2], interpreter[2:]
    if not version.startswith("3"):
        return False
    wanted = int(version[1:] or 0)
    return wanted <= minor if kind == "py" or "abi3" in abi else (kind, wanted) == ("cp", minor)


def _glibc(python: str) -> int:
    return _AL2023 if int(python.partition(".")[2]) >= 12 else _AL2


def _host_architecture() -> str:
    return _ARCHITECTURES.get(machine.machine().lower(), "x86_64")
