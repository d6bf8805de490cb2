"""One HTTP request, signed for a function URL or with a token for the API. It ends within its time in any case."""

from __future__ import annotations

import functools
import socket
import ssl
import threading
import time
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any, Protocol

import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from mercato import aws
from mercato.aws.clients import IDLE
from mercato.dataclass import dataclass

MAX_ANSWER = 6 * 1024 * 1024  # bytes, Lambda's limit
_CONNECT = 1.0

_ends_at: ContextVar[float] = ContextVar("mercato_wire_ends_at")


class NoAnswer(Exception):
    """No complete answer came: refused, closed, late, too large, or not HTTP."""


class NotSent(NoAnswer):
    """There was no connection, so the peer cannot have seen the request."""


@dataclass(frozen=True)
class Answer:
    """`headers` by names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Sender(Protocol):
    """Sends one request within `timeout` seconds and returns the answer. Raises NoAnswer."""

    def send(
        self, method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str], timeout: float
    ) -> Answer: ...


def _bound(waiting: socket.socket) -> None:
    """Sets the socket's timeout to the request's remaining time, since a socket's own timeout restarts at every
    byte.
    """
    ends_at = _ends_at.get(None)
    if ends_at is not None:
        left = ends_at - time.monotonic()
        if left <= 0:
            raise TimeoutError("the time of the request is over")
        waiting.settimeout(left)


class PlainSocket(socket.socket):
    def recv_into(self, *buffer: Any, **how: Any) -> int:
        _bound(self)
        return super().recv_into(*buffer, **how)


class _TlsSocket(ssl.SSLSocket):
    def recv_into(self, *buffer: Any, **how: Any) -> int:
        _bound(self)
        return super().recv_into(*buffer, **how)


class _PlainConnection(urllib3.connection.HTTPConnection):
    def connect(self) -> None:
        super().connect()
        made: Any = self.sock
        self.sock = PlainSocket(fileno=made.detach())
        self.sock.settimeout(made.gettimeout())


class _PlainPool(urllib3.HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class Transport:
    """Keeps connections alive between requests, a number per host. Thread-safe."""

    def __init__(self, connections: int = 4) -> None:
        self._connections = connections
        self._making = threading.Lock()  # two threads must not make two pools
        self._used = time.time()

    @functools.cached_property
    def _pools(self) -> urllib3.PoolManager:
        context = ssl.create_default_context()
        context.sslsocket_class = _TlsSocket
        pools = urllib3.PoolManager(retries=False, maxsize=self._connections, ssl_context=context)
        pools.pool_classes_by_scheme = {"http": _PlainPool, "https": urllib3.HTTPSConnectionPool}
        return pools

    def send(self, method: str, url: str, *, body: bytes = b"", headers: Mapping[str, str], timeout: float) -> Answer:
        """Signs the request, unless it has an Authorization header.

        `timeout` covers everything: connecting, sending, waiting, and the answer's last byte. Raises NoAnswer.
        """
        signed = headers if "Authorization" in headers else _sign(method, url, body, headers)
        pools = self._awake()
        return exchange(
            lambda limits: pools.request(
                method, url, body=body, headers=signed, timeout=limits, preload_content=False, redirect=False
            ),
            timeout,
        )

    def _awake(self) -> urllib3.PoolManager:
        """The pools, without connections that have idled (mercato.aws.clients says why)."""
        with self._making:
            now = time.time()
            if now - self._used > IDLE:
                self._pools.clear()
            self._used = now
            return self._pools


def exchange(ask: Callable[[urllib3.Timeout], urllib3.BaseHTTPResponse], timeout: float) -> Answer:
    """Sends a request by `ask` and reads the whole answer, all within `timeout` seconds. Raises NoAnswer."""
    token = _ends_at.set(time.monotonic() + timeout)
    try:
        answer = ask(urllib3.Timeout(connect=min(_CONNECT, timeout), read=timeout))
        content = _read(answer)
    except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError) as error:
        raise NotSent(str(error)) from error
    except (urllib3.exceptions.HTTPError, OSError) as error:
        raise NoAnswer(str(error)) from error
    finally:
        _ends_at.reset(token)
    return Answer(answer.status, {name.lower(): value for name, value in answer.headers.items()}, content)


def _read(answer: urllib3.BaseHTTPResponse) -> bytes:
    """Refuses an answer without a length, since a broken connection would look like its end, and one in an encoding
    that was not requested, since its errors would appear only after the connection is back in the pool.
    """
    encoding = answer.headers.get("Content-Encoding", "identity")
    if encoding != "identity":
        answer.close()
        raise NoAnswer(f"the answer ({answer.status}) is encoded as {encoding}, which was not asked for")
    measured = "Content-Length" in answer.headers or "Transfer-Encoding" in answer.headers
    if not measured and answer.status not in (204, 304):
        answer.close()
        raise NoAnswer(f"the answer ({answer.status}) does not say how long it is")
    content = answer.read(MAX_ANSWER + 1)
    if len(content) > MAX_ANSWER:
        answer.close()
        raise NoAnswer(f"the answer is over {MAX_ANSWER} bytes")
    answer.release_conn()
    return content


def _sign(method: str, url: str, body: bytes, headers: Mapping[str, str]) -> dict[str, str]:
    request = AWSRequest(method, url, data=body, headers=dict(headers))
    credentials = aws.session().get_credentials()
    if credentials is None:
        raise NotSent("there are no AWS credentials to sign with; a function has those of its role")
    SigV4Auth(credentials, "lambda", aws.session().region_name).add_auth(request)
    return dict(request.headers)
