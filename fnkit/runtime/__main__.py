"""The program that `fnkit-bootstrap` starts in place of the managed runtime: `python -I -S <bundle>/fnkit/runtime/__main__.py`."""

from __future__ import annotations

import gc
import os
import sys


def _start() -> int:
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    if root not in sys.path:
        sys.path.insert(0, root)
    gc.disable()
    from fnkit.runtime.loop import main  # the bundle has just been put on the path

    gc.freeze()  # what is here stays: looking for garbage in it would take a tenth of the start, and time of the first events
    gc.enable()
    return main(os.environ.get("LAMBDA_TASK_ROOT") or root, os.environ)


if __name__ == "__main__":
    sys.exit(_start())
