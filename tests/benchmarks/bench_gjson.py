"""Measure GJSON conditions, and what paths find: ours against `gjson` and `pygjson` from PyPI.

Both peers are installed into an environment of their own, `.venv-bench-gjson` beside the project, on the first run; a worker in
that environment and one in ours get the same conditions in interleaved rounds, so that a busy machine is busy for all of them.
What is timed is what a router has to do with the bytes of a body: decode or parse them as the library wants it, and say whether
the condition holds. For us that is `matches`, which checks validity too; pygjson, which has no check of its own on that way, is
given it by `json.loads` in a second column. A peer that answers otherwise than gjson in Go is marked. The second table is about
`get`: a body in, the value out, in whatever form the library has it (ours is its text; we and pygjson check nothing then).

    python tests/benchmarks/bench_gjson.py [--rounds N] [--quick] [--no-peers]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import venv
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ENVIRONMENT = ROOT / ".venv-bench-gjson"
PEERS = ("gjson==1.2.0", "pygjson==0.0.10")

IRIS = '{"instances": [[6.8, 2.8, 4.8, 1.4], [6.0, 3.4, 4.5, 1.6]]}'
LABELS = (
    '{"model_name": "m", "model_version": "1", "predictions": [{"label": "dog", "score": 0.93}, {"label": "cat", "score": 0.07}]}'
)
MANY = json.dumps(
    {"id": "x", "rows": [{"id": n, "name": f"row {n}", "tags": ["a", "b"], "score": n / 1000} for n in range(1000)]}
)

CASES: tuple[tuple[str, str, str, bool], ...] = (
    ("key", LABELS, "model_name", True),
    ("missing key", LABELS, "nobody", False),
    ("indexes", IRIS, "instances.1.3", True),
    ("query", LABELS, "predictions.#(score>0.5)", True),
    ("document query", LABELS, '[@this].#(model_name=="m")', True),
    ("deep left side", LABELS, '[@this].#(predictions.0.label=="dog")', True),
    ("unquoted text", LABELS, "predictions.#(label==cat)", True),
    ("1,000 rows, last", MANY, "rows.#(id==999)", True),
    ("1,000 rows, none", MANY, "rows.#(score>2)", False),
    ("1,000 rows, count", MANY, "rows.#", True),
    ("1,000 rows, each", MANY, "rows.#.name", True),
    ("1,000 rows, half", MANY, "rows.#(score>0.5)#.name", True),
    ("1,000 rows, nested", MANY, 'rows.#(tags.#(=="b"))#', True),
    ("1,000 rows, pattern", MANY, 'rows.#(name%"*99")#', True),
    ("1,000 rows, document", MANY, "[@this].#(rows.#(id==999))", True),
    ("1,000 rows, index", MANY, "rows.500.name", True),
    ("1,000 rows, several", MANY, "{rows.#.name,id}", True),
    ("1,000 rows, @reverse", MANY, "rows.@reverse", True),
    ("1,000 rows, @flatten", MANY, "rows.#.tags.@flatten", True),
    ("1,000 rows, @ugly", MANY, "rows.@ugly", True),
)
VALUES = tuple(case for case in CASES if case[3])

_WORKER = """
import json, sys, time
name, value = sys.argv[1], sys.argv[2] == "value"
if name == "fnkit":
    from fnkit.inference_graph import gjson
    def make(path):
        query = gjson.compile(path)
        if value:
            return lambda body: query.get(body).raw_bytes
        return query.matches
elif name == "gjson":
    import gjson
    def make(path):
        def holds(body):
            document = json.loads(body)
            try:
                found = gjson.get(document, path)
            except gjson.GJSONError:
                return False
            return found if value else True
        return holds
else:
    import pygjson
    check = name == "pygjson + json.loads"
    def make(path):
        def holds(body):
            text = body.decode()
            if check:
                json.loads(text)
            found = pygjson.get(text, path)
            return found.value if value else found.exists()
        return holds
for line in sys.stdin:
    request = json.loads(line)
    body, test = request["body"].encode(), make(request["path"])
    try:
        answer = bool(test(body))
        count, spent = 1, 0.0
        while spent < request["seconds"]:
            count *= 2
            start = time.process_time()
            for _ in range(count):
                test(body)
            spent = time.process_time() - start
        print(json.dumps({"us": spent / count * 1e6, "answer": answer}), flush=True)
    except Exception as error:
        print(json.dumps({"error": type(error).__name__}), flush=True)
