"""A customer's notifications over HTTP."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from mercato.clock import rfc3339
from mercato.errors import Forbidden
from mercato.http import CUSTOMER, PEER, WATCH, App, Body, Cursor, NoContent, Query, View
from mercato.http.auth import Caller
from mercato.http.health import table_and_queue
from notifications import usecases
from notifications.domain import Notification, Preferences
from notifications.store import Listed
from notifications.wiring import ports

app = App("notifications", health=table_and_queue)


class PeerForNobody(Forbidden):
    """A peer service asked without naming the user it acts for."""


class ListQuery(Query):
    unread: bool = False
    limit: Annotated[int, Field(ge=1, le=100)] = 20
    cursor: Cursor | None = None


class NotificationView(View):
    notification_id: str
    kind: str
    subject: str
    body: str
    order_id: str | None
    created_at: str
    read: bool
    channel: str
    status: str

    @classmethod
    def of(cls, found: Notification) -> NotificationView:
        return cls(
            notification_id=found.notification_id,
            kind=found.kind,
            subject=found.subject,
            body=found.body,
            order_id=found.order_id,
            created_at=rfc3339(found.created_at),
            read=found.is_read,
            channel=found.channel,
            status=found.status,
        )


class NotificationPage(View):
    items: list[NotificationView]
    next_cursor: str | None
    unread_count: int

    @classmethod
    def of(cls, listed: Listed) -> NotificationPage:
        views = [NotificationView.of(found) for found in listed.items]
        return cls(items=views, next_cursor=listed.next_cursor, unread_count=listed.unread_count)


class PreferencesBody(Body):
    email: bool


class PreferencesView(View):
    email: bool


@app.get("/api/notifications", role=(CUSTOMER, PEER), limit=WATCH)
def list_notifications(query: ListQuery, caller: Caller) -> NotificationPage:
    if not caller.user_id:
        raise PeerForNobody("A peer asks on behalf of a user: X-User-Id is missing.")
    listed = usecases.list_notifications(
        caller.user_id, unread=query.unread, limit=query.limit, cursor=query.cursor, store=ports().store
    )
    return NotificationPage.of(listed)


@app.post("/api/notifications/{notification_id}/read", role=CUSTOMER)
def mark_read(notification_id: str, caller: Caller) -> NoContent:
    usecases.mark_read(caller.user_id, notification_id, store=ports().store)
    return NoContent()


@app.get("/api/notifications/preferences", role=CUSTOMER, limit=WATCH)
def read_preferences(caller: Caller) -> PreferencesView:
    return PreferencesView(email=usecases.read_preferences(caller.user_id, store=ports().store).email)


@app.put("/api/notifications/preferences", role=CUSTOMER)
def set_preferences(preferences: PreferencesBody, caller: Caller) -> PreferencesView:
    usecases.set_preferences(caller.user_id, Preferences(email=preferences.email), store=ports().store)
    return PreferencesView(email=preferences.email)


handler = app.handler
