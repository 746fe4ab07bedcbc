"""A loaded function that reads a queue."""

from __future__ import annotations

import base64
import json

import pytest

from fnkit.engine import Event, RemoteStep, WireResponse, drive
from fnkit.runtime.application import Application
from fnkit.runtime.invocation import Failure, Invocation, Whole
from fnkit.runtime.logs import Log
from fnkit.runtime.step_calls import StepCalls


class Poisoned:
    """A graph that reads a queue and chokes on one message."""

    needs_loop = False

    async def __call__(self, event: Event) -> WireResponse:
        raise AssertionError("nobody calls it by its URL")

    async def process(self, event: Event) -> None:
        if event.body == b"bad":
            raise ValueError("it is bad")

    async def close(self) -> None:
        pass


def no_step(name: str) -> RemoteStep:
    raise AssertionError(f"{name} is not asked for")


def answer(environ: dict[str, str], *bodies: bytes) -> object:
    """Return what a function in *environ* answers to a batch of the topic "orders"."""
    records = [{"topic": "orders", "offset": n, "value": base64.b64encode(body).decode()} for n, body in enumerate(bodies)]
    batch = {"eventSource": "SelfManagedKafka", "records": {"orders-3": records}}
    application = Application(
        Poisoned(),
        StepCalls(no_step, (), Log({})),
        needs_loop=False,
        log=Log({}),
        environ=environ,
        default_content_type="text/plain",
    )
    found = drive(application.answer(Invocation("id-1", json.dumps(batch).encode())))
    assert isinstance(found, Whole)
    return json.loads(found.body)


def test_a_record_of_kafka_that_failed_is_named_if_the_deployment_says_that_somebody_asks(
    capfd: pytest.CaptureFixture[str],
) -> None:
    found = answer({"FNKIT_KAFKA_REPORTS": "jobs,orders"}, b"good", b"bad")

    assert found == {"batchItemFailures": [{"itemIdentifier": {"partition": "orders-3", "offset": 1}}]}
    assert "it is bad" in capfd.readouterr().err


@pytest.mark.parametrize("environ", [{}, {"FNKIT_KAFKA_REPORTS": "jobs"}])
def test_without_that_the_batch_fails_for_nobody_would_read_the_names(environ: dict[str, str]) -> None:
    with pytest.raises(Failure, match="it is bad"):
        answer(environ, b"good", b"bad")