"""

CONTENDERS = ("fnkit", "gjson", "pygjson", "pygjson + json.loads")


@dataclass(frozen=True, slots=True)
class Row:
    """Medians of one condition: microseconds by contender (None: it failed), and who answered wrongly."""

    name: str
    microseconds: dict[str, float | None]
    wrong: frozenset[str]


def environment() -> Path:
    """Return the interpreter of the peers' environment, made and filled if it is not there yet."""
    python = ENVIRONMENT / "bin" / "python"
    if not python.exists():
        venv.create(ENVIRONMENT, with_pip=True)
    done = ENVIRONMENT / "installed"
    if not done.exists() or done.read_text(encoding="utf-8") != " ".join(PEERS):
        subprocess.run([python, "-m", "pip", "install", "--quiet", *PEERS], check=True)
        done.write_text(" ".join(PEERS), encoding="utf-8")
    return python


class Worker:
    """A process that measures one contender."""

    def __init__(self, python: str | Path, contender: str, wanted: str) -> None:
        self._process = subprocess.Popen(
            [python, "-c", _WORKER, contender, wanted], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        )

    def measure(self, body: str, path: str, seconds: float) -> dict[str, object]:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"body": body, "path": path, "seconds": seconds}) + "\n")
        self._process.stdin.flush()
        return dict(json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.communicate()


def measure(rounds: int, seconds: float, *, value: bool, peers: bool) -> list[Row]:
    """Run every condition on every contender, *rounds* times in turn; with *value*, get what is found instead."""
    wanted = "value" if value else "verdict"
    names = [name for name in CONTENDERS if peers or name == "fnkit"]
    workers = {name: Worker(sys.executable if name == "fnkit" else environment(), name, wanted) for name in names}
    try:
        return [_row(case, workers, rounds, seconds) for case in (VALUES if value else CASES)]
    finally:
        for worker in workers.values():
            worker.close()


def _row(case: tuple[str, str, str, bool], workers: dict[str, Worker], rounds: int, seconds: float) -> Row:
    name, body, path, expected = case
    answers = [{key: worker.measure(body, path, seconds) for key, worker in workers.items()} for _ in range(rounds)]
    medians: dict[str, float | None] = {}
    for key in workers:
        times = [float(str(answer[key]["us"])) for answer in answers if "us" in answer[key]]
        medians[key] = statistics.median(times) if times else None
    wrong = frozenset(key for key in workers if answers[0][key].get("answer") is not expected)
    return Row(name, medians, wrong)


def main(rounds: int = 7, seconds: float = 0.05, *, peers: bool = True) -> int:
    """Measure and print the tables; return 0."""
    for value, title in ((False, "a condition, body bytes in, verdict out"), (True, "a path, body bytes in, value out")):
        rows = measure(rounds, seconds, value=value, peers=peers)
        print(f"microseconds of the processor for {title} (median of {rounds} interleaved rounds); ! = wrong")
        print(f"{'path':<22}" + "".join(f"{name:>22}" for name in CONTENDERS) + f"{'gjson/fnkit':>13}{'pygjson+/fnkit':>16}")
        for row in rows:
            cells = "".join(f"{_cell(row, name):>22}" for name in CONTENDERS)
            print(f"{row.name:<22}{cells}{_ratio(row, 'gjson'):>13}{_ratio(row, 'pygjson + json.loads'):>16}")
    return 0


def _cell(row: Row, name: str) -> str:
    if name not in row.microseconds:
        return "-  "
    value = row.microseconds[name]
    mark = " !" if name in row.wrong else "  "
    return ("fails" if value is None else f"{value:.2f}") + mark


def _ratio(row: Row, name: str) -> str:
    theirs, ours = row.microseconds.get(name), row.microseconds["fnkit"]
    return f"{theirs / ours:.2f}" if theirs is not None and ours else "-"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--quick", action="store_true", help="two short rounds")
    parser.add_argument("--no-peers", action="store_true", help="measure only fnkit")
    options = parser.parse_args()
    if options.quick:
        sys.exit(main(2, 0.02, peers=not options.no_peers))
    sys.exit(main(options.rounds, peers=not options.no_peers))
