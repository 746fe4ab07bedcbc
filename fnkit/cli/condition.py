"""fnkit condition: try a GJSON condition on a JSON body and see what each part of it found."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from fnkit.cli.options import common
from fnkit.inference_graph.gjson.explain import explain
from fnkit.inference_graph.gjson.lint import remarks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from fnkit.cli.console import Console
    from fnkit.inference_graph.gjson.explain import Explanation, Part
    from fnkit.inference_graph.gjson.result import Result

_SHOWN = 100


@click.command("condition")
@click.argument("path")
@click.option("--body", "body_file", type=click.Path(path_type=Path, exists=True, dir_okay=False, allow_dash=True), default="-",
              help="File with the JSON body; default: stdin.")  # fmt: skip
@common
def command(console: Console, *, path: str, body_file: Path) -> None:
    """Try the condition PATH on a JSON body, as KServe's router would: it holds if the body is JSON and PATH finds anything in it.

    Shows what each part of PATH found, and for a query what it saw in each element. Exit code 0: the condition holds, 1: it does not.
    """
    body = sys.stdin.buffer.read() if str(body_file) == "-" else body_file.read_bytes()
    explanation = explain(body, path)
    for remark in remarks(path):
        console.say(f"warning: {remark.message}\n  hint: {remark.hint}")
    verdict = "the condition holds" if explanation.matches else "the condition does not hold"
    if not explanation.valid:
        verdict += ": the body is not valid JSON"
    console.result(
        "\n".join((*_lines(explanation, ""), verdict)),
        event="condition",
        path=path,
        holds=explanation.matches,
        valid_json=explanation.valid,
        exists=explanation.result.exists,
        raw=explanation.result.raw,
        parts=[_described(part) for part in explanation.parts],
    )
    sys.exit(0 if explanation.matches else 1)


def _lines(explanation: Explanation, indent: str) -> Iterator[str]:
    for part in explanation.parts:
        yield f"{indent}{part.text}  ({part.kind}): {_found(part.result)}" + (f" - {part.note}" if part.note else "")
        for trial in part.trials:
            mark = "matches" if trial.matched else "does not match"
            yield f"{indent}  element {trial.index}: left side {_found(trial.left)}, {mark}"
        for inner in part.inner:
            yield f"{indent}  {inner.path}: {_found(inner.result)}"
            yield from _lines(inner, indent + "    ")


def _found(result: Result) -> str:
    if not result.exists:
        return "found nothing"
    text = str(result.raw).strip()
    return f"found {text if len(text) <= _SHOWN else text[:_SHOWN] + '...'}"


def _described(part: Part) -> dict[str, object]:
    return {
        "text": part.text,
        "kind": part.kind,
        "exists": part.result.exists,
        "raw": part.result.raw,
        "note": part.note,
        "trials": [
            {"index": trial.index, "left": trial.left.raw, "exists": trial.left.exists, "matched": trial.matched}
            for trial in part.trials
        ],
        "inner": [{"path": inner.path, "raw": inner.result.raw, "exists": inner.result.exists} for inner in part.inner],
    }
