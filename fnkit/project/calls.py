"""How steps are called, while the graph is written: limits and retries, said of a step, a route, a function or a whole graph."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fnkit.errors import MLRunInvalidArgumentError
from fnkit.manifest import NO_CALL_OPTIONS, CallOptions
from fnkit.manifest.calls import meant_option
from fnkit.manifest.codec import CALL
from fnkit.records import replace

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self

    from fnkit.manifest.model import Jitter

Call = CallOptions | Mapping[str, object] | None


class CallSettings:
    """What has call options: they can be given when it is made, set as its attribute `call`, or added with `with_call`.

    They are a record of their own, and not further keywords of `to`, because those are the arguments of the step's class: a class may
    well take a `timeout` itself.
    """

    _call: CallOptions = NO_CALL_OPTIONS

    @property
    def call(self) -> CallOptions:
        """The options; what was not said in them is None."""
        return self._call

    @call.setter
    def call(self, given: Call) -> None:
        self._call = read_call(given, self._named())

    def with_call(
        self,
        *,
        timeout_s: float | None = None,
        idle_timeout_s: float | None = None,
        retries: int | None = None,
        retry_on: str | type[Exception] | Iterable[str | type[Exception]] = (),
        backoff_s: float | None = None,
        backoff_rate: float | None = None,
        max_backoff_s: float | None = None,
        jitter: Jitter | str = "",
        breaker_threshold: int | None = None,
        breaker_rest_s: float | None = None,
        **unknown: object,
    ) -> Self:
        """Add call options to those that are there; return this object. `fnkit.manifest.CallOptions` says what each of them means.

        MLRunInvalidArgumentError for a word that is none of them; `fnkit check` tells which values and limits cannot be meant.
        """
        said = {
            "timeout_s": timeout_s,
            "idle_timeout_s": idle_timeout_s,
            "retries": retries,
            "retry_on": retry_on or None,
            "backoff_s": backoff_s,
            "backoff_rate": backoff_rate,
            "max_backoff_s": max_backoff_s,
            "jitter": jitter or None,
            "breaker_threshold": breaker_threshold,
            "breaker_rest_s": breaker_rest_s,
        }
        added = read_call({**{word: value for word, value in said.items() if value is not None}, **unknown}, self._named())
        self._call = merged(added, self._call)
        return self

    def _named(self) -> str:
        """Return what an error calls this object."""
        return str(getattr(self, "name", ""))


def read_call(given: object, where: str) -> CallOptions:
    """Return the options that a user has given as a record or a mapping; MLRunInvalidArgumentError for anything else."""
    if given is None:
        return NO_CALL_OPTIONS
    if isinstance(given, CallOptions):
        return given
    if not isinstance(given, Mapping):
        raise MLRunInvalidArgumentError(
            f"call= takes the options of calls to the step, as call={{'timeout_s': 5}}, not {given!r}",
            where=where,
            hint="where the step's class has an argument called 'call', set it afterwards: step.class_args['call'] = ...",
        )
    for word in given:
        if word not in CALL.fields:
            raise MLRunInvalidArgumentError(f"a call has no option {word!r}", where=where, hint=meant_option(str(word)))
    said = {word: value for word, value in given.items() if value is not None}
    named = said.get("retry_on")
    if isinstance(named, str):
        said["retry_on"] = (named,)
    elif isinstance(named, list | tuple | set | frozenset):
        said["retry_on"] = tuple(name.__name__ if isinstance(name, type) else name for name in named)
    elif isinstance(named, type):
        said["retry_on"] = (named.__name__,)
    return CallOptions(**said)


def merged(*layers: CallOptions) -> CallOptions:
    """Return the options of the first layer, with what it does not say from the next ones."""
    found = NO_CALL_OPTIONS
    for layer in reversed(layers):
        found = replace(found, **{word: value for word in CALL.fields if (value := getattr(layer, word)) not in (None, (), "")})
    return found


def written(call: CallOptions) -> object:
    """Return what was said in *call* as plain data."""
    return CALL.write(call) if isinstance(call.retry_on, tuple) else {}
