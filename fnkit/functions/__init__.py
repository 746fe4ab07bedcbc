"""Steps in functions: which step runs where, and how one function calls the steps of another.

::

    placement    which step runs in which function
    services     services of an InferenceGraph that are classes
    codec        a body and an event as bytes that cross the border
    envelope     a call: an event, and for which step it is
    marks        how a payload shows that it is a call
    frames       the answer of a step as a stream of frames
    caller       calls a step of another function through the Lambda API
    links        who calls which function: names, versions, the API of the environment
    eventstream  the framing of InvokeWithResponseStream
    sigv4        signs requests to AWS
    queues       what stands between a function and those behind it
"""

from __future__ import annotations

from fnkit.lean import import_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from fnkit.functions.placement import function_name, place

__all__ = ["function_name", "place"]


def __getattr__(name: str) -> object:
    if name not in __all__:
        raise AttributeError(f"module 'fnkit.functions' has no attribute {name!r}")
    value: object = getattr(import_module("fnkit.functions.placement"), name)  # steps are placed once, by the tools
    globals()[name] = value
    return value
