"""What can go wrong with a call to another function, and the errors of its steps made whole again."""

from __future__ import annotations

import builtins

from fnkit import errors
from fnkit.errors import InvokeError, MLRunHTTPStatusError


class CallError(InvokeError, MLRunHTTPStatusError):
    """A function was called and did not answer as a step does: 502 to the client."""

    status = 502


class CallThrottled(CallError):
    """A function was throttled, or not available, at every attempt: 503."""

    status = 503


class CallTimeout(CallError):
    """A function did not answer in time: 504."""

    status = 504


class RemoteError(Exception):
    """An error of a step in another function, of a type that is not known here.

    *remote_stack* holds the lines of its traceback there; the class has the name of the original.
    """

    remote_stack: tuple[str, ...] = ()


def remote_error(kind: str, message: str, stack: tuple[str, ...] = ()) -> Exception:
    """Return an exception whose class is called *kind* and whose text is *message*.

    Where *kind* is an exception of Python or of fnkit, `except` finds it under that name; no constructor is run.
    """
    base = getattr(builtins, kind, None) or getattr(errors, kind, None)
    if not (isinstance(base, type) and issubclass(base, Exception)):
        base = RemoteError
    made = type(kind, (base,), {"__str__": lambda _self: message, "__module__": base.__module__, "remote_stack": stack})
    error = made.__new__(made, message)
    assert isinstance(error, Exception)
    error.args = (message,)
    if isinstance(error, errors.FnkitError):
        error.message, error.where, error.hint = message, "", ""
    return error
