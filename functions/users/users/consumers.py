"""The mails about accounts. They hold tokens, so this service sends them itself and no event carries them.

Sending is at least once. The stored token names the event it was made for, so that a second delivery sends nothing.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from mercato import config
from mercato.aws.mail import Mailer, SesMailer
from mercato.clock import utc_now
from mercato.events import Event, Reads, inbox
from mercato.events.consumer import Consumer
from mercato.store.dynamo import Table
from users import recovery, texts
from users.one_time_store import OneTimeStore
from users.one_time_token import Purpose
from users.store import UserStore

consumer = Consumer("users")


@dataclass(frozen=True)
class Settings:
    table_name: str
    from_address: str
    shop_url: str


@dataclass(frozen=True)
class Ports:
    users: UserStore
    tokens: OneTimeStore
    mailer: Mailer
    shop_url: str
    table: Table


@functools.cache
def ports() -> Ports:
    settings = config.load(Settings)
    table = Table(settings.table_name)
    return Ports(UserStore(table), OneTimeStore(table), SesMailer(settings.from_address), settings.shop_url, table)


class AboutUser(Reads):
    user_id: str


@consumer.on("user.registered", "user.verification_requested")
def send_verification(event: Event, data: AboutUser) -> None:
    _send_token(event, data, Purpose.VERIFY_EMAIL, texts.verification)


@consumer.on("user.password_reset_requested")
def send_reset(event: Event, data: AboutUser) -> None:
    _send_token(event, data, Purpose.RESET_PASSWORD, texts.reset)


@consumer.on("user.registration_repeated")
def tell_of_account(event: Event, data: AboutUser) -> None:
    """Whoever has forgotten that there is an account has forgotten its password, too."""
    _send_token(event, data, Purpose.RESET_PASSWORD, texts.account_exists)


@consumer.on("user.password_changed")
def warn_of_change(event: Event, data: AboutUser) -> None:
    """Marked after the mail: only a consumer that dies in between mails again."""
    to, now = ports(), utc_now()
    if not inbox.is_done(to.table, event.id, now):
        recovery.tell_password_changed(data.user_id, event.time, now, users=to.users, mailer=to.mailer)
        inbox.mark_done(to.table, event.id, utc_now())


def _send_token(event: Event, data: AboutUser, purpose: Purpose, write: texts.WriteMail) -> None:
    to = ports()
    recovery.send_token(
        data.user_id,
        purpose,
        write,
        event.id,
        event.time,
        utc_now(),
        users=to.users,
        tokens=to.tokens,
        mailer=to.mailer,
        shop_url=to.shop_url,
    )


handler = consumer.handler
