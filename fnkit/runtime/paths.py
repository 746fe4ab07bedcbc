"""Where Python looks for modules inside a function, in the order of the managed runtime."""

from __future__ import annotations

import os
import sys

from fnkit.lean import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def arrange_paths(root: str, environ: Mapping[str, str]) -> None:
    """Put the bundle first, then the layers, then what the runtime brings; in front of Python's own path.

    The folder of the managed client goes last: in older runtimes boto3 lies there.

    Folders of the bundle and of layers that have `.pth` files are treated as site folders.
    """
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    sites = [root, f"/opt/python/lib/{version}/site-packages", "/opt/python"]
    wanted = [*sites, f"/var/lang/lib/{version}/site-packages"]
    wanted += [path for path in environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    wanted = [path for path in dict.fromkeys(wanted) if path == root or os.path.isdir(path)]
    sys.path[:] = wanted + [path for path in sys.path if path not in wanted]
    runtime = environ.get("LAMBDA_RUNTIME_DIR") or "/var/runtime"
    if runtime not in sys.path and os.path.isdir(runtime):
        sys.path.append(runtime)
    for path in sites:
        if path in wanted and any(name.endswith(".pth") for name in os.listdir(path)):
            import_module("site").addsitedir(path)
    if "PYTHONPATH" not in os.environ:
        os.environ["PYTHONPATH"] = runtime  # for programs that the user starts
