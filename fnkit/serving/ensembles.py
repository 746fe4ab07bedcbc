"""Routers that ask all their routes at once: merge what they answer, or let them vote."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, NoReturn

from fnkit.engine.drive import drive
from fnkit.engine.event import Event
from fnkit.engine.isolation import isolate
from fnkit.engine.response import Response
from fnkit.errors import MLRunInvalidArgumentError
from fnkit.serving.routers import BaseModelRouter, ModelRouter
from fnkit.serving.v2 import need_inputs

if TYPE_CHECKING:
    from fnkit.serving.routers import RouteCall

_EXECUTORS = ("thread", "array")
_OPERATIONS = ("infer", "predict", "explain")


class ParallelRun(BaseModelRouter):
    """Run all routes on the body and merge what they return, in the order of the routes.

    *executor_type*: `"thread"` runs plain routes in threads and async ones on the event loop, all at the same time; `"array"` runs one
    after the other. With *extend_event* the result begins with the body itself. Override `merger(body, results)` for another result.
    A route that fails fails the request, and the error names every route that did.
    """

    def __init__(
        self, *args: object, extend_event: bool | None = None, executor_type: object = "thread", **kwargs: object
    ) -> None:
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]  # what the base takes
        kind = str(getattr(executor_type, "value", executor_type) or "thread")
        if kind not in _EXECUTORS:
            raise MLRunInvalidArgumentError(
                f"executor_type {kind!r} is not possible here, use one of: {', '.join(_EXECUTORS)}",
                hint="for processes use a ModelRunnerStep with execution_mechanism='process_pool'" if kind == "process" else "",
            )
        self.extend_event = extend_event
        self._threads = kind == "thread"

    @property
    def needs_loop(self) -> bool:
        """Whether routes run in threads, or wait."""
        return self._threads or super().needs_loop

    def merger(self, body: object, results: Mapping[str, object]) -> object:
        """Return one dict with the entries of all *results*, which are dicts; later routes win."""
        merged: dict[str, object] = {}
        for key, result in results.items():
            if not isinstance(result, Mapping):
                raise TypeError(f"the route {key} returned a {type(result).__name__}, and ParallelRun merges dicts")
            merged.update(result)
        return {**body, **merged} if self.extend_event and isinstance(body, dict) else merged

    async def answer(self, event: Event) -> object:
        """Return the merged results of all routes."""
        if self.is_health_check(event) and not event.body:
            return self.health()
        self.check_prefix(event.path)
        return self.merger(event.body, await self.run_all(event, event.path))

    async def run_all(self, event: Event, path: str) -> dict[str, object]:
        """Return the result of every route, each run with a copy of the body and *path*; RuntimeError names those that failed."""
        calls = [self._run(route, event, path) for route in self.routes.values()]
        if self.needs_loop and self._threads:
            results = await asyncio.gather(*calls, return_exceptions=True)
        else:
            results = [await call for call in calls]
        failed = {key: result for key, result in zip(self.routes, results, strict=True) if isinstance(result, Exception)}
        if failed:
            told = "; ".join(f"{key} {type(error).__name__}: {error}" for key, error in failed.items())
            raise RuntimeError(f"routes of {self.name} failed: {told}") from next(iter(failed.values()))
        return dict(zip(self.routes, results, strict=True))

    async def _run(self, route: RouteCall, event: Event, path: str) -> object:
        one = event.copy(isolate(event.body))
        one.path = path
        try:
            if self._threads and not route.needs_loop:
                return await asyncio.to_thread(drive, route(one))
            return await route(one)
        except Exception as error:
            return error


class VotingEnsemble(ParallelRun, ModelRouter):
    """Ask all models and answer with one vote per input; a single model can still be addressed by its path.

    *vote_type*: `"classification"` (the value with the most weight; of several the smallest) or `"regression"` (the weighted mean); without
    it integers are voted and other numbers averaged. *weights*: model -> weight, in any unit (default: all the same). With
    *format_response_with_col_name_flag* the outputs are `{prediction_col_name: [...]}`.
    """

    def __init__(
        self,
        *args: object,
        vote_type: str | None = None,
        weights: Mapping[str, float] | None = None,
        executor_type: object = "thread",
        format_response_with_col_name_flag: bool = False,
        prediction_col_name: str = "prediction",
        **kwargs: object,
    ) -> None:
        super().__init__(*args, executor_type=executor_type, **kwargs)  # type: ignore[arg-type]  # what the bases take
        if vote_type not in (None, "", "classification", "regression"):
            raise MLRunInvalidArgumentError(f"unknown vote_type {vote_type!r}, use 'classification' or 'regression'")
        self.vote_type = vote_type or ""
        self.weights = weights
        self._shares = self._checked(weights)
        self._column = prediction_col_name if format_response_with_col_name_flag else ""

    async def answer(self, event: Event) -> object:
        """Return the vote, or what the one model answers that the path names."""
        if self.is_health_check(event):
            return self.health()
        self.check_prefix(event.path)
        key, operation = self._target(event)
        if key is None:
            return self.listing()
        if key == self.name:
            return await self._vote(event, operation) if event.method != "GET" else await self._about(event)
        if key not in self.routes:
            raise ValueError(self.unknown(key))
        event.path = operation
        return await self.routes[key](event)

    def listing(self) -> dict[str, object]:
        """Return the models, the ensemble's own name among them, and the weights."""
        return {"models": [*self.routes, self.name], "weights": self.weights}

    def unknown(self, key: str) -> str:
        """Return the message for a model that does not exist."""
        known = " | ".join([*self.routes, self.name])
        return f"model {key} doesnt exist, available models: {known} or an operation alone for ensemble operation"

    def default_key(self) -> str:
        """Return the ensemble itself: a request that names no model is for all."""
        return self.name

    def vote(self, predictions: Sequence[Sequence[object]], shares: Sequence[float]) -> list[object]:
        """Return one value per input from the *predictions* of all models, whose weights are *shares* (they sum to 1)."""
        if self.vote_type == "classification" or (
            not self.vote_type and all(type(value) is int for row in predictions for value in row)
        ):
            return [_majority(values, shares) for values in zip(*predictions, strict=True)]
        return [_mean(values, shares) for values in zip(*predictions, strict=True)]

    def _target(self, event: Event) -> tuple[str | None, str]:
        parts = self.segments(event.path)
        if event.path not in ("", "/") and not parts:
            return None, ""
        if parts and parts[0] in _OPERATIONS and parts[0] not in self.routes:
            return self.name, parts[0]
        key, operation = self.resolve(event)
        return key, operation or "infer"

    async def _about(self, event: Event) -> object:
        """Return what a GET of the ensemble asks for: that it is ready, which needs all models to be, or what it is."""
        operation = "/".join(part for part in self.segments(event.path) if part != self.name)
        if operation == "ready":
            answers = await self.run_all(event, operation)
            late = next((one for one in answers.values() if isinstance(one, Response) and one.status_code >= 300), None)
            return late or Response(body=f"Model {self.name} is ready (event_id = {event.id})".encode())
        if operation:
            raise ValueError(f"illegal model operation {operation}, method=GET")
        return {"name": self.name, "model_endpoint_uid": "", "inputs": [], "outputs": []}

    async def _vote(self, event: Event, operation: str) -> object:
        body = event.body
        if self.protocol == "v2":
            need_inputs(body)
        results = await self.run_all(event, operation)
        rows = [_outputs(key, result) for key, result in results.items()]
        if len({len(row) for row in rows}) > 1:
            counts = ", ".join(f"{key}: {len(row)}" for key, row in zip(results, rows, strict=True))
            raise ValueError(f"the models of {self.name} returned different numbers of outputs ({counts})")
        voted = self.vote(rows, [self._shares[key] for key in results])
        outputs: object = {self._column: voted} if self._column else voted
        event_id = body["id"] if isinstance(body, dict) and "id" in body else event.id
        return {"id": event_id, "model_name": self.name, "outputs": outputs}

    def _checked(self, weights: Mapping[str, float] | None) -> dict[str, float]:
        """Return the share of each model; the shares sum to 1."""
        if weights is None:
            return dict.fromkeys(self.routes, 1 / len(self.routes))
        if set(weights) != set(self.routes) or any(weight < 0 for weight in weights.values()) or not sum(weights.values()):
            raise MLRunInvalidArgumentError(
                f"weights must give each model a number that is not negative, and not all zero; models: {', '.join(self.routes)}"
            )
        total = sum(weights.values())
        return {key: weight / total for key, weight in weights.items()}


