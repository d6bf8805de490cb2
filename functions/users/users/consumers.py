"""Sends the mails about accounts. They contain tokens, so this service sends them itself, and no event contains one.

Sending is at least once. The stored token names its event, so a duplicate event sends nothing.
"""

from __future__ import annotations

from mercato.aws.sending import LONGEST
from mercato.clock import utc_now
from mercato.events import Event, Reads, inbox
from mercato.events.consumer import Consumer
from users import recovery, texts
from users.one_time_token import Purpose
from users.wiring import ports

# A message that is begun with less may be cut off after its mail, which would then be sent twice.
consumer = Consumer("users", longest=LONGEST + 1.0)


class AboutUser(Reads):
    user_id: str


@consumer.on("user.registered", "user.verification_requested")
def send_verification(event: Event, data: AboutUser) -> None:
    _send_token(event, data, Purpose.VERIFY_EMAIL, texts.verification)


@consumer.on("user.password_reset_requested")
def send_reset(event: Event, data: AboutUser) -> None:
    _send_token(event, data, Purpose.RESET_PASSWORD, texts.reset)


@consumer.on("user.registration_repeated")
def mail_repeated_registration(event: Event, data: AboutUser) -> None:
    """Mails a reset link, since an owner who forgot the account has probably forgotten its password too."""
    _send_token(event, data, Purpose.RESET_PASSWORD, texts.account_exists)


@consumer.on("user.password_changed")
def warn_of_change(event: Event, data: AboutUser) -> None:
    """Marks the event after the mail, so only a crash in between mails twice."""
    to, now = ports(), utc_now()
    if not inbox.is_done(to.table, event.id, now):
        recovery.mail_password_changed(data.user_id, event.time, now, users=to.users, mailer=to.mailer)
        inbox.mark_done(to.table, event.id, utc_now())


def _send_token(event: Event, data: AboutUser, purpose: Purpose, write: texts.WriteMail) -> None:
    request = recovery.TokenRequest(data.user_id, purpose, event.id, event.time)
    recovery.send_token(request, write, ports(), utc_now())


handler = consumer.handler
