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

    *remote_stack* holds the lines of its traceback there, *remote_bases* the names of the classes that its own derives from; the class
    has the name of the original.
    """

    remote_stack: tuple[str, ...] = ()
    remote_bases: tuple[str, ...] = ()


_ALL = frozenset(("object", "BaseException", "Exception"))


def _bases_of(error: object) -> tuple[str, ...]:
    """Return the names of the classes that the class of *error* derives from, but for those that all errors have."""
    names = [kind.__name__ for kind in type(error).__mro__[1:]]
    return tuple(name for name in dict.fromkeys((*names, *getattr(error, "remote_bases", ()))) if name not in _ALL)


def facts_of(error: object) -> tuple[tuple[str, ...], int, str]:
    """Return the names of the classes that *error* derives from, the HTTP status that it asks for (0: none), and its hint."""
    status = error.status if isinstance(error, MLRunHTTPStatusError) else 0
    return _bases_of(error), status, error.hint if isinstance(error, errors.FnkitError) else ""


def remote_error(
    kind: str, message: str, stack: tuple[str, ...] = (), bases: tuple[str, ...] = (), status: int = 0, hint: str = ""
) -> Exception:
    """Return an exception whose class is called *kind* and whose text is *message*; *hint* is the remedy that an error of ours names.

    Where *kind*, or the nearest of its *bases* that is, is an exception of Python or of fnkit, `except` finds it under that name; no
    constructor is run. *status* is the HTTP status that the error asks for, where its class says one.
    """
    base = next((known for name in (kind, *bases) if (known := _known(name)) is not None), RemoteError)
    said = {"__str__": lambda _self: message, "__module__": base.__module__, "remote_stack": stack, "remote_bases": bases}
    if status and issubclass(base, MLRunHTTPStatusError):
        said["status"] = status
    made = type(kind, (base,), said)
    error = made.__new__(made, message)
    assert isinstance(error, Exception)
    error.args = (message,) if message else ()
    if isinstance(error, errors.FnkitError):
        error.message, error.where, error.hint = message, "", hint
    return error


def _known(name: str) -> type[Exception] | None:
    """Return the exception of Python or of fnkit that is called *name*, if it can be made of a text alone."""
    found = getattr(builtins, name, None) or getattr(errors, name, None)
    if not (isinstance(found, type) and issubclass(found, Exception)) or issubclass(found, BaseExceptionGroup):
        return None
    return found
