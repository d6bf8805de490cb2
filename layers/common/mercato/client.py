"""Calls to peer services: found in Cloud Map, signed with SigV4, bounded in time, retried where that is safe."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from typing import Any

import urllib3
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from mercato import aws, deadline, outgoing
from mercato.discovery import Registry
from mercato.errors import Conflict, NotFound, TransientError

_CONNECT, _READ, _ATTEMPTS = 1.0, 5.0, 3
_SAFE = frozenset({"GET", "HEAD"})


class PeerUnavailable(TransientError):
    """The peer did not give a usable answer in time."""


class PeerRefused(PeerUnavailable):
    """The peer says 4xx: the same request gets the same answer, so it is not tried again."""


class PeerNotFound(NotFound):
    """The peer says 404. The caller turns it into its own domain's word."""


class PeerConflict(Conflict):
    """The peer says 409."""


class ServiceClient:
    """A client of one peer. `sleep` is passed in for tests."""

    def __init__(self, peer: str, registry: Registry, sleep: Callable[[float], None] = time.sleep) -> None:
        self.peer = peer
        self._registry = registry
        self._sleep = sleep
        self._pool = urllib3.PoolManager(retries=False, maxsize=4)

    def get(self, path: str, *, user_id: str = "") -> Any:
        return self._request("GET", path, None, user_id, safe=True)

    def post(self, path: str, body: Any, *, user_id: str = "", safe: bool = False) -> Any:
        """`safe` says that the same request twice does no harm, so that it may be retried."""
        return self._request("POST", path, body, user_id, safe=safe)

    def _request(self, method: str, path: str, body: Any, user_id: str, *, safe: bool) -> Any:
        attempts = _ATTEMPTS if safe or method in _SAFE else 1
        for attempt in range(1, attempts + 1):
            try:
                with outgoing.call(self.peer, method, path) as call:
                    return self._once(method, path, body, user_id, call)
            except PeerRefused:
                raise
            except PeerUnavailable:
                if attempt == attempts:
                    raise
                self._sleep(random.uniform(0, 0.1 * 2**attempt))
        raise AssertionError("unreachable")

    def _once(self, method: str, path: str, body: Any, user_id: str, call: outgoing.Call) -> Any:
        url = self._registry.find(self.peer) + path
        payload = b"" if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} | call.headers | ({"X-User-Id": user_id} if user_id else {})
        request = AWSRequest(method, url, data=payload, headers=headers)
        credentials = aws.session().get_credentials()
        if credentials is None:
            raise PeerUnavailable(f"{self.peer} {method} {path}: there are no AWS credentials to sign with")
        SigV4Auth(credentials, "lambda", aws.session().region_name).add_auth(request)
        timeout = urllib3.Timeout(connect=deadline.within(_CONNECT), total=deadline.within(_READ))
        try:
            answer = self._pool.request(method, url, body=payload, headers=dict(request.headers), timeout=timeout)
        except urllib3.exceptions.HTTPError as error:
            raise PeerUnavailable(f"{self.peer} {method} {path}: {error}") from error
        call.status = answer.status
        return self._parse(method, path, answer)

    def _parse(self, method: str, path: str, answer: urllib3.BaseHTTPResponse) -> Any:
        try:
            body = json.loads(answer.data) if answer.data else None
        except ValueError as error:
            raise PeerUnavailable(
                f"{self.peer} {method} {path}: {answer.status} with a body that is not JSON"
            ) from error
        if answer.status < 300:
            return body
        detail = body.get("detail", "") if isinstance(body, dict) else ""
        if answer.status == 404:
            raise PeerNotFound(detail or f"{self.peer} does not know {path}")
        if answer.status == 409:
            raise PeerConflict(detail or f"{self.peer} refuses {path} now")
        refused = 400 <= answer.status < 500 and answer.status not in (408, 425, 429)
        kind = PeerRefused if refused else PeerUnavailable
        raise kind(f"{self.peer} {method} {path}: {answer.status} {detail}")
