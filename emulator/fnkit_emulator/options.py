"""What can be chosen when the emulator is started."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Literal

from fnkit.errors import UsageError

Runtime = Literal["own", "managed"]


@dataclass(frozen=True, slots=True)
class Options:
    """How to emulate.

    *port* 0 lets the system pick one. *runtime* "managed" runs the real `awslambdaric` in each environment. With *fork* False every
    environment is a fresh interpreter. *environment* is added to the functions' own variables. *max_environments* bounds the
    environments of a function that sets no limit of its own. *idle_s*: an environment without work is ended after it. *drain_s*: how
    long requests in flight may take to finish at the end. *retry_delays_s*: pauses before the retries of asynchronous invocations.
    *async_retries*, *async_max_age_s*: how many retries there are (None: as many as pauses), and how old an event may grow.
    *stall_s*: how long an environment whose client has left may take to ask for its next event before it is replaced.
    *return_s*: how long a worker that has answered, or is new in an environment of several, may take to ask for an event before another
    environment is started for those that wait.
    *memory_watch_s*: how often the memory of working environments is looked at. *init_limit_s*: how long a start may take, or the
    function's timeout where that is longer. *verbose* shows the messages of the HTTP server itself.
    *queue_dir* holds a folder with the queues of each graph. *aws_credentials*: whether functions get the user's own AWS credentials; None:
    if a queue of the graph is on AWS. *identity*: those credentials, as variables; empty: made-up ones.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    runtime: Runtime = "own"
    fork: bool = True
    region: str = "us-east-1"
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)
    max_environments: int = 100
    idle_s: float = 600.0
    drain_s: float = 30.0
    exit_with_stdin: bool = False
    retry_delays_s: tuple[float, ...] = (1.0, 2.0)
    async_retries: int | None = None
    async_max_age_s: int = 21_600
    stall_s: float = 3.0
    return_s: float = 0.05
    memory_watch_s: float = 0.1
    init_limit_s: float = 10.0
    verbose: bool = False
    queue_dir: str = ".fnkit/queues"
    aws_credentials: bool | None = None
    identity: Mapping[str, str] = field(default_factory=dict, repr=False)


def check_host(host: str) -> str:
    """Return the loopback address that *host* names; UsageError for every other one."""
    name = host.strip("[]")
    if name == "localhost":
        return "127.0.0.1"
    try:
        loopback = ip_address(name).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise UsageError(
            f"the emulator does not listen on {host!r}",
            where="--host",
            hint="it runs whatever it is sent, so it listens on loopback only: 127.0.0.1, localhost or ::1",
        )
    return name
