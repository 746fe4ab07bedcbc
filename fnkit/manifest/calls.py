"""Whether the options of calls can be what was meant: values that mean nothing, and limits that other limits make useless."""

from __future__ import annotations

from fnkit.manifest.codec import CALL
from fnkit.manifest.model import NO_CALL_OPTIONS, CallOptions, Flow, Function, Manifest, Router, Step
from fnkit.manifest.pauses import longest_wait_s, retries_of
from fnkit.manifest.problem import Problem
from fnkit.manifest.reach import followers_of, resolve_function, starts_of
from fnkit.manifest.shape import Faults
from fnkit.manifest.spelling import did_you_mean

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


_OTHER_WORDS = {  # of MLRun's steps and of AWS Step Functions, without their capitals and underscores
    "timeout": "timeout_s",
    "timeoutseconds": "timeout_s",
    "heartbeatseconds": "idle_timeout_s",
    "backofffactor": "backoff_s",
    "intervalseconds": "backoff_s",
    "maxattempts": "retries",
    "attempts": "retries",
    "maxdelayseconds": "max_backoff_s",
    "jitterstrategy": "jitter",
    "errorequals": "retry_on",
}


def meant_option(word: str) -> str:
    """Return the hint for *word*, which is no option of a call: the one that other systems call so, or the nearest."""
    known = _OTHER_WORDS.get(word.lower().replace("_", ""))
    return f"it is called {known!r} here" if known else did_you_mean(word, CALL.fields)


def option_of(word: str) -> str:
    """Return the option of calls that *word* is, or is called elsewhere; `""` if none."""
    return word if word in CALL.fields else _OTHER_WORDS.get(word.lower().replace("_", ""), "")


def find_call_faults(step: Step) -> Iterator[Problem]:
    """Yield what no value of the call options of *step*, and of its routes, can be."""
    if step.kind == "queue" and step.call != NO_CALL_OPTIONS:
        hint = "give them to the steps behind it; a queue has options of its own for deliveries and retries"
        yield Problem(step.name, "call-options", "a queue is not called, so it has no call options", hint)
    calls = [("call", step.call), *((f"the route {route.key!r}: call", route.call) for route in step.routes)]
    for where, call in calls:
        faults: Faults = []
        if isinstance(call.retry_on, tuple):
            CALL.read(CALL.write(call), where, faults)
        else:
            faults.append(f"{where}.retry_on: expected the names of error classes in a tuple, found {call.retry_on!r}")
        for fault in faults:
            yield Problem(step.name, "call-options", fault, "correct this option of the call")


def find_call_warnings(manifest: Manifest) -> tuple[Problem, ...]:
    """Return the limits of calls in *manifest* that other limits make useless; the graph runs nevertheless."""
    spec = manifest.spec
    if not isinstance(spec, Flow | Router):
        return ()
    steps = spec.steps if isinstance(spec, Flow) else (spec.step,)
    drivers = drivers_of(spec) if isinstance(spec, Flow) else {}
    functions = {function.name: function for function in manifest.functions}
    entry = next((function for function in manifest.functions if function.kind == "entry"), None)
    if entry is None:
        return ()
    found: list[Problem] = []
    for step in steps:
        driver = functions.get(resolve_function(drivers.get(step.name, ""), functions), entry)
        asked = [(step.name, step.function, step.call)]
        asked += [(f"{step.name}/{route.key}", route.function, route.call) for route in step.routes]
        for name, function, call in asked:
            own = functions.get(resolve_function(function, functions), driver)
            found += _of_call(name, call, own, driver)
    return tuple(found)


def _of_call(name: str, call: CallOptions, own: Function, driver: Function) -> Iterator[Problem]:
    limit = call.timeout_s
    if limit is None:
        return
    for function, role in ((own, "runs in"), (driver, "is called by")):
        if limit > function.timeout_s:
            message = (
                f"its timeout_s of {limit:g} s is never reached: function '{function.name}', which it {role}, has {_s(function)}"
            )
            yield Problem(
                name, "call-timeout", message, f"give the function more (spec.timeout_s), or the step {_s(function)} at most"
            )
            return
    if call.retries is None and not call.retry_on:
        return
    attempts = 1 + retries_of(call)
    longest = attempts * limit + longest_wait_s(call)
    if longest > driver.timeout_s:
        message = (
            f"{attempts} attempts of {limit:g} s and the pauses between them take up to {longest:g} s, "
            f"and function '{driver.name}', which makes them, has {_s(driver)}"
        )
        yield Problem(name, "call-retries", message, "retry less often, give an attempt less time, or the function more")


def _s(function: Function) -> str:
    return f"{function.timeout_s:g} s"


def drivers_of(flow: Flow) -> Mapping[str, str]:
    """Return for each step the function that calls it: `""` for the entry function, else the one that a queue wakes."""
    behind, steps = followers_of(flow), {step.name: step for step in flow.steps}
    drivers: dict[str, str] = {}
    pending = [(name, "") for name in starts_of(flow)] + ([(flow.on_error, "")] if flow.on_error else [])
    while pending:
        name, driver = pending.pop(0)
        if name in drivers or name not in steps:
            continue
        drivers[name] = driver
        step = steps[name]
        for follower in behind[name]:
            woken = step.kind == "queue" and follower in steps and steps[follower].function not in ("", "*")
            pending.append((follower, steps[follower].function if woken else driver))
        pending.append((step.on_error, driver))
    return drivers
