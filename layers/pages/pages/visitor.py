"""What a page asks of the shop, for its visitor and with the visitor's rights.

A logged-in visitor's requests go to the public API with the visitor's own token. A guest's go to the services'
function URLs, signed by the page function, and state the guest's address, so that limits and the guard against
guessing count the guest and not the page function. The page function can thus do what its visitor can, and no more.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from mercato.dataclass import dataclass
from mercato.errors import NotFound, TransientError, Unauthenticated, problem_slug
from mercato.http.request import SOURCE_ADDRESS
from mercato.ids import derived_id
from mercato.peers.client import PeerUnavailable
from mercato.peers.peer import PUBLIC_API, peer
from mercato.telemetry.logs import log
from pages.cookies import (
    ACCESS_SECONDS,
    CART_SECONDS,
    CHECKOUT_SECONDS,
    ORDER_SECONDS,
    REFRESH_SECONDS,
    REMINDER_SECONDS,
    Names,
    removed,
    write,
)

# The service that answers a guest, by the first part of the path after /api.
_SERVICES = {"users": "users", "products": "products", "carts": "carts", "shipments": "shipping"}
# Of these services a guest may ask what is below one path. The rest is for customers, and for peers that are no pages.
_GUESTS = {
    ("checkouts", "guests"): "checkout",
    ("orders", "guests"): "orders",
    ("documents", "guests"): "documents",
    ("notifications", "unsubscriptions"): "notifications",
    ("notifications", "guest-wishes"): "notifications",
    ("notifications", "guests"): "notifications",
    ("notifications", "guest-reminders"): "notifications",
}

# The reads of one page that run at once: as many as a peer's client keeps connections to one host.
_AT_ONCE = 4


class Unavailable(TransientError):
    """A service did not answer in time. `retry_after` is in seconds, and None where it is not known."""

    def __init__(self, service: str, retry_after: float | None) -> None:
        name = "The shop" if service == PUBLIC_API else f"The shop's part for {service}"
        super().__init__(f"{name} does not answer just now.")
        self.service = service
        self.retry_after = retry_after


class LogInFirst(Unauthenticated):
    """The page is for who has logged in, and the visitor has not, or the session is over."""


@dataclass(frozen=True)
class Reply:
    """An answer of the API. `body` is its JSON; of a refusal, the problem document."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def was_replayed(self) -> bool:
        """The same request was answered before, and nothing was done again."""
        return "idempotent-replayed" in self.headers

    @property
    def problem(self) -> str:
        """The slug of a refusal, such as `out-of-stock`; empty for one that something in front of the API has
        written.
        """
        return problem_slug(self.body) if isinstance(self.body, dict) else ""

    @property
    def detail(self) -> str:
        return str(self.body.get("detail") or "") if isinstance(self.body, dict) else ""


class Refused(Exception):
    """The API says no (4xx). `reply` has the problem document."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"{reply.status} {reply.problem}: {reply.detail}")
        self.reply = reply


def path(*parts: str, **query: Any) -> str:
    """/api/… with each part quoted, and the query's values that are not empty. Raises NotFound for a dot segment, which
    a form's field or a cookie may hold: it would lead to another route.
    """
    if any(part in (".", "..") for part in parts):
        raise NotFound("There is nothing with such an id.")
    asked = {name: value for name, value in query.items() if value not in (None, "")}
    return "/api/" + "/".join(quote(part, safe="") for part in parts) + (f"?{urlencode(asked)}" if asked else "")


def next_page(address: str, cursor: str | None, **filters: str) -> str:
    """The address of a list's next page, with the same filters; empty where there is none."""
    asked = {name: value for name, value in filters.items() if value} | {"cursor": cursor}
    return f"{address}?{urlencode(asked)}" if cursor else ""


