"""A client of the running shop. Retries only safe requests, and bounds every wait."""

from __future__ import annotations

import itertools
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import httpx

from mercato.errors import problem_slug

Json = dict[str, Any]

_ATTEMPTS = 8  # while the shop does not answer
_PATIENCE = 90.0  # seconds of retries: a crashed request holds its Idempotency-Key for 30
_LONGEST_PAUSE = 10.0
_LONGEST_INTERVAL = 2.0  # of a poll
_TRY_AGAIN = frozenset({429, 502, 503, 504})
_REFRESH_BEFORE = 60.0


class ShopError(Exception):
    """The shop did not execute the request."""


class Refused(ShopError):
    """The shop returned an error. `problem` is the whole problem document."""

    def __init__(self, request: str, status: int, problem: Json) -> None:
        self.status = status
        self.problem = problem
        self.slug = problem_slug(problem)
        self.detail = str(problem.get("detail") or problem.get("message") or "")
        super().__init__(f"{request}: {status} {self.slug} {self.detail}".rstrip())


class Unreachable(ShopError):
    """The shop returned no usable response at any attempt."""


class TooLate(ShopError):
    """The result did not meet the condition in time. `last` is the last result."""

    def __init__(self, what: str, within: float, last: Any) -> None:
        super().__init__(f"{what}: not after {within:.0f} s")
        self.last = last


@dataclass(frozen=True)
class Clock:
    """The time and the sleep function, injected so that tests need not wait."""

    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep


REAL_TIME = Clock()


class Csv(str):
    """A body that is a CSV file."""


def poll[T](
    fetch: Callable[[], T],
    until: Callable[[T], bool],
    *,
    what: str,
    within: float,
    every: float = 0.3,
    clock: Clock = REAL_TIME,
) -> T:
    """Calls `fetch` until `until` holds for its result, and returns the result.

    The interval grows from `every` to two seconds, or stays at `every` if that is longer. Raises TooLate with the last
    result after `within` seconds.
    """
    longest = max(every, _LONGEST_INTERVAL)
    deadline = clock.monotonic() + within
    while True:
        found = fetch()
        if until(found):
            return found
        left = deadline - clock.monotonic()
        if left <= 0:
            raise TooLate(what, within, found)
        clock.sleep(min(every, left))
        every = min(every * 1.3, longest)


class Shop:
    """The shop's HTTP API. One connection pool for all threads."""

    def __init__(
        self,
        base_url: str,
        *,
        transport: httpx.BaseTransport | None = None,
        clock: Clock = REAL_TIME,
        timeout: float = 35.0,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self.clock = clock
        self._http = httpx.Client(
            base_url=self.base_url + "/api", timeout=httpx.Timeout(timeout, connect=5.0), transport=transport
        )

    def close(self) -> None:
        self._http.close()

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = None,
        key: str | None = None,
        safe: bool = False,
    ) -> Any:
        """Sends one request and returns the JSON of its response. `body` is sent as JSON, or unchanged if it is a Csv.
        Retries if that is safe: GET, PUT, DELETE, an Idempotency-Key, or `safe`.
        """
        headers: dict[str, str] = {}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        if key:
            headers["Idempotency-Key"] = key
        content: dict[str, Any] = {"json": body} if body is not None else {}
        if isinstance(body, Csv):
            headers["Content-Type"] = "text/csv"
            content = {"content": body.encode()}
        request = self._http.build_request(method, path, headers=headers, **content)
        return self._send(request, repeatable=bool(safe or key or method in ("GET", "PUT", "DELETE")))

    def _send(self, request: httpx.Request, repeatable: bool) -> Any:
        name = f"{request.method} {request.url.path}"
        ends = self.clock.monotonic() + _PATIENCE
        for attempt in itertools.count(1):
            try:
                answer = self._http.send(request)
            except httpx.TransportError as error:
                if not repeatable or attempt >= _ATTEMPTS:
                    raise Unreachable(f"{name}: {error or type(error).__name__}") from error
                self._pause(attempt, 0)
                continue
            if answer.is_success:
                return _json(answer) if answer.content else None
            refused = Refused(name, answer.status_code, _problem(answer))
            # The first attempt may still be running; its response is available a moment later.
            is_for_now = answer.status_code in _TRY_AGAIN or refused.slug == "request-in-flight"
            asked = _seconds(answer.headers.get("Retry-After", ""))
            if not repeatable or not is_for_now or self.clock.monotonic() + asked >= ends:
                raise refused
            self._pause(attempt, asked)
        raise AssertionError("unreachable")

    def _pause(self, attempt: int, asked: int) -> None:
        """Waits for Retry-After plus an exponential backoff with full jitter, so that threads do not retry together."""
        self.clock.sleep(asked + random.uniform(0, min(0.2 * 2**attempt, _LONGEST_PAUSE)))

    def register(self, email: str, password: str, name: str) -> None:
        """Creates the account. Idempotent: the response is the same for an existing account."""
        self.call("POST", "/users", {"email": email, "password": password, "name": name}, safe=True)

    def login(self, email: str, password: str) -> Session:
        return Session(self, email, password)

    def join(self, email: str, password: str, name: str) -> Session:
        """Registers and logs in."""
        self.register(email, password, name)
        return self.login(email, password)


