"""The channels on which a message reaches its reader outside the app: e-mail and text messages, behind one port."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from mercato.aws.mail import Mailer
from mercato.aws.sending import LONGEST, MessageNotSent
from mercato.aws.sms import SmsOptedOut, Texter
from mercato.dataclass import dataclass
from mercato.errors import TransientError
from mercato.invocation import deadline
from notifications import texts
from notifications.domain import SWITCHABLE, Channel, Contact, Notification, Preferences
from notifications.order_links import NoLink, OrderLinks
from notifications.stops import Reason, Stop, Stops
from notifications.unsubscribing import Links, Unsubscription, WaysBack


@dataclass(frozen=True)
class Reader:
    contact: Contact
    preferences: Preferences


class MessageObsolete(Exception):
    """The message was not sent: what it tells or asks for is over."""


class Sender(Protocol):
    """`send` raises what mercato.aws.sending lists, and MessageObsolete."""

    def address_of(self, reader: Reader) -> str:
        """Where the message goes; empty if there is nowhere."""

    def send(self, to: str, message: Notification, now: datetime) -> None: ...


class ByEmail:
    def __init__(self, mailer: Mailer, unsubscribing: Links, order_links: OrderLinks, ways_back: WaysBack) -> None:
        self._mailer = mailer
        self._unsubscribing = unsubscribing
        self._order_links = order_links
        self._ways_back = ways_back

    def address_of(self, reader: Reader) -> str:
        return reader.contact.email

    def send(self, to: str, message: Notification, now: datetime) -> None:
        try:
            link, body = self._way_out(message), self._with_links(message)
        except TransientError as error:  # nothing was sent, so the mail is not to be given up
            raise MessageNotSent(f"a link of the mail cannot be made: {error}") from error
        _require_time()
        self._mailer.send(to, message.subject, texts.with_way_out(body, link, message.language), link)

    def _way_out(self, message: Notification) -> str:
        """The link that ends the mails of its kind, if they can be switched off."""
        if message.kind not in SWITCHABLE:
            return ""
        return self._unsubscribing.make(Unsubscription(message.user_id, message.kind))

    def _with_links(self, message: Notification) -> str:
        """The body, with the link for a guest where it goes."""
        if texts.WAY_BACK in message.body:
            return message.body.replace(texts.WAY_BACK, self._ways_back.make(message.user_id))
        if texts.ORDER_LINK not in message.body or message.order_id is None:
            return message.body
        try:
            link = self._order_links.give(message.order_id, message.notification_id)
        except NoLink:
            raise MessageObsolete from None
        return message.body.replace(texts.ORDER_LINK, link)


class BySms:
    def __init__(self, texter: Texter, stops: Stops) -> None:
        self._texter = texter
        self._stops = stops

    def address_of(self, reader: Reader) -> str:
        return reader.preferences.phone

    def send(self, to: str, message: Notification, now: datetime) -> None:
        """Stops the number once AWS says that its owner has opted out."""
        _require_time()
        try:
            self._texter.send(to, message.body)
        except SmsOptedOut:
            self._stops.stop(Stop(to, Reason.OPTED_OUT, "", now))
            raise


Senders = dict[Channel, Sender]


def _require_time() -> None:
    """Raises MessageNotSent where the invocation may end before AWS answers: the message might then be sent twice."""
    if deadline.left() < LONGEST:
        raise MessageNotSent("too little is left of the invocation's time to wait for AWS's answer")
