"""Notifications, their channels and states, and which messages may be sent twice."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Mapping
from dataclasses import field
from datetime import datetime, timedelta
from enum import StrEnum

from mercato.dataclass import dataclass
from mercato.errors import Conflict, Invalid, NotFound
from mercato.languages import Language


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
    SMS = "sms"


class Status(StrEnum):
    PENDING = "pending"  # written, and to be sent
    SENDING = "sending"  # claimed: an attempt is running, or was cut off
    SENT = "sent"
    FAILED = "failed"
    WITHHELD = "withheld"  # a text message that was no longer wanted when it was to be sent


# SES has no idempotency key, so after a cut-off attempt it is unknown whether the mail was sent. Mails about money or
# goods are then sent again, since twice is better than never. A welcome and a reminder of a cart are not, nor is a text
# message: its mail says the same, and each costs money.
AT_MOST_ONCE = frozenset({Kind.WELCOME, Kind.ABANDONED_CART})

# What a text message can tell, to those who have asked for it. Each costs money, also where its reader roams.
BY_SMS = (Kind.ORDER_SHIPPED, Kind.ORDER_DELIVERED)

# What an order can do without. Its reader switches each of these off, also by one click in the mail. All other mails
# about an order have what its buyer must know or keep.
SWITCHABLE = (Kind.ORDER_SHIPPED, Kind.ORDER_DELIVERED, Kind.BACK_IN_STOCK, Kind.ABANDONED_CART)

# Mails that say what an order waits for, or what comes next. They are not sent once the order is further along.
OVERTAKEN_BY_LATER = frozenset({Kind.PAYMENT_AWAITED, Kind.ORDER_SHIPPED})

# Longer than an invocation lives, and shorter than the queue hides a message, so a redelivery finds the claim expired.
CLAIM_LASTS = timedelta(seconds=60)


@dataclass(frozen=True)
class Claim:
    """The right of one attempt to send one message. The id distinguishes attempts of the same second."""

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


class NotBySms(Invalid):
    """The shop sends no text messages of this kind."""

    def __init__(self, kind: Kind) -> None:
        super().__init__(f"Notifications of the kind {kind} are not sent as text messages.", kind=kind)


class SmsNotOffered(Invalid):
    """The shop sends no text messages."""

    def __init__(self) -> None:
        super().__init__("This shop sends no text messages.")


class NumberMissing(Invalid):
    """Text messages were switched on, and there is no number to send them to."""

    def __init__(self) -> None:
        super().__init__("Text messages need a phone number: send it as `phone`.")


@dataclass(frozen=True)
class Preferences:
    """`email` is the switch of all mails that an order can do without, `kinds` has that of each such kind; on where
    none is stored. Without a mail, the app still lists the notification.

    `sms` has the switch of each kind of text message, off where none is stored; `phone` is the number for them, in
    E.164 format, or empty.
    """

    email: bool = True
    kinds: Mapping[Kind, bool] = field(default_factory=dict)
    sms: Mapping[Kind, bool] = field(default_factory=dict)
    phone: str = ""

    def wants_mail(self, kind: Kind) -> bool:
        return kind not in SWITCHABLE or (self.email and self.kinds.get(kind, True))

    def wants_sms(self, kind: Kind) -> bool:
        return kind in BY_SMS and bool(self.phone) and self.sms.get(kind, False)


@dataclass(frozen=True)
class Switches:
    """A change of preferences. `email` is None to leave the switch of all mails as it is. `kinds` and `sms` have the
    switches to change. `phone` is None to leave the number as it is, and empty to remove it.
    """

    email: bool | None = None
    kinds: Mapping[Kind, bool] = field(default_factory=dict)
    sms: Mapping[Kind, bool] = field(default_factory=dict)
    phone: str | None = None


@dataclass(frozen=True)
class Text:
    """`sms` is the same as a text message, for the kinds that have one."""

    subject: str
    body: str
    sms: str = ""
    language: Language = Language.EN


@dataclass(frozen=True)
class Notification:
    """What the app lists, and its e-mail. With the channel SMS, its text message, which has a state of its own."""

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
    language: Language = Language.EN


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


_WISHER = "wish:"


def reader_of_wish(wish_id: str) -> str:
    """The id under which a guest who waits for a product is told of it: a reader of this one message."""
    return f"{_WISHER}{wish_id}"


def is_of_wish(reader: str) -> bool:
    return reader.startswith(_WISHER)


_OF_CART = "cart:"


def reader_of_cart(guest_id: str) -> str:
    """The id under which a guest is reminded of a cart: a reader of this one message."""
    return f"{_OF_CART}{guest_id}"


def is_of_cart(reader: str) -> bool:
    return reader.startswith(_OF_CART)


def is_of_one_message(reader: str) -> bool:
    """Such a reader has no list, and its items expire."""
    return is_of_wish(reader) or is_of_cart(reader)


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
        language=text.language,
    )


def compose_sms(trigger: Trigger, text: Text, preferences: Preferences, user_id: str) -> Notification | None:
    """The text message of a notification, if its reader has asked for those of this kind."""
    if not text.sms or not preferences.wants_sms(trigger.kind):
        return None
    return Notification(
        notification_id=trigger.notification_id,
        user_id=user_id,
        kind=trigger.kind,
        channel=Channel.SMS,
        status=Status.PENDING,
        subject="",
        body=text.sms,
        order_id=trigger.order_id,
        created_at=trigger.at,
        language=text.language,
    )


def next_step(notification: Notification, now: datetime) -> NextStep:
    if notification.status in (Status.SENT, Status.FAILED, Status.WITHHELD):
        return NextStep.NOTHING
    if notification.status is Status.PENDING:
        return NextStep.SEND
    if notification.claimed_until is not None and now < notification.claimed_until:
        return NextStep.WAIT
    is_once = notification.channel is Channel.SMS or notification.kind in AT_MOST_ONCE
    return NextStep.GIVE_UP if is_once else NextStep.SEND
