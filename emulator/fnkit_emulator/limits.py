"""The limits that AWS Lambda documents and that the emulator keeps."""

from __future__ import annotations

MIB = 1024 * 1024

# One request or one buffered answer: 6 MiB and 100 bytes, as the Runtime API itself measures it.
PAYLOAD = 6 * MIB + 100
# One request of an asynchronous invocation.
ASYNC_PAYLOAD = 1 * MIB
# One streamed answer.
STREAM = 200 * MIB
# What LogType=Tail gives back.
LOG_TAIL = 4096
# The JSON head of a streamed answer, before its eight NUL bytes.
PRELUDE = 1 * MIB
# Bytes of one answer that wait in the emulator before the worker is held back.
BUFFER = 256 * 1024
# A body above the limit is read and thrown away up to here, so that the client reads the answer instead of a reset.
DISCARD = 64 * MIB
