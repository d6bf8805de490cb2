"""Calls peer services: found in Cloud Map and signed with SigV4, or through the mesh. A call is bounded in time, and
retried if that is safe.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from pydantic import BaseModel, ValidationError

from mercato.breaker import Breaker, CircuitOpen
from mercato.clock import utc_now
from mercato.dataclass import dataclass
from mercato.errors import Conflict, NotFound, TransientError
from mercato.invocation import deadline
from mercato.peers import span
from mercato.peers.discovery import Addresses, UnknownPeer
from mercato.peers.retries import RetryBudget, longest_pause, read_retry_after
from mercato.peers.transport import Answer, NoAnswer, NotSent
from mercato.telemetry.logs import log
from mercato.telemetry.paths import hide_capability

READ_TIMEOUT = 5.0
_ATTEMPTS = 3
_LEAST = 0.05  # seconds: a call with less time cannot succeed
_LEAST_AGAIN = 0.25
_LONGEST_WAIT = 5.0

Fallback = Callable[["PeerUnavailable"], Any]


class PeerUnavailable(TransientError):
    """The peer gave no usable answer in time. `retry_after`: the seconds after which it accepts calls again."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PeerRefused(PeerUnavailable):
    """The peer answered 4xx. A retry would get the same answer, so there is none. `status` is 0 where the caller has
    read the answer itself.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status


class PeerNotCalled(PeerUnavailable):
    """The call was not made: the peer is unknown, its circuit is open, or no time is left."""


class PeerNotFound(NotFound):
    """The peer answered 404. The caller turns it into its own domain's error."""


class PeerConflict(Conflict):
    """The peer answered 409."""


def read_answer[M: BaseModel](model: type[M], answer: Any, about: str) -> M:
    """Parses the peer's answer. Raises PeerUnavailable, which names fields but no values."""
    try:
        return model.model_validate(answer)
    except ValidationError as error:
        fields = [".".join(str(part) for part in found["loc"]) for found in error.errors(include_input=False)]
        raise PeerUnavailable(f"{about} was answered in a shape we cannot read: {fields}") from None


def read_object(answer: Answer, about: str) -> dict[str, Any]:
    """The JSON object that ServiceClient.send brought. Raises PeerUnavailable for another body, which something in
    front of the peer has written.
    """
    try:
        found = json.loads(answer.body)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise PeerUnavailable(f"{about} was answered {answer.status} with a body that is no JSON object")
    return found


@dataclass(frozen=True)
class _Call:
    method: str
    path: str
    body: bytes
    headers: dict[str, str]
    repeatable: bool
    is_whole: bool = False  # the caller wants the answer itself, refusals included

    def __str__(self) -> str:
        return f"{self.method} {hide_capability(self.path)}"


def _headers(user_id: str) -> dict[str, str]:
    return {"Content-Type": "application/json"} | ({"X-User-Id": user_id} if user_id else {})


