"""The channels on which a message reaches its reader outside the app: e-mail and text messages, behind one port."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from mercato.aws.mail import Mailer
from mercato.aws.sms import SmsOptedOut, Texter
from notifications import texts
from notifications.domain import SWITCHABLE, Channel, Contact, Notification, Preferences
from notifications.stops import Reason, Stop, Stops
from notifications.unsubscribing import Links, Unsubscription


@dataclass(frozen=True)
class Reader:
    contact: Contact
    preferences: Preferences


class Sender(Protocol):
    """`send` raises what mercato.aws.sending lists."""

    def address_of(self, reader: Reader) -> str:
        """Where the message goes; empty if there is nowhere."""

    def send(self, to: str, message: Notification, now: datetime) -> None: ...


class ByEmail:
    def __init__(self, mailer: Mailer, unsubscribing: Links) -> None:
        self._mailer = mailer
        self._unsubscribing = unsubscribing

    def address_of(self, reader: Reader) -> str:
        return reader.contact.email

    def send(self, to: str, message: Notification, now: datetime) -> None:
        link = ""
        if message.kind in SWITCHABLE:
            link = self._unsubscribing.make(Unsubscription(message.user_id, message.kind))
        self._mailer.send(to, message.subject, texts.with_way_out(message.body, link, message.language), link)


class BySms:
    def __init__(self, texter: Texter, stops: Stops) -> None:
        self._texter = texter
        self._stops = stops

    def address_of(self, reader: Reader) -> str:
        return reader.preferences.phone

    def send(self, to: str, message: Notification, now: datetime) -> None:
        """Stops the number once AWS says that its owner has opted out."""
        try:
            self._texter.send(to, message.body)
        except SmsOptedOut:
            self._stops.stop(Stop(to, Reason.OPTED_OUT, "", now))
            raise


Senders = dict[Channel, Sender]
