"""The dashboard: reads three peers concurrently. A part whose peer does not answer is Unavailable."""

import contextvars
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Annotated, Any, Literal, Protocol
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field

from mercato.errors import DomainError, TransientError
from mercato.http import View
from mercato.invocation import deadline
from mercato.peers.client import read_answer
from mercato.telemetry.logs import log

RECENT = 5
_PATIENCE = 4.0  # seconds for all three: two parts now are better than three later


class Peer(Protocol):
    def get(self, path: str, *, user_id: str = "") -> Any: ...


class Unavailable(View):
    """Replaces a part whose service does not answer."""

    unavailable: Literal[True] = True


class Profile(View):
    user_id: str
    email: str
    name: str
    role: str


class DashboardView(View):
    user: Profile | Unavailable
    recent_orders: Annotated[list[dict[str, Any]] | Unavailable, Field(description="The last five, as GET /api/orders")]
    unread_notifications: int | Unavailable


class _Orders(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)
    items: list[dict[str, Any]]


class _Notifications(BaseModel):
    model_config = ConfigDict(extra="ignore", defer_build=True)
    unread_count: int


def show_dashboard(user_id: str, *, users: Peer, orders: Peer, notifications: Peer) -> DashboardView:
    """Never fails because of a peer: a missing part is Unavailable."""

    def read_profile() -> Profile:
        return _ask(users, f"/api/users/{quote(user_id, safe='')}", user_id, Profile)

    def read_orders() -> list[dict[str, Any]]:
        return _ask(orders, f"/api/orders?limit={RECENT}", user_id, _Orders).items[:RECENT]

    def count_unread() -> int:
        return _ask(notifications, "/api/notifications?unread=true&limit=1", user_id, _Notifications).unread_count

    missing = Unavailable()  # made before the threads: pydantic builds a model at its first use, and not in two at once
    with deadline.at_most(_PATIENCE), ThreadPoolExecutor(max_workers=3) as pool:
        profile = _start(pool, "user", read_profile, missing)
        recent = _start(pool, "recent_orders", read_orders, missing)
        unread = _start(pool, "unread_notifications", count_unread, missing)
        return DashboardView(user=profile.result(), recent_orders=recent.result(), unread_notifications=unread.result())


def _start[T](
    pool: ThreadPoolExecutor, part: str, read: Callable[[], T], missing: Unavailable
) -> Future[T | Unavailable]:
    """Runs with a copy of the context, so that the thread has the correlation and the deadline."""

    def read_or_go_without() -> T | Unavailable:
        try:
            return read()
        except (TransientError, DomainError) as error:
            log.warning("dashboard part unavailable", extra={"part": part, "reason": str(error)})
            return missing

    return pool.submit(contextvars.copy_context().run, read_or_go_without)


def _ask[M: BaseModel](peer: Peer, path: str, user_id: str, model: type[M]) -> M:
    return read_answer(model, peer.get(path, user_id=user_id), path.split("?")[0])
