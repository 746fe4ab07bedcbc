"""Steps that bring together: the chunks of a stream, the branches of an event."""

from __future__ import annotations

from fnkit.errors import MLRunInvalidArgumentError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Literal


class Collector:
    """Wait for the end of a stream and go on with the list of its chunks.

    A single chunk goes on as it is, no chunk as `[]`. Where the generator failed the body is `{"error": "Type: message"}`.
    Events that are no chunks pass through.
    """

    fnkit_power: Literal["collector"] = "collector"

    def __init__(self, expected_completions: int = 1) -> None:
        if expected_completions < 1:
            raise MLRunInvalidArgumentError(f"Collector needs expected_completions of 1 or more, not {expected_completions}")
        self.expected_completions = expected_completions

    def collect(self, chunks: list[object], error: Exception | None) -> object:
        """Return the next body for the *chunks* of a stream that ended, or broke with *error*."""
        if error is not None:
            cause = error.__cause__ if isinstance(error.__cause__, Exception) else error
            return {"error": f"{type(cause).__name__}: {cause}"}
        return chunks[0] if len(chunks) == 1 else chunks


class Merge:
    """Wait for all branches of an event and go on with the list of their bodies, in the order of their arrival.

    *expected_num_events* overrides the number of branches to wait for. A branch that ends early is not waited for.
    *max_behind* is accepted and not needed: nothing waits longer than its own event.
    """

    fnkit_power: Literal["merge"] = "merge"

    def __init__(
        self, expected_num_events: int | None = None, max_behind: int | None = None, key_path: str | None = None
    ) -> None:
        if key_path:
            raise MLRunInvalidArgumentError(
                "Merge joins the branches of one event, key_path would join different events",
                hint="leave key_path out; gather different events in a queue, or in a store of your own",
            )
        if expected_num_events is not None and expected_num_events < 1:
            raise MLRunInvalidArgumentError(f"Merge needs expected_num_events of 1 or more, not {expected_num_events}")
        self.expected = expected_num_events

    def merge(self, bodies: list[object]) -> object:
        """Return the next body."""
        return list(bodies)