class Visitor:
    """One request's visitor. `set_cookies` are those that the answer must set. Reads may share it between threads."""

    def __init__(self, names: Names, cookies: Mapping[str, str], source: str) -> None:
        self.names = names
        self.set_cookies: dict[str, str] = {}
        self._source = source
        self._access = cookies.get(names.access, "")
        self._refresh = cookies.get(names.refresh, "")
        self._renewing = threading.Lock()
        self.cart_id = cookies.get(names.cart, "") if names.cart else ""
        self.checkout_id = cookies.get(names.checkout, "") if names.checkout else ""
        self.order_token = cookies.get(names.order, "") if names.order else ""
        self._reminded_cart = cookies.get(names.reminder, "") if names.reminder else ""

    @property
    def is_logged_in(self) -> bool:
        """As the cookies say; the token is checked by the API at each request."""
        return bool(self._access or self._refresh)

    @property
    def wants_reminder(self) -> bool:
        """Whether this guest has asked to be reminded of this cart."""
        return bool(self.cart_id) and self._reminded_cart == derived_id("reminder", self.cart_id)

    @property
    def has_secrets(self) -> bool:
        """A guest whose pages may show an address."""
        return bool(self.checkout_id or self.order_token)

    def get(self, path: str) -> Any:
        """The body of a 200. Raises Refused, LogInFirst, Unavailable."""
        return self.send("GET", path).body

    def send(self, method: str, path: str, body: Any = None, key: str = "") -> Reply:
        """`key` is the Idempotency-Key. Raises Refused, LogInFirst, Unavailable."""
        return self._send(method, path, body, {"Idempotency-Key": key} if key else {})

    def send_text(self, path: str, text: str, media_type: str, key: str) -> Reply:
        """A POST whose body is not JSON. Raises Refused, LogInFirst, Unavailable."""
        return self._send("POST", path, text, {"Content-Type": media_type, "Idempotency-Key": key})

    def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Reply:
        if not self.is_logged_in:
            try:
                return self.send_as_guest(method, path, body, headers)
            except Refused as error:
                if error.reply.status in (401, 403):
                    raise LogInFirst("Please log in to see this page.") from None
                raise
        token = self._access or self._renewed("")
        reply = self._ask(PUBLIC_API, method, path, body, headers | _bearer(token))
        if reply.status == 401 and self._refresh:
            token = self._renewed(token)
            reply = self._ask(PUBLIC_API, method, path, body, headers | _bearer(token))
        if reply.status == 401:
            self._end_session()
        return _granted(reply)

    def send_as_guest(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] = {}) -> Reply:
        """For what is public: it needs no token, and has none."""
        _, _, first, *rest = path.split("?")[0].split("/")
        service = _SERVICES.get(first) or _GUESTS.get((first, next(iter(rest), "")))
        if not service:
            raise LogInFirst("Please log in to see this page.")
        return _granted(self._ask(service, method, path, body, {**headers, SOURCE_ADDRESS: self._source}))

    def send_openly(self, method: str, path: str, body: Any = None) -> Reply:
        """Through the public API, for what is public at a service that is no peer of pages. Raises Refused,
        Unavailable.
        """
        return _granted(self._ask(PUBLIC_API, method, path, body, {}))

    def log_in(self, email: str, password: str) -> None:
        """Raises Refused, Unavailable."""
        self._keep(self.send_as_guest("POST", path("users", "login"), {"email": email, "password": password}).body)

    def log_out(self) -> None:
        """The session ends here in any case, and at the server unless it cannot be asked."""
        held, self._access = self._refresh, ""
        self._forget()
        if held:
            self.send_as_guest("POST", path("users", "logout"), {"refresh_token": held})

    def keep_cart(self, cart_id: str) -> None:
        self.cart_id = cart_id
        self.set_cookies[self.names.cart] = write(self.names.cart, cart_id, CART_SECONDS)

    def forget_cart(self) -> None:
        self.cart_id = ""
        self.set_cookies[self.names.cart] = removed(self.names.cart)

    def keep_checkout(self, checkout_id: str) -> None:
        self.checkout_id = checkout_id
        self.set_cookies[self.names.checkout] = write(self.names.checkout, checkout_id, CHECKOUT_SECONDS)

    def keep_reminder(self, *, is_wanted: bool) -> None:
        """Whether the guest wants to be reminded of this cart, for the box of the next form."""
        self._reminded_cart = derived_id("reminder", self.cart_id) if is_wanted else ""
        seconds = REMINDER_SECONDS if is_wanted else 0
        self.set_cookies[self.names.reminder] = write(self.names.reminder, self._reminded_cart, seconds)

    def keep_order(self, token: str) -> None:
        """The token of a guest's link stays in a cookie: no address has it."""
        self.order_token = token
        self.set_cookies[self.names.order] = write(self.names.order, token, ORDER_SECONDS)

    def forget_order(self) -> None:
        self.order_token = ""
        self.set_cookies[self.names.order] = removed(self.names.order)

    def _renewed(self, refused: str) -> str:
        """A newer access token than `refused`. Where several reads of a page are refused at once, one of them renews
        it, and the others wait and take its token: a refresh token is used once. Raises LogInFirst, Refused,
        Unavailable.
        """
        with self._renewing:
            if self._access in ("", refused):
                if not self._refresh:
                    self._end_session()
                self._renew()
            return self._access

    def _renew(self) -> None:
        """A new access token for the refresh token. Two tabs that do it at once are both granted for ten seconds."""
        try:
            self._keep(
                self.send_as_guest("POST", path("users", "token", "refresh"), {"refresh_token": self._refresh}).body
            )
        except Refused as error:
            if error.reply.status == 429:
                raise
            self._end_session()

    def _end_session(self) -> None:
        self._forget()
        raise LogInFirst("Your session has ended. Please log in again.")

    def _forget(self) -> None:
        self._access = self._refresh = ""
        self.set_cookies |= {name: removed(name) for name in self.names.session}

    def _keep(self, tokens: Mapping[str, str]) -> None:
        self._access, self._refresh = tokens["access_token"], tokens["refresh_token"]
        self.set_cookies[self.names.access] = write(self.names.access, self._access, ACCESS_SECONDS)
        self.set_cookies[self.names.refresh] = write(self.names.refresh, self._refresh, REFRESH_SECONDS)

    def _ask(self, service: str, method: str, path: str, body: Any, headers: dict[str, str]) -> Reply:
        try:
            answer = peer(service).send(method, path, body, headers)
        except PeerUnavailable as error:
            raise Unavailable(service, error.retry_after) from error
        try:
            content = json.loads(answer.body) if answer.body else None
        except ValueError as error:
            raise Unavailable(service, None) from error
        return Reply(answer.status, content, answer.headers)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _granted(reply: Reply) -> Reply:
    if reply.status >= 400:
        raise Refused(reply)
    return reply


