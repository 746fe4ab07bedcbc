"""librdkafka's mock cluster as a process of its own: a broker that goes down with its port and comes up again with its log.

The process reads commands, a line each, and answers each with a line: `topic NAME PARTITIONS`, `down`, `up`, `fail API CODE COUNT`,
`lack NAME CODE`.
"""

from __future__ import annotations

import ctypes
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import confluent_kafka

_REPOSITORY = Path(__file__).parents[2]
_ALL = -1
_PRODUCER = 0


class MockKafka:
    """The side of the tests: an *address*, and what may happen to the broker behind it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.address = self._answer()

    def create_topic(self, name: str, *, partitions: int = 4) -> None:
        """Create the topic *name*."""
        self._do(f"topic {name} {partitions}")

    def go_down(self) -> None:
        """Break every connection, and refuse new ones; the log stays."""
        self._do("down")

    def come_up(self) -> None:
        """Accept connections again."""
        self._do("up")

    def fail(self, api: int, code: int, count: int = 1) -> None:
        """Answer the next *count* requests of the kind *api* with the error *code* of Kafka's protocol."""
        self._do(f"fail {api} {code} {count}")

    def lack_topic(self, name: str, *, code: int = 3) -> None:
        """Say of the topic *name* that it is unknown (or another *code*), as a broker does that makes no topics by itself; 0: have it."""
        self._do(f"lack {name} {code}")

    def _do(self, command: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{command}\n")
        self._process.stdin.flush()
        answer = self._answer()
        assert answer == "0", f"{command}: {answer}"

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()


@contextmanager
def mock_kafka() -> Iterator[MockKafka]:
    """Run a cluster of one broker; it ends with the block."""
    command = [sys.executable, "-m", "tests.fakes.mock_kafka"]
    with subprocess.Popen(command, cwd=_REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield MockKafka(process)
        finally:
            process.kill()


class _Cluster:
    """The side of the process: the cluster, by the library that confluent_kafka brings."""

    def __init__(self) -> None:
        package = Path(confluent_kafka.__file__).parent
        (path,) = [*package.parent.glob("confluent_kafka.libs/librdkafka-*"), *package.glob(".dylibs/librdkafka*.dylib")]
        self._library = library = ctypes.CDLL(str(path))
        for name in ("rd_kafka_conf_new", "rd_kafka_new", "rd_kafka_mock_cluster_new"):
            getattr(library, name).restype = ctypes.c_void_p
        library.rd_kafka_mock_cluster_bootstraps.restype = ctypes.c_char_p
        reason = ctypes.create_string_buffer(512)
        configuration = ctypes.c_void_p(library.rd_kafka_conf_new())
        owner = library.rd_kafka_new(_PRODUCER, configuration, reason, ctypes.c_size_t(len(reason)))
        assert owner, reason.value.decode()
        self._handle = ctypes.c_void_p(library.rd_kafka_mock_cluster_new(ctypes.c_void_p(owner), 1))
        library.rd_kafka_mock_group_initial_rebalance_delay_ms(self._handle, 0)

    @property
    def address(self) -> str:
        found: bytes = self._library.rd_kafka_mock_cluster_bootstraps(self._handle)
        return found.decode()

    def do(self, command: str) -> int:
        match command.split():
            case ["topic", name, partitions]:
                return int(self._library.rd_kafka_mock_topic_create(self._handle, name.encode(), int(partitions), 1))
            case ["down"]:
                return int(self._library.rd_kafka_mock_broker_set_down(self._handle, _ALL))
            case ["up"]:
                return int(self._library.rd_kafka_mock_broker_set_up(self._handle, _ALL))
            case ["lack", name, code]:
                self._library.rd_kafka_mock_topic_set_error(self._handle, name.encode(), int(code))
                return 0
            case ["fail", api, code, count]:
                errors = (ctypes.c_int * int(count))(*[int(code)] * int(count))
                self._library.rd_kafka_mock_push_request_errors_array(
                    self._handle, ctypes.c_int16(int(api)), ctypes.c_size_t(int(count)), errors
                )
                return 0
            case other:
                raise ValueError(f"unknown command {other}")


def main() -> None:
    """Run a cluster until standard input ends."""
    cluster = _Cluster()
    print(cluster.address, flush=True)
    for line in sys.stdin:
        print(cluster.do(line), flush=True)


if __name__ == "__main__":
    main()
