"""The local emulator: function URLs, the Lambda API and the Runtime API over worker processes.

What it offers is imported when it is first used: the router and the notes about queues need neither its server nor bundles.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fnkit_emulator.journal import Happening, Journal, as_text
    from fnkit_emulator.options import Options
    from fnkit_emulator.server import serve

__all__ = ["Happening", "Journal", "Options", "as_text", "serve"]

_HOMES = {"Happening": "journal", "Journal": "journal", "Options": "options", "as_text": "journal", "serve": "server"}


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'fnkit_emulator' has no attribute {name!r}")
    value: object = getattr(import_module(f"fnkit_emulator.{home}"), name)
    globals()[name] = value
    return value
