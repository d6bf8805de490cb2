"""Lets the local cloud wait for what happens, where MiniStack asks again and again or does one thing after another.

- The output of an invocation is read without a wait. MiniStack waits up to 50 ms for a first line, and 5 ms after each.
- The servers and queues of the sandboxes' Runtime API sleep until something comes. In MiniStack they wake up twenty
  times a second for each sandbox.
- Each DynamoDB stream is read in a thread of its own, as on AWS. In MiniStack one thread invokes the function of each
  stream, one after the other, and reads no queue meanwhile.
"""

from __future__ import annotations

import contextlib
import os
import queue
import select
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import IO, Any

from ministack.core import lambda_runtime
from ministack.core.arn import parse_arn
from ministack.core.concurrency import spawn_background
from ministack.services import dynamodb, lambda_svc

_LONG = 5.0  # seconds
_Mapping = tuple[str, str, dict[str, Any]]  # account, region and event source mapping


class Output:
    """The output of one sandbox. Its lines are in `lines` when `take` returns.

    A function writes its lines before it answers, so after the answer all are in the pipe.
    """

    def __init__(self, stream: IO[bytes], lines: queue.Queue[str]) -> None:
        os.set_blocking(stream.fileno(), False)
        self._stream, self._lines = stream, lines
        self._rest = b""
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Moves what is in the pipe to `lines`. Returns False after the end of the output."""
        with self._lock:
            while not self._stream.closed:
                try:
                    found = os.read(self._stream.fileno(), 65_536)
                except BlockingIOError:
                    return True
                *whole, self._rest = (self._rest + found).split(b"\n")
                if not found:
                    whole = [self._rest] if self._rest else []
                    self._stream.close()
                for line in whole:
                    self._put(line.rstrip(b"\r").decode(errors="replace"))
            return False

    def _put(self, line: str) -> None:
        """Drops the oldest line when the queue is full, since the function must not wait for a reader."""
        while True:
            try:
                return self._lines.put_nowait(line)
            except queue.Full:
                with contextlib.suppress(queue.Empty):
                    self._lines.get_nowait()

    def follow(self) -> None:
        """Takes the output until its end, so that the pipe is never full."""
        came = select.poll()
        came.register(self._stream.fileno(), select.POLLIN)
        while self.take():
            came.poll()


def pump(_: Any, stream: IO[bytes], lines: queue.Queue[str]) -> None:
    """Instead of ProvidedWorker._pump_output."""
    output = Output(stream, lines)
    lines.output = output  # type: ignore[attr-defined]  # where `drained` finds it
    output.follow()


def drained(drain: Callable[..., str]) -> Callable[..., str]:
    """Instead of ProvidedWorker._drain_stderr_bounded, as soon as the output is followed."""

    def answer(worker: Any, *about: Any, **more: Any) -> str:
        output: Output | None = getattr(worker._stderr_queue, "output", None)
        if output is None:
            return drain(worker, *about, **more)
        output.take()
        found: str = worker._drain_stderr()
        return found

    return answer


class Patient(queue.Queue[Any]):
    """A queue whose readers ask once in five seconds whether they shall end, and not ten times a second."""

    def get(self, block: bool = True, timeout: float | None = None) -> Any:
        return super().get(block, timeout and max(timeout, _LONG))


def serve_without_polling(serve: Callable[..., None]) -> Callable[..., None]:
    """`shutdown` wakes the server up, so that it need not look for the wish to end."""

    def answer(server: socketserver.TCPServer, poll_interval: float = 0) -> None:
        serve(server, poll_interval=3600)

    return answer


def shut_down(shutdown: Callable[..., None]) -> Callable[..., None]:
    def answer(server: socketserver.TCPServer) -> None:
        server._BaseServer__shutdown_request = True  # type: ignore[attr-defined]  # before the server wakes up
        with contextlib.suppress(OSError), socket.create_connection(server.server_address[:2], 1):  # type: ignore[arg-type]
            pass
        shutdown(server)

    return answer


class Streams:
    """Reads each stream that has records in a thread of its own, with MiniStack's own reading of all streams."""

    def __init__(self, poll: Callable[[], bool], mappings: Callable[[], Iterator[_Mapping]]) -> None:
        self._poll, self._mappings = poll, mappings
        self._only = threading.local()
        self._read: set[str] = set()
        self._lock = threading.Lock()

    def mappings(self) -> Iterator[_Mapping]:
        """Instead of lambda_svc._iter_all_esms: in the thread of a stream, its mapping alone."""
        only: _Mapping | None = getattr(self._only, "mapping", None)
        return self._mappings() if only is None else iter([only])

    def poll(self) -> bool:
        """Instead of lambda_svc._poll_dynamodb_streams. False: the threads do not need the poller's next turn."""
        for mapping in self._mappings():
            with self._lock:
                if (name := mapping[2]["UUID"]) in self._read or not _has_records(mapping):
                    continue
                self._read.add(name)
            spawn_background(self._read_one, mapping, thread_name="mercato-stream")
        return False

    def _read_one(self, mapping: _Mapping) -> None:
        """Reads until a turn finds nothing and nothing has come since it began."""
        self._only.mapping = mapping
        try:
            while True:
                end = _end_of(mapping)
                while self._poll():
                    end = _end_of(mapping)
                with self._lock:
                    if _end_of(mapping) == end:
                        self._read.discard(mapping[2]["UUID"])
                        return
        except BaseException:  # the next turn starts another thread
            with self._lock:
                self._read.discard(mapping[2]["UUID"])
            raise


@contextlib.contextmanager
def _as_its_account(mapping: _Mapping) -> Iterator[None]:
    """MiniStack keeps its tables and positions by the account and region of the current request."""
    account, region = lambda_svc._request_account_id, lambda_svc._request_region
    tokens = account.set(mapping[0]), region.set(mapping[1])
    try:
        yield
    finally:
        account.reset(tokens[0])
        region.reset(tokens[1])


def _end_of(mapping: _Mapping) -> int:
    """The position behind the newest record of the mapping's stream; -1 if it reads no stream."""
    table = lambda_svc._dynamodb_stream_table_from_arn_spec(parse_arn(mapping[2]["EventSourceArn"]))
    if table is None:
        return -1
    with _as_its_account(mapping):
        end: int = dynamodb.stream_end_position(table[0])
        return end


def _has_records(mapping: _Mapping) -> bool:
    """Whether a stream has records that its mapping has not read, and need not wait after an error."""
    end, name = _end_of(mapping), mapping[2]["UUID"]
    with _as_its_account(mapping):
        is_paused = lambda_svc._esm_backoff_until.get(name, 0) > time.time()
        read = lambda_svc._dynamodb_stream_positions.get(name, 0)
    return bool(end > read and not is_paused)


def install() -> None:
    worker = lambda_runtime.ProvidedWorker
    worker._pump_output = pump
    worker._drain_stderr_bounded = drained(worker._drain_stderr_bounded)
    lambda_runtime.queue = SimpleNamespace(**vars(queue) | {"Queue": Patient})
    socketserver.BaseServer.serve_forever = serve_without_polling(socketserver.BaseServer.serve_forever)  # type: ignore[method-assign]
    socketserver.BaseServer.shutdown = shut_down(socketserver.BaseServer.shutdown)  # type: ignore[method-assign]
    streams = Streams(lambda_svc._poll_dynamodb_streams, lambda_svc._iter_all_esms)
    lambda_svc._iter_all_esms, lambda_svc._poll_dynamodb_streams = streams.mappings, streams.poll
