"""The made-up account that the functions and queues of an emulator belong to."""

from __future__ import annotations

ACCOUNT = "123456789012"
