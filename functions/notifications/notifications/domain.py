"""Notifications, their states, and which e-mails may be sent twice."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from mercato.errors import Conflict, Invalid, NotFound


class NotificationNotFound(NotFound):
    """The notification does not exist, or belongs to another user."""


class ReaderGone(NotFound):
    """The reader's account is closed, so it has no notifications."""

    def __init__(self) -> None:
        super().__init__("This account is closed.")


class MailGivenUp(Conflict):
    """An attempt to send the e-mail was cut off. It may have been sent, and its kind is not sent twice."""

    def __init__(self, kind: str) -> None:
        super().__init__(f"The {kind} e-mail may have been sent before its attempt was cut off; it is not sent again.")


class Kind(StrEnum):
    WELCOME = "welcome"
    PAYMENT_AWAITED = "payment_awaited"
    ORDER_CONFIRMED = "order_confirmed"
    RECEIPT = "receipt"
    PAYMENT_FAILED = "payment_failed"
    ORDER_SHIPPED = "order_shipped"
    ORDER_DELIVERED = "order_delivered"
    ORDER_CANCELLED = "order_cancelled"
    REFUND = "refund"
    RETURN_APPROVED = "return_approved"
    RETURN_REFUSED = "return_refused"
    RETURN_RECEIVED = "return_received"
    BACK_IN_STOCK = "back_in_stock"
    ABANDONED_CART = "abandoned_cart"


class Channel(StrEnum):
    EMAIL = "email"
    IN_APP = "in_app"


class Status(StrEnum):
    PENDING = "pending"  # written, and to be sent
    SENDING = "sending"  # claimed: an attempt is running, or was cut off
    SENT = "sent"
    FAILED = "failed"


# SES has no idempotency key, so after a cut-off attempt it is unknown whether the mail was sent. Mails about money or
# goods are then sent again, since twice is better than never. A welcome and a reminder of a cart are not.
AT_MOST_ONCE = frozenset({Kind.WELCOME, Kind.ABANDONED_CART})

# What an order can do without. Its reader switches each of these off, also by one click in the mail. All other mails
# about an order have what its buyer must know or keep.
SWITCHABLE = (Kind.ORDER_SHIPPED, Kind.ORDER_DELIVERED, Kind.BACK_IN_STOCK, Kind.ABANDONED_CART)

# Mails that say what an order waits for, or what comes next. They are not sent once the order is further along.
OVERTAKEN_BY_LATER = frozenset({Kind.PAYMENT_AWAITED, Kind.ORDER_SHIPPED})

# Longer than an invocation lives, and shorter than the queue hides a message, so a redelivery finds the claim expired.
CLAIM_LASTS = timedelta(seconds=60)


@dataclass(frozen=True)
class Claim:
    """The right of one attempt to send one e-mail. The id distinguishes attempts of the same second."""

    claim_id: str
    until: datetime


@dataclass(frozen=True)
class Contact:
    user_id: str
    email: str
    name: str


class NeededForOrder(Invalid):
    """The kind of mail has what a buyer must know about an order, so it cannot be switched off."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(f"Mails of the kind {kind} are needed for the order and cannot be switched off.", kind=kind)


@dataclass(frozen=True)
class Preferences:
    """`email` is the switch of all mails that an order can do without, `kinds` has that of each such kind; on where
    none is stored. Without a mail, the app still lists the notification.
    """

    email: bool = True
    kinds: Mapping[Kind, bool] = field(default_factory=dict)

    def wants_mail(self, kind: Kind) -> bool:
        return kind not in SWITCHABLE or (self.email and self.kinds.get(kind, True))


@dataclass(frozen=True)
class Text:
    subject: str
    body: str


@dataclass(frozen=True)
class Notification:
    notification_id: str
    user_id: str
    kind: Kind
    channel: Channel
    status: Status
    subject: str
    body: str
    order_id: str | None
    created_at: datetime
    is_read: bool = False
    claimed_until: datetime | None = None


@dataclass(frozen=True)
class Trigger:
    """The event that caused a notification, with its time. `sequence` is its place among the events of the order."""

    kind: Kind
    event_id: str
    at: datetime
    order_id: str | None = None
    sequence: int = 0

    @property
    def notification_id(self) -> str:
        return notification_id(self.event_id, self.kind, self.at)


def reader_of_guest(order_id: str) -> str:
    """The id under which the guest of an order has notifications: those of this order alone."""
    return f"guest:{order_id}"


class NextStep(StrEnum):
    NOTHING = "nothing"  # it is sent, or never will be
    SEND = "send"
    WAIT = "wait"  # another invocation is sending it
    GIVE_UP = "give_up"  # it may have been sent, and must not be sent twice


def notification_id(event_id: str, kind: Kind, at: datetime) -> str:
    """The same event and kind always give the same id. Ids sort by the event's time (UUID version 8, RFC 9562)."""
    digest = hashlib.sha256(f"{len(event_id)}:{event_id}{kind}".encode()).digest()
    random_bits = int.from_bytes(digest[:10]) & (2**74 - 1)
    millis = int(at.timestamp() * 1000) & (2**48 - 1)
    value = millis << 80 | 0x8 << 76 | (random_bits >> 62) << 64 | 0b10 << 62 | random_bits & (2**62 - 1)
    return str(uuid.UUID(int=value))


def compose(contact: Contact, preferences: Preferences, trigger: Trigger, text: Text) -> Notification:
    is_mailed = preferences.wants_mail(trigger.kind)
    return Notification(
        notification_id=trigger.notification_id,
        user_id=contact.user_id,
        kind=trigger.kind,
        channel=Channel.EMAIL if is_mailed else Channel.IN_APP,
        # A listed notification counts as sent in the app.
        status=Status.PENDING if is_mailed else Status.SENT,
        subject=text.subject,
        body=text.body,
        order_id=trigger.order_id,
        created_at=trigger.at,
    )


def next_step(notification: Notification, now: datetime) -> NextStep:
    if notification.status in (Status.SENT, Status.FAILED):
        return NextStep.NOTHING
    if notification.status is Status.PENDING:
        return NextStep.SEND
    if notification.claimed_until is not None and now < notification.claimed_until:
        return NextStep.WAIT
    return NextStep.GIVE_UP if notification.kind in AT_MOST_ONCE else NextStep.SEND
