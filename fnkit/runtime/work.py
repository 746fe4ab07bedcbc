"""Take invocations from the Runtime API and answer them, one after the other, on one connection."""

from __future__ import annotations

import sys

from fnkit.runtime.client import RuntimeGone
from fnkit.runtime.invocation import Failure, PeerGone, Whole
from fnkit.runtime.protocol import ProtocolError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from fnkit.runtime.application import Application
    from fnkit.runtime.client import RuntimeClient, Transport
    from fnkit.runtime.invocation import Invocation, Streamed

    Watch = Callable[[Transport], AbstractContextManager[None]]


async def work(client: RuntimeClient, application: Application, watch: Watch, begin: Callable[[Invocation], object]) -> int:
    """Serve until the Runtime API is gone; return the exit status of the process.

    *watch* gives the context in which `PeerGone` is raised when the peer closes the connection; *begin* is told of each invocation.
    """
    while True:
        try:
            invocation = await client.next()
        except RuntimeGone:
            return 0
        except ProtocolError as error:
            sys.stderr.write(f"[fnkit] {error}\n")
            return 1
        begin(invocation)
        try:
            await _attend(client, application, invocation, watch)
            if application.needs_loop:
                await application.settle()
        except (PeerGone, OSError):
            client.drop()  # nobody waits for this answer
        except ProtocolError as error:
            sys.stderr.write(f"[fnkit] {error}\n")
            return 1


async def _attend(client: RuntimeClient, application: Application, invocation: Invocation, watch: Watch) -> None:
    if invocation.cancels:
        with watch(await client.open()):
            answer = await _answer(client, application, invocation)
            if answer is not None:
                await _deliver(client, invocation, answer)
        return
    answer = await _answer(client, application, invocation)
    if answer is None or isinstance(answer, Whole):
        await _deliver(client, invocation, answer)
        return
    try:
        with watch(await client.open()):
            await _deliver(client, invocation, answer)
    finally:
        await _close(answer)


async def _answer(client: RuntimeClient, application: Application, invocation: Invocation) -> Whole | Streamed | None:
    try:
        return await application.answer(invocation)
    except Failure as failure:
        client.fail(invocation, failure)
        return None


async def _deliver(client: RuntimeClient, invocation: Invocation, answer: Whole | Streamed | None) -> None:
    if isinstance(answer, Whole):
        client.respond(invocation, answer)
    elif answer is not None:
        try:
            await client.stream(invocation, answer)
        except Failure as failure:
            client.fail(invocation, failure)
        finally:
            await _close(answer)


async def _close(answer: Streamed) -> None:
    """Close what makes the answer. What the user's code raises about it is its own affair: the answer is over."""
    close = getattr(answer.pieces, "aclose", None)
    if close is not None:
        try:
            await close()
        except Exception as error:
            sys.stderr.write(f"[fnkit] closing the stream raised {type(error).__name__}: {error}\n")