class ServiceClient:
    """A client of one peer; mercato.peers.peer makes it. `sleep` and `uniform` (of jitter) are passed in for tests."""

    def __init__(
        self,
        peer: str,
        registry: Addresses,
        breaker: Breaker,
        *,
        sleep: Callable[[float], None] = time.sleep,
        uniform: Callable[[float, float], float] = random.uniform,
        budget: RetryBudget | None = None,
    ) -> None:
        self.peer = peer
        self._registry = registry
        self._breaker = breaker
        self._sleep = sleep
        self._uniform = uniform
        self._budget = budget or RetryBudget()
        self._transport = registry.transport()

    def get(self, path: str, *, user_id: str = "", fallback: Fallback | None = None) -> Any:
        """`fallback` returns the answer if the peer gives none."""
        return self._ask(_Call("GET", path, b"", _headers(user_id), repeatable=True), fallback)

    def post(
        self,
        path: str,
        body: Any,
        *,
        user_id: str = "",
        safe: bool = False,
        key: str = "",
        fallback: Fallback | None = None,
    ) -> Any:
        """Retried only with a `key` (the Idempotency-Key), or with `safe` for a call that is safe to repeat."""
        headers = _headers(user_id) | ({"Idempotency-Key": key} if key else {})
        payload = b"" if body is None else json.dumps(body).encode()
        return self._ask(_Call("POST", path, payload, headers, repeatable=safe or bool(key)), fallback)

    def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        headers: Mapping[str, str] = MappingProxyType({}),
        *,
        safe: bool = False,
    ) -> Answer:
        """The answer as it is, also a refusal (4xx). Raises PeerUnavailable where there is none, or a 5xx.

        A body that is a str goes as it is, and its Content-Type is in the headers; any other goes as JSON. Retried
        where the method is safe, the headers have an Idempotency-Key, or `safe` states that a repetition is safe.
        """
        payload = b"" if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
        repeatable = safe or method == "GET" or "Idempotency-Key" in headers
        call = _Call(method, path, payload, {**_headers(""), **headers}, repeatable, is_whole=True)
        answer: Answer = self._retry(call)
        return answer

    def _ask(self, call: _Call, fallback: Fallback | None) -> Any:
        try:
            return self._retry(call)
        except PeerRefused:
            raise
        except PeerUnavailable as error:
            if fallback is None:
                raise
            log.warning("peer unavailable, using the fallback", extra={"peer": self.peer, "reason": str(error)})
            return fallback(error)

    def _retry(self, call: _Call) -> Any:
        self._budget.pay_in()
        tried: set[str] = set()
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                return self._guarded(call, tried)
            except (PeerRefused, PeerNotCalled):
                raise
            except PeerUnavailable as error:
                pause = self._pause(attempt, error)
                if not self._may_repeat(call, attempt, pause, error):
                    raise
                log.info("peer call retried", extra={"peer": self.peer, "attempt": attempt, "reason": str(error)})
                self._sleep(pause)
        raise AssertionError("unreachable")

    def _pause(self, attempt: int, error: PeerUnavailable) -> float:
        """Full jitter, added to the peer's Retry-After, so that its callers do not return at the same moment."""
        return (error.retry_after or 0.0) + self._uniform(0.0, longest_pause(attempt))

    def _may_repeat(self, call: _Call, attempt: int, pause: float, error: PeerUnavailable) -> bool:
        harmless = call.repeatable or isinstance(error.__cause__, NotSent)
        in_time = pause <= _LONGEST_WAIT and deadline.left() - deadline.RESERVE - pause > _LEAST_AGAIN
        return harmless and in_time and attempt < _ATTEMPTS and self._budget.take()

    def _find(self, call: _Call, tried: set[str]) -> str:
        try:
            return self._registry.find(self.peer, avoid=tried)
        except UnknownPeer as error:
            raise PeerNotCalled(f"{self.peer} {call}: {error}") from error

    def _guarded(self, call: _Call, tried: set[str]) -> Any:
        """Counts each attempt, so that an open circuit ends the retries too. Looks up no address while it is open."""
        if deadline.left() - deadline.RESERVE < _LEAST:
            raise PeerNotCalled(f"{self.peer} {call}: no time is left for it")
        try:
            return self._breaker.call(lambda: self._once(call, tried))
        except CircuitOpen as rejection:
            raise PeerNotCalled(f"{self.peer} {call}: {rejection}", rejection.retry_after) from rejection

    def _once(self, call: _Call, tried: set[str]) -> Any:
        url = self._find(call, tried)
        again = {"X-Mesh-Retry": "true"} if tried else {}
        tried.add(url)
        timeout = deadline.within(READ_TIMEOUT)
        with span.call(self.peer, call.method, hide_capability(call.path)) as attempt:
            headers = call.headers | attempt.headers | again
            try:
                answer = self._transport.send(
                    call.method, url + call.path, body=call.body, headers=headers, timeout=timeout
                )
            except NoAnswer as error:
                if isinstance(error, NotSent):
                    self._registry.doubt(self.peer)
                raise PeerUnavailable(f"{self.peer} {call}: {error}") from error
            attempt.status = answer.status
            return self._read(call, answer)

    def _read(self, call: _Call, answer: Answer) -> Any:
        if call.is_whole and answer.status < 500:
            return answer
        retry_after = read_retry_after(answer.headers.get("retry-after"), utc_now())
        try:
            body = json.loads(answer.body) if answer.body else None
        except (ValueError, RecursionError) as error:
            raise PeerUnavailable(
                f"{self.peer} {call}: {answer.status} with a body that is not JSON", retry_after
            ) from error
        if 200 <= answer.status < 300:
            return body
        detail = body.get("detail") or body.get("Message") or "" if isinstance(body, dict) else ""
        if answer.status == 404:
            raise PeerNotFound(detail or f"{self.peer} does not know {hide_capability(call.path)}")
        if answer.status == 409:
            raise PeerConflict(detail or f"{self.peer} refuses {hide_capability(call.path)} now")
        message = f"{self.peer} {call}: {answer.status} {detail}"
        if 400 <= answer.status < 500 and answer.status not in (408, 425, 429):
            raise PeerRefused(message, answer.status)
        raise PeerUnavailable(message, retry_after)