@dataclass(frozen=True)
class Part:
    """A part of a page: what a service said, or why it is missing."""

    value: Any = None
    missing: str = ""


def part(ask: Callable[[], Any]) -> Part:
    """A service that is away, or refuses, leaves its part of the page out, and no more than that."""
    try:
        return Part(ask())
    except (Unavailable, Refused) as error:
        log.warning("a part of the page is left out", extra={"reason": str(error)})
        said = str(error) if isinstance(error, Unavailable) else error.reply.detail
        return Part(missing=said or "This is not available just now.")


def parts(*asks: Callable[[], Any]) -> list[Part]:
    """Several parts of a page, asked for at once, in the order of `asks`."""
    return together(*(partial(part, ask) for ask in asks))


def together(*reads: Callable[[], Any]) -> list[Any]:
    """Runs reads that need nothing of each other at once, and returns their results in the order of `reads`.

    Each has a copy of the context, so that its calls carry the request's ids and end by the invocation's deadline. If
    reads fail, raises the error of the first of them in that order. All threads have ended when it returns or raises:
    Lambda would freeze one that goes on.
    """
    with ThreadPoolExecutor(min(len(reads), _AT_ONCE)) as pool:
        running = [pool.submit(copy_context().run, read) for read in reads]
        try:
            return [one.result() for one in running]
        finally:
            pool.shutdown(cancel_futures=True)
