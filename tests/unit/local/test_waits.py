"""The local cloud's waits: outputs, servers and streams."""

from __future__ import annotations

import contextlib
import os
import queue
import socketserver
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

from infra.local import waits
from infra.local.waits import Output, Streams, drained, pump, serve_without_polling, shut_down


class Worker:
    def __init__(self, lines: queue.Queue[str]) -> None:
        self._stderr_queue = lines

    def _drain_stderr(self) -> str:
        found = []
        with contextlib.suppress(queue.Empty):
            while True:
                found.append(self._stderr_queue.get_nowait())
        return "\n".join(found)


def not_followed(worker: Any) -> str:
    raise AssertionError("MiniStack's own drain, with its waits")


@pytest.fixture
def piped() -> Iterator[tuple[int, Output, queue.Queue[str]]]:
    lines: queue.Queue[str] = queue.Queue(maxsize=3)
    reading, writing = os.pipe()
    with open(reading, "rb") as stream, contextlib.suppress(OSError):
        yield writing, Output(stream, lines), lines
        os.close(writing)


def test_all_that_was_written_is_there_at_once(piped: tuple[int, Output, queue.Queue[str]]) -> None:
    writing, output, lines = piped
    os.write(writing, b"one\r\ntw")
    assert output.take()
    os.write(writing, b"o\n")
    assert output.take()

    assert [lines.get_nowait(), lines.get_nowait()] == ["one", "two"]


def test_of_too_many_lines_the_oldest_are_dropped(piped: tuple[int, Output, queue.Queue[str]]) -> None:
    writing, output, lines = piped
    os.write(writing, b"1\n2\n3\n4\nlast")
    os.close(writing)

    assert not output.take()
    assert not output.take()
    assert [lines.get_nowait() for _ in range(3)] == ["3", "4", "last"]


def test_an_invocation_s_output_is_whole_while_another_thread_follows_it() -> None:
    lines: queue.Queue[str] = queue.Queue()
    reading, writing = os.pipe()
    thread = threading.Thread(target=pump, args=(None, os.fdopen(reading, "rb"), lines))
    thread.start()
    worker = Worker(lines)
    while getattr(lines, "output", None) is None:
        time.sleep(0.001)
    try:
        for number in range(300):
            os.write(writing, f"{number}\nagain {number}\n".encode())
            assert drained(not_followed)(worker) == f"{number}\nagain {number}"
    finally:
        os.close(writing)
        thread.join(10)
    assert not thread.is_alive()


def test_a_server_that_sleeps_ends_at_once() -> None:
    class Server(socketserver.ThreadingTCPServer):
        serve_forever = serve_without_polling(socketserver.ThreadingTCPServer.serve_forever)
        shutdown = shut_down(socketserver.ThreadingTCPServer.shutdown)

    with Server(("127.0.0.1", 0), socketserver.BaseRequestHandler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
        thread.start()
        server.shutdown()
        thread.join(10)
    assert not thread.is_alive()


Mapping = tuple[str, str, dict[str, Any]]


class Cloud:
    """Two streams. `poll` reads one record of each mapping that it is asked for, as MiniStack's poller does."""

    def __init__(self) -> None:
        self.ends = {"a": 0, "b": 0}
        self.read = {"a": 0, "b": 0}
        self.met = threading.Barrier(2)
        self.running: set[str] = set()
        self.streams = Streams(self.poll, self.mappings)

    def mappings(self) -> Iterator[Mapping]:
        return iter([("1", "us-east-1", {"UUID": name}) for name in self.ends])

    def poll(self) -> bool:
        [(_, _, mapping)] = self.streams.mappings()
        name = mapping["UUID"]
        assert name not in self.running, "the records of one stream are read in their order"
        if self.read[name] == self.ends[name]:
            return False
        self.running.add(name)
        if self.read[name] == 0:
            self.met.wait(10)  # fails if the streams are read one after the other
        self.running.discard(name)
        self.read[name] += 1
        return True


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Cloud:
    made = Cloud()
    monkeypatch.setattr(waits, "_end_of", lambda mapping: made.ends[mapping[2]["UUID"]])
    monkeypatch.setattr(
        waits, "_has_records", lambda mapping: made.ends[mapping[2]["UUID"]] > made.read[mapping[2]["UUID"]]
    )
    return made


def test_streams_are_read_at_the_same_time_and_each_in_its_order(cloud: Cloud) -> None:
    cloud.ends = {"a": 50, "b": 70}
    deadline = time.monotonic() + 30

    while cloud.read != cloud.ends and time.monotonic() < deadline:
        assert cloud.streams.poll() is False

    assert cloud.read == {"a": 50, "b": 70}


def test_a_record_that_comes_while_a_reader_ends_is_read(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing wakes the poller for it, since its turn found the reader at work."""
    cloud.ends, cloud.read = {"a": 2, "b": 0}, {"a": 1, "b": 0}
    poll, came = cloud.poll, threading.Event()

    def late() -> bool:
        found = poll()
        if not found and not came.is_set():
            came.set()
            cloud.ends["a"] += 1
            assert cloud.streams.poll() is False
        return found

    monkeypatch.setattr(cloud.streams, "_poll", late)
    cloud.streams.poll()
    deadline = time.monotonic() + 30
    while cloud.read["a"] < 3 and time.monotonic() < deadline:
        time.sleep(0.001)

    assert cloud.read["a"] == 3


def test_a_reader_that_ends_does_not_end_the_next_ones_turn(cloud: Cloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a third would read the stream beside it."""

    class PollerComes:
        """A lock behind which the poller starts the next reader at once."""

        def __enter__(self) -> None:
            pass

        def __exit__(self, *_: object) -> None:
            if not came:
                cloud.streams._read.add("a")
                came.append("the poller")

    came: list[str] = []
    cloud.ends, cloud.read = {"a": 1}, {"a": 1}
    cloud.streams._read.add("a")
    monkeypatch.setattr(cloud.streams, "_lock", PollerComes())
    cloud.streams._read_one(("1", "us-east-1", {"UUID": "a"}))
    assert cloud.streams._read == {"a"}
