"""What a failure says of the place that it comes from."""

from __future__ import annotations

from collections.abc import Callable

from fnkit.functions.codec import encode_body
from fnkit.functions.failures import remote_error
from fnkit.lean import import_module
from fnkit.runtime.invocation import Failure


def caught(raising: Callable[[], object]) -> Exception:
    """Return what *raising* raises, with the frames below this file's only, as where no code of the user is on the way."""
    try:
        raising()
    except Exception as error:
        trace = error.__traceback__
        while trace is not None and trace.tb_frame.f_code.co_filename == __file__:
            trace = trace.tb_next
        return error.with_traceback(trace)
    raise AssertionError("nothing was raised")


def test_the_traceback_begins_with_the_users_code() -> None:
    try:
        int("no number")
    except ValueError as error:
        failure = Failure.of(error)

    assert len(failure.stack) == 1
    assert __file__ in failure.stack[0]


def test_what_is_refused_with_a_reason_shows_no_traceback_of_ours() -> None:
    error = caught(lambda: encode_body(object(), where="step 'a'"))

    failure = Failure.of(error)

    assert failure.kind == "InvokeError"
    assert failure.stack == ()


def test_an_error_of_another_function_brings_the_traceback_from_there() -> None:
    failure = Failure.of(remote_error("KeyError", "'mid'", ("  File steps.py\n",)))

    assert (failure.kind, failure.message, failure.stack) == ("KeyError", "'mid'", ("  File steps.py\n",))


def test_an_error_that_nobody_foresaw_keeps_its_whole_traceback() -> None:
    failure = Failure.of(caught(lambda: import_module("no_module_of_this_name")))

    assert failure.kind == "ModuleNotFoundError"
    assert failure.stack
