"""The local emulator: function URLs, the Lambda API and the Runtime API over worker processes."""

from __future__ import annotations

from fnkit_emulator.journal import Happening, Journal, as_text
from fnkit_emulator.options import Options
from fnkit_emulator.server import serve

__all__ = ["Happening", "Journal", "Options", "as_text", "serve"]
