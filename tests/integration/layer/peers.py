"""A real HTTP server in a thread that fails as the test says. It uses sockets, so that it can violate HTTP."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

Behaviour = Callable[["Connection"], bool]


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Connection:
    """One connection. A behaviour sends bytes, and returns whether to keep the connection."""

    socket: socket.socket
    closing: threading.Event

    def send(self, text: bytes) -> None:
        self.socket.sendall(text)


def answer(status: int = 200, body: str = "{}", **headers: str) -> Behaviour:
    """A valid response. A header `Retry_After` is sent as Retry-After."""

    def behave(connection: Connection) -> bool:
        content = body.encode()
        lines = [f"HTTP/1.1 {status} Said", f"Content-Length: {len(content)}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        connection.send("\r\n".join([*lines, "", ""]).encode() + content)
        return True

    return behave


def hang(connection: Connection) -> bool:
    connection.closing.wait(30)
    return False


def close(connection: Connection) -> bool:
    return False


def reset(connection: Connection) -> bool:
    connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    return False


def raw(text: bytes) -> Behaviour:
    def behave(connection: Connection) -> bool:
        connection.send(text)
        return False

    return behave


def drip(head: bytes, endless: bytes) -> Behaviour:
    """Sends `head` at once and then a byte of `endless` every 20 ms, so that no single read waits for long."""

    def behave(connection: Connection) -> bool:
        connection.send(head)
        while not connection.closing.wait(0.02):
            connection.send(endless)
        return False

    return behave


@dataclass
class Peer:
    """Applies its behaviours one after the other, and repeats the last one."""

    port: int
    behaviours: list[Behaviour] = field(default_factory=lambda: [answer()])
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    has_closed: threading.Event = field(default_factory=threading.Event)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def next(self) -> Behaviour:
        return self.behaviours.pop(0) if len(self.behaviours) > 1 else self.behaviours[0]


def _read_request(stream: Any) -> Seen | None:
    first = stream.readline().decode().split()
    if not first:
        return None
    headers: dict[str, str] = {}
    while (line := stream.readline().decode().strip()) != "":
        name, _, value = line.partition(":")
        headers[name.lower()] = value.strip()
    return Seen(first[0], first[1], headers, stream.read(int(headers.get("content-length", "0"))))


@contextmanager
def running_peer(path: str = "") -> Iterator[Peer]:
    """On a port, or on the Unix socket `path`."""
    if path:
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
    else:
        listener = socket.create_server(("127.0.0.1", 0))
    peer, closing = Peer(0 if path else listener.getsockname()[1]), threading.Event()
    threads: list[threading.Thread] = []
    open_sockets: list[socket.socket] = []

    def serve(accepted: socket.socket) -> None:
        with accepted, accepted.makefile("rb") as stream:
            try:
                while (request := _read_request(stream)) is not None:
                    peer.seen.append(request)
                    if not peer.next()(Connection(accepted, closing)):
                        accepted.shutdown(socket.SHUT_WR)
                        peer.has_closed.set()
                        return
            except OSError:
                return

    def accept() -> None:
        while not closing.is_set():
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            peer.connections += 1
            open_sockets.append(accepted)
            threads.append(threading.Thread(target=serve, args=(accepted,), daemon=True))
            threads[-1].start()

    accepting = threading.Thread(target=accept, daemon=True)
    accepting.start()
    try:
        yield peer
    finally:
        closing.set()
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        for one in open_sockets:
            try:
                one.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue
        for thread in [accepting, *threads]:
            thread.join(5)