class _Refused:
    """A router that needs MLRun's feature store."""

    def __init__(self, *_args: object, **_options: object) -> None:
        _refuse(type(self).__name__)


class EnrichmentModelRouter(_Refused):
    """Refused: it reads MLRun's feature store."""


class EnrichmentVotingEnsemble(_Refused):
    """Refused: it reads MLRun's feature store."""


def _refuse(name: str) -> NoReturn:
    raise MLRunInvalidArgumentError(
        f"{name} reads feature vectors from MLRun's feature store, which fnkit does not have",
        hint="derive from ModelRouter or VotingEnsemble and look the features up in preprocess(self, event)",
    )


def _outputs(key: str, result: object) -> list[object]:
    outputs = result.get("outputs") if isinstance(result, Mapping) else result
    if hasattr(outputs, "tolist"):
        outputs = outputs.tolist()
    if not isinstance(outputs, list | tuple):
        raise TypeError(f"the model {key} returned {type(outputs).__name__} as outputs, and a vote needs a list")
    return list(outputs)


def _majority(values: Sequence[object], shares: Sequence[float]) -> object:
    weights: dict[object, float] = {}
    for value, share in zip(values, shares, strict=True):
        weights[value] = weights.get(value, 0.0) + share
    heaviest = max(weights.values())
    tied = [value for value, weight in weights.items() if weight >= heaviest - 1e-12]
    return min(tied, key=lambda value: (isinstance(value, str), value))


def _mean(values: Sequence[object], shares: Sequence[float]) -> float:
    numbers = [float(value) for value in values]  # type: ignore[arg-type]  # a TypeError says what it is
    return sum(number * share for number, share in zip(numbers, shares, strict=True))
