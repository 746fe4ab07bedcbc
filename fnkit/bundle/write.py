"""Turn plans into bundles: install, compile, pack, write."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from fnkit.bundle.archive import Packed, pack_all, write_archive
from fnkit.bundle.bytecode import Compiled, Compiler, Fault, bytecode_name
from fnkit.bundle.installer import Installer
from fnkit.bundle.model import MAX_DIRECT_UPLOAD, MAX_UNZIPPED, Bundle, BundlePlan
from fnkit.errors import BundleError

INDEX_FORMAT = "fnkit.bundles/1"
INDEX = "bundles.json"
GRAPH = "graph.json"
_IN_THE_RUNTIME = frozenset({"boto3", "botocore", "s3transfer", "jmespath", "dateutil", "urllib3", "six", "awslambdaric"})


def write_bundles(plans: Sequence[BundlePlan], out: Path, *, installer: Installer, compiler: Compiler) -> tuple[Bundle, ...]:
    """Write `<function>.zip` of each plan, `graph.json` and `bundles.json` to the folder *out*.

    What an earlier build listed there and this one does not make is taken away. BundleError where something cannot be
    installed, compiled or packed; then *out* is as it was, apart from zips of functions that went well.
    """
    _make_folder(out)
    compiled = compiler.compile(_sources(plans))
    _refuse_faults(plans, compiled.faults)
    contents = [_contents(plan, compiler, compiled) for plan in plans]
    shared = list(dict.fromkeys(entry for content in contents for entry in content))  # fnkit itself is in every bundle
    packed = dict(zip(shared, pack_all(shared), strict=True))
    bundles = tuple(
        _write(plan, [packed[entry] for entry in content], out, installer, compiler)
        for plan, content in zip(plans, contents, strict=True)
    )
    _refuse_large(bundles)
    _write_index(plans, bundles, out)
    return bundles


def _contents(plan: BundlePlan, compiler: Compiler, compiled: Compiled) -> list[tuple[str, bytes, bool]]:
    """Return name, content and executable bit of all that is no requirement."""
    files = [(file.name, file.content, file.executable) for file in plan.files]
    code = [
        (bytecode_name(file.name, compiler.python), compiled.code[file.name], False)
        for file in plan.files
        if file.name in compiled.code
    ]
    return [*files, *code]


def _write(plan: BundlePlan, packed: Sequence[Packed], out: Path, installer: Installer, compiler: Compiler) -> Bundle:
    installed = installer.install(plan.requirements, plan.target)
    _refuse_clashes(plan, installed)
    path = out / f"{plan.function.name}.zip"
    written = write_archive(path, [*packed, *installed])
    warnings = [*plan.warnings, *_missing(plan, installed)]
    if compiler.interpreter is None:
        warnings.append(f"no Python {compiler.python} is at hand, so the bundles hold no bytecode and start more slowly")
    if written.size > MAX_DIRECT_UPLOAD:
        warnings.append(f"{path.name} is {written.size / 2**20:.0f} MB: above 50 MB it is deployed through S3")
    return Bundle(plan.function, path, written.sha256, written.size, written.unzipped_size, tuple(warnings))


def _sources(plans: Sequence[BundlePlan]) -> Mapping[str, bytes]:
    return {file.name: file.content for plan in plans for file in plan.files if file.name.endswith(".py")}


def _refuse_faults(plans: Sequence[BundlePlan], faults: Sequence[Fault]) -> None:
    """BundleError for the user's modules that Python refuses; data files that end in .py may be what they like."""
    if not faults:
        return
    imported = {name for plan in plans for name in plan.own}
    lines = [f"{fault.name}:{fault.line or 0}: {fault.message}" for fault in faults if fault.name in imported]
    if lines:
        raise BundleError("\n".join(lines), hint="mend the file and build again")


def _refuse_clashes(plan: BundlePlan, installed: Sequence[Packed]) -> None:
    clashes = sorted({file.name for file in plan.files} & {entry.name for entry in installed})
    if clashes:
        more = f" and {len(clashes) - 3} more" if len(clashes) > 3 else ""
        raise BundleError(
            f"a requirement brings files that are there already: {', '.join(clashes[:3])}{more}",
            where=f"function {plan.function.name!r}",
            hint="rename your module, or take the requirement out",
        )


def _refuse_large(bundles: Sequence[Bundle]) -> None:
    large = [bundle for bundle in bundles if bundle.unzipped_size > MAX_UNZIPPED]
    if large:
        listed = ", ".join(f"{bundle.function.name} {bundle.unzipped_size / 2**20:.0f} MB" for bundle in large)
        raise BundleError(
            f"larger than the {MAX_UNZIPPED // 2**20} MB that Lambda unpacks: {listed}",
            hint="give each function only the requirements it needs, or fetch models at start instead of shipping them",
        )


def _missing(plan: BundlePlan, installed: Sequence[Packed]) -> list[str]:
    """Return a warning for each third-party import that no requirement answers."""
    brought = {entry.name.partition("/")[0].partition(".")[0] for entry in installed}
    brought |= {name.partition("/")[0].partition(".")[0] for name in plan.own}
    places: dict[str, str] = {}
    for item in plan.foreign:
        if not item.optional and item.top not in brought and item.top not in sys.stdlib_module_names:
            places.setdefault(item.top, item.where)
    return [_warning(top, where) for top, where in places.items()]


def _warning(top: str, where: str) -> str:
    if top == "mlrun":
        return f"{where}: mlrun is not part of a bundle; import the same names from fnkit"
    if top in _IN_THE_RUNTIME:
        return (
            f"{where}: {top} comes with AWS's runtime in a version of its choice and is not there locally; "
            f"add {top!r} to the requirements"
        )
    return f"{where}: {top} is imported, but no requirement brings it and it is not below the project; add it to the requirements"


def _write_index(plans: Sequence[BundlePlan], bundles: Sequence[Bundle], out: Path) -> None:
    graph = next(file.content for file in plans[0].files if file.name == GRAPH)
    functions = [
        {"name": bundle.function.name, "file": bundle.path.name, "sha256": bundle.sha256, "size": bundle.size}
        for bundle in bundles
    ]
    for stale in _listed(out) - {bundle.path.name for bundle in bundles}:
        (out / stale).unlink(missing_ok=True)
    (out / GRAPH).write_bytes(graph)
    index = {"format": INDEX_FORMAT, "platform": plans[0].target.platform.name, "functions": functions}
    (out / INDEX).write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")


def _listed(out: Path) -> set[str]:
    """Return the zips that the index of an earlier build names."""
    try:
        document = json.loads((out / INDEX).read_text(encoding="utf-8"))
        names = {str(item["file"]) for item in document["functions"]}
    except (OSError, ValueError, KeyError, TypeError):
        return set()
    return {name for name in names if name.endswith(".zip") and Path(name).name == name}


def _make_folder(out: Path) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BundleError(f"cannot make the folder: {error.strerror}", where=str(out), hint="give another with -o") from error
