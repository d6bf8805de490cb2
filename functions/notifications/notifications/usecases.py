"""The use cases of notifications.

An event makes at most one notification: its id is derived from the event, and it is written with the inbox marker. Its
e-mail is sent afterwards in three steps: claim it, pass it to SES, mark it sent with the event notification.sent. A
redelivery of the event completes the missing steps.

SES cannot be asked whether it has a message. After a crash or a lost response between passing and marking, the claim
remains. No attempt sends until the claim expires after 60 seconds. Then the kind decides. A mail about an order or
money is sent again: the only case in which a mail can arrive twice. A welcome is given up: its event becomes a dead
letter, which raises the alarm.

An e-mail is withheld where it has no use any more when it is to be sent, such as "on its way" after "delivered", and
where its reader has switched its kind off by then or the address is stopped. The app alone lists the notification then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from mercato.aws.mail import MailNotSent, MailRefused, MailUncertain
from mercato.errors import TransientError
from mercato.ids import new_id
from mercato.telemetry.logs import log
from notifications import texts
from notifications.domain import (
    CLAIM_LASTS,
    OVERTAKEN_BY_LATER,
    SWITCHABLE,
    Claim,
    Contact,
    MailGivenUp,
    NeededForOrder,
    NextStep,
    Notification,
    Preferences,
    Text,
    Trigger,
    compose,
    next_step,
)
from notifications.stops import Stop
from notifications.store import Listed, NotificationStore, NotWanted
from notifications.unsubscribing import Unsubscription
from notifications.wiring import Ports


def welcome_user(contact: Contact, trigger: Trigger, text: Text, ports: Ports, now: datetime) -> None:
    """Stores the contact in the transaction that adds the welcome, then sends the welcome."""
    _, preferences = ports.store.find_reader(contact.user_id)
    notification = compose(contact, preferences, trigger, text)
    if not ports.store.add(notification, trigger.event_id, now, contact=contact):
        notification = ports.store.get_notification(contact.user_id, notification.notification_id)
    send(notification, contact, ports, now)


def notify_user(user_id: str, trigger: Trigger, write: Callable[[str], Text], ports: Ports, now: datetime) -> None:
    """Adds a notification and sends it. `write` makes the text for the contact's name."""
    contact, preferences = ports.store.find_reader(user_id)
    if contact is None:
        raise TransientError(f"the event with the address of {user_id} has not come yet")
    notification = compose(contact, preferences, trigger, write(contact.name))
    if not ports.store.add(notification, trigger.event_id, now):
        notification = ports.store.get_notification(user_id, notification.notification_id)
    if _is_overtaken(trigger, ports) and ports.store.withhold(notification, now):
        log.info("e-mail withheld: the order is further along", extra={"kind": trigger.kind})
        return
    send(notification, contact, ports, now)


def _is_overtaken(trigger: Trigger, ports: Ports) -> bool:
    if trigger.kind not in OVERTAKEN_BY_LATER or trigger.order_id is None:
        return False
    return ports.progress.is_after(trigger.order_id, trigger.sequence)


def send(notification: Notification, contact: Contact, ports: Ports, now: datetime) -> None:
    """Sends the notification's e-mail if it has one that is to be sent. Idempotent."""
    store = ports.store
    step = next_step(notification, now)
    if step is NextStep.NOTHING:
        return
    if step is NextStep.WAIT:
        raise TransientError(f"{notification.notification_id} is being sent by another attempt")
    if ports.stops.find(contact.email, now) and store.withhold(notification, now):
        log.info("e-mail withheld: the address is stopped", extra={"kind": notification.kind})
        return
    try:
        claim = _claim(notification, store, now)
    except NotWanted:
        store.withhold(notification, now)
        log.info("e-mail withheld: it is switched off", extra={"kind": notification.kind})
        return
    if step is NextStep.GIVE_UP:
        store.mark_failed(notification, claim, "interrupted: it may have been sent, and is not sent twice", now)
        raise MailGivenUp(notification.kind)
    link = ""
    if notification.kind in SWITCHABLE:
        link = ports.unsubscribing.make(Unsubscription(notification.user_id, notification.kind))
    try:
        ports.mailer.send(contact.email, notification.subject, texts.with_way_out(notification.body, link), link)
    except MailRefused as refused:
        store.mark_failed(notification, claim, str(refused), now)
        return
    except MailNotSent as error:
        store.release(notification, claim)
        raise TransientError(f"SES does not take mail now: {error}") from error
    except MailUncertain as error:
        raise TransientError(f"SES gave no answer, the claim stands: {error}") from error
    store.mark_sent(notification, claim, now)
    log.info("e-mail sent", extra={"kind": notification.kind, "user_id": notification.user_id})


def _claim(notification: Notification, store: NotificationStore, now: datetime) -> Claim:
    """Claims the e-mail. After a lost response the claim may be stored, so it is released: the next delivery could not
    distinguish it from an attempt that was cut off while sending.
    """
    claim = Claim(new_id(now), now + CLAIM_LASTS)
    try:
        if store.claim(notification, claim, now):
            return claim
    except TransientError:
        store.release(notification, claim)
        raise
    raise TransientError(f"{notification.notification_id} is being sent by another attempt")


def forget_user(user_id: str, ports: Ports, now: datetime, has_time: Callable[[], bool]) -> bool:
    """Erases a closed account. Idempotent and resumable; returns False if time runs out before the end."""
    ports.store.close_account(user_id, now)
    return ports.wishes.remove_of(user_id, has_time) and ports.store.erase(user_id, has_time)


def list_notifications(
    user_id: str, *, unread: bool, limit: int, cursor: str | None, store: NotificationStore
) -> Listed:
    return store.list_page(user_id, unread=unread, limit=limit, cursor=cursor)


def mark_read(user_id: str, notification_id: str, *, store: NotificationStore) -> None:
    store.mark_read(user_id, notification_id)


def read_preferences(user_id: str, ports: Ports, now: datetime) -> tuple[Preferences, Stop | None]:
    """The switches, and why no mail goes to the user's address, if it is stopped."""
    contact, preferences = ports.store.find_reader(user_id)
    return preferences, ports.stops.find(contact.email, now) if contact else None


def set_preferences(user_id: str, preferences: Preferences, *, store: NotificationStore) -> Preferences:
    """Raises NeededForOrder for a kind that has no switch."""
    for kind, is_on in preferences.kinds.items():
        if kind not in SWITCHABLE and not is_on:
            raise NeededForOrder(kind)
    switched = {kind: is_on for kind, is_on in preferences.kinds.items() if kind in SWITCHABLE}
    return store.save_preferences(user_id, replace(preferences, kinds=switched))
