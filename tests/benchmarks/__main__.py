"""Run every benchmark of this folder, or those that are named: `python -m tests.benchmarks [--quick] [--no-peers] [NAME...]`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def main(arguments: list[str]) -> int:
    """Run each `bench_*.py` as a process of its own, so that none warms up or burdens the next."""
    flags = [argument for argument in arguments if argument.startswith("-")]
    names = [argument for argument in arguments if not argument.startswith("-")]
    here = Path(__file__).parent
    found = {path.stem.removeprefix("bench_"): path for path in sorted(here.glob("bench_*.py"))}
    unknown = [name for name in names if name not in found]
    if unknown:
        sys.stderr.write(f"no such benchmark: {', '.join(unknown)}; there are {', '.join(found)}\n")
        return 2
    failed = 0
    for name in names or found:
        sys.stdout.write(f"\n== {name}\n")
        sys.stdout.flush()
        failed |= subprocess.run([sys.executable, str(found[name]), *flags], check=False).returncode
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