def _seconds(retry_after: str) -> int:
    """0 for a date, or what cannot be read."""
    return int(retry_after) if retry_after.isdecimal() else 0


def _json(answer: httpx.Response) -> Any:
    try:
        return answer.json()
    except ValueError:
        raise Unreachable(f"{answer.request.method} {answer.request.url.path}: the answer is not JSON") from None


def _problem(answer: httpx.Response) -> Json:
    try:
        found = answer.json()
    except ValueError:
        found = None
    return found if isinstance(found, dict) else {"detail": answer.text[:200]}


class Session:
    """A logged-in user. The token is refreshed before it ends. Thread-safe."""

    def __init__(self, shop: Shop, email: str, password: str) -> None:
        self.shop = shop
        self.email = email
        self._password = password
        self._lock = threading.Lock()
        self._take(self._log_in())

    def get(self, path: str, **params: str | int) -> Any:
        return self._call("GET", f"{path}?{urlencode(params)}" if params else path)

    def post(
        self, path: str, body: Any = None, *, key: str | None = None, csv: str | None = None, safe: bool = False
    ) -> Any:
        return self._call("POST", path, body if csv is None else Csv(csv), key=key, safe=safe)

    def put(self, path: str, body: Any) -> Any:
        return self._call("PUT", path, body)

    def patch(self, path: str, body: Any) -> Any:
        return self._call("PATCH", path, body)

    def delete(self, path: str) -> Any:
        return self._call("DELETE", path)

    def place_order(
        self, lines: Sequence[Json], *, token: str, address: Json, key: str, cart: Json | None = None
    ) -> Json:
        """Places the order. Idempotent by `key`. `cart` is the ordered cart, as the API returned it."""
        body: Json = {"lines": list(lines), "payment_token": token, "shipping_address": address}
        if cart is not None:
            body["cart"] = {"id": cart["cart_id"], "version": cart["version"]}
        placed: Json = self.post("/orders", body, key=key)
        return placed

    def wait_for_order(self, order_id: str, until: Callable[[Json], bool], *, what: str, within: float) -> Json:
        return poll(
            lambda: self.get(f"/orders/{order_id}"),
            until,
            what=f"order {order_id} {what}",
            within=within,
            clock=self.shop.clock,
        )

    def _call(self, method: str, path: str, body: Any = None, **how: Any) -> Any:
        token = self._fresh_token()
        try:
            return self.shop.call(method, path, body, token=token, **how)
        except Refused as refused:
            # API Gateway caches the authorizer's response, so a renewed token may be refused like the old one.
            if refused.status != 401:
                raise
        return self.shop.call(method, path, body, token=self._renew(token), **how)

    def _fresh_token(self) -> str:
        with self._lock:
            token, ends = self._access, self._ends
        if self.shop.clock.monotonic() < ends - _REFRESH_BEFORE:
            return token
        return self._renew(token)

    def _renew(self, used: str) -> str:
        """Returns a new token, unless another thread has renewed it since `used` was handed out."""
        with self._lock:
            if self._access == used:
                try:
                    self._take(self.shop.call("POST", "/users/token/refresh", {"refresh_token": self._refresh}))
                except ShopError:
                    # The refresh token may be used up although the response was lost. The password stays valid.
                    self._take(self._log_in())
            return self._access

    def _log_in(self) -> Json:
        tokens: Json = self.shop.call(
            "POST", "/users/login", {"email": self.email, "password": self._password}, safe=True
        )
        return tokens

    def _take(self, tokens: Json) -> None:
        self._access: str = tokens["access_token"]
        self._refresh: str = tokens["refresh_token"]
        self._ends = self.shop.clock.monotonic() + int(tokens["expires_in"])
