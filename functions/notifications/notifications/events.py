"""The events that notifications publishes."""

from typing import Any, ClassVar

from mercato.events import EventModel

_EXAMPLE: dict[str, Any] = {
    "notification_id": "019aaba4-7a00-8f3c-9d21-6b0f5a2c1e44",
    "user_id": "0199f6c2-5b1e-7cc0-8d5a-2f6f3c9a1b70",
    "channel": "email",
    "kind": "receipt",
}


class NotificationSent(EventModel):
    """The mail or text message (`channel` is email or sms) was handed to its service, or the notification is only
    listed in the app (in_app).
    """

    TYPE: ClassVar[str] = "notification.sent"
    EXAMPLE: ClassVar[dict[str, Any]] = _EXAMPLE

    notification_id: str
    user_id: str
    channel: str
    kind: str


class NotificationFailed(EventModel):
    """The mail or text message will not be sent. The notification is still listed in the app."""

    TYPE: ClassVar[str] = "notification.failed"
    EXAMPLE: ClassVar[dict[str, Any]] = _EXAMPLE | {"reason": "MessageRejected: the address does not exist"}

    notification_id: str
    user_id: str
    channel: str
    kind: str
    reason: str


class WishAsked(EventModel):
    """A guest wants to be told when a product is available again. Notifications mails a link that confirms it; no event
    names the address.
    """

    TYPE: ClassVar[str] = "wish.asked"
    EXAMPLE: ClassVar[dict[str, Any]] = {"wish_id": "019aaba4-7a00-7f3c-9d21-6b0f5a2c1e44"}

    wish_id: str


PUBLISHES: tuple[type[EventModel], ...] = (NotificationSent, NotificationFailed, WishAsked)
