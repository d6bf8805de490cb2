"""Calls through the mesh's sidecar: a proxy in the function's own sandbox that finds, signs for and weighs the peers.

The sidecar repeats only what has not reached the peer. Repeats of answers, the circuit, the deadline and idempotency
stay with the ServiceClient.
"""

from __future__ import annotations

import functools
import socket
import threading
from collections.abc import Collection, Mapping
from typing import Any
from urllib.parse import urlsplit

import urllib3
from urllib3.exceptions import NewConnectionError

from mercato.peers.transport import Answer, PlainSocket, exchange

_DEADLINE = "X-Envoy-Upstream-Rq-Timeout-Ms"


class MeshTransport:
    """Sends `http://<peer>/<path>` over the sidecar's Unix socket. Signs nothing. Thread-safe."""

    def __init__(self, path: str, connections: int = 4) -> None:
        self._path = path
        self._connections = connections
        self._making = threading.Lock()  # two threads must not make two pools

    @functools.cached_property
    def _pool(self) -> urllib3.HTTPConnectionPool:
        pool = urllib3.HTTPConnectionPool("sidecar", maxsize=self._connections, retries=False, path=self._path)
        pool.ConnectionCls = _SidecarConnection
        return pool

    def send(self, method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str], timeout: float) -> Answer:
        """`timeout` covers everything, and the sidecar is told of it. Raises NoAnswer."""
        to = urlsplit(url)
        target = f"{to.path or '/'}?{to.query}" if to.query else to.path or "/"
        addressed = {**headers, "Host": to.netloc, _DEADLINE: str(int(timeout * 1000))}
        with self._making:
            pool = self._pool
        return exchange(
            lambda limits: pool.request(
                method, target, body=body, headers=addressed, timeout=limits, preload_content=False, redirect=False
            ),
            timeout,
        )


class Sidecar:
    """The way to all peers. It looks them up by their names."""

    def __init__(self, path: str) -> None:
        self._transport = MeshTransport(path)

    def transport(self) -> MeshTransport:
        """The same for all peers, so that they share its connections."""
        return self._transport

    def find(self, service: str, avoid: Collection[str] = ()) -> str:
        return f"http://{service}"

    def doubt(self, service: str) -> None:
        """Changes nothing: the sidecar keeps the addresses."""


class _SidecarConnection(urllib3.connection.HTTPConnection):
    def __init__(self, *where: Any, path: str, **how: Any) -> None:
        super().__init__(*where, **how)
        self._path = path

    def _new_conn(self) -> socket.socket:
        made = PlainSocket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            made.settimeout(self.timeout)
            made.connect(self._path)
        except OSError as error:
            made.close()
            raise NewConnectionError(self, f"the mesh's sidecar does not listen at {self._path}: {error}") from error
        return made
