"""The use cases of notifications.

An event makes at most one notification: its id is derived from the event, and it is written with the inbox marker. It
has an e-mail, and for those who asked for it a text message. Both are written in that transaction, each with a state of
its own, so that each is sent once whatever becomes of the other. A message is sent afterwards in three steps: claim it,
pass it to AWS, mark it sent with the event notification.sent. A redelivery of the event completes the missing steps.

AWS cannot be asked whether it has a message. After a crash or a lost response between passing and marking, the claim
remains. No attempt sends until the claim expires after 60 seconds. Then the kind decides. A mail about an order or
money is sent again: the only case in which a message can arrive twice. A welcome is given up: its event becomes a dead
letter, which raises the alarm. A text message is given up, too, and recorded as failed: its mail says the same.

A message is withheld where it has no use any more when it is to be sent, such as "on its way" after "delivered", and
where its reader has switched its kind off by then or the address is stopped. The app alone lists the notification then.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from mercato.aws.sending import MessageNotSent, MessageRefused, MessageUncertain
from mercato.errors import TransientError
from mercato.ids import new_id
from mercato.languages import Language
from mercato.phone_number import read_number
from mercato.telemetry.logs import log
from notifications import texts
from notifications.channels import MessageObsolete, Reader
from notifications.domain import (
    BY_SMS,
    CLAIM_LASTS,
    OVERTAKEN_BY_LATER,
    SWITCHABLE,
    Channel,
    Claim,
    Contact,
    MailGivenUp,
    NeededForOrder,
    NextStep,
    NotBySms,
    Notification,
    Preferences,
    SmsNotOffered,
    Switches,
    Trigger,
    compose,
    compose_sms,
    next_step,
)
from notifications.stops import Stop
from notifications.store import Listed, NotificationStore, NotWanted
from notifications.texts import Content
from notifications.wiring import Ports


def welcome_user(contact: Contact, trigger: Trigger, ports: Ports, now: datetime) -> None:
    """Stores the contact in the transaction that adds the welcome, then sends the welcome."""
    _, preferences = ports.store.find_reader(contact.user_id)
    text = ports.write(texts.welcome(), contact.name, ports.settings.language, now)
    notification = compose(contact, preferences, trigger, text)
    if not ports.store.add(notification, trigger.event_id, now, contact=contact):
        notification = ports.store.get_notification(contact.user_id, notification.notification_id)
    send(notification, contact, ports, now)


def notify_user(
    user_id: str, trigger: Trigger, content: Content, language: Language | None, ports: Ports, now: datetime
) -> None:
    """Adds a notification and sends it on each channel, in the order's `language`, or the shop's own.

    A channel that does not take its message now delays no other. Raises TransientError after all of them then.
    """
    contact, preferences = ports.store.find_reader(user_id)
    if contact is None:
        raise TransientError(f"the event with the address of {user_id} has not come yet")
    text = ports.write(content, contact.name, language or ports.settings.language, now)
    notification = compose(contact, preferences, trigger, text)
    sms = compose_sms(trigger, text, preferences, user_id) if ports.settings.offers_sms else None
    if not ports.store.add(notification, trigger.event_id, now, sms=sms):
        notification = ports.store.get_notification(user_id, notification.notification_id)
        sms = ports.store.find_sms(user_id, notification.notification_id) if trigger.kind in BY_SMS else None
    messages = [notification] if sms is None else [notification, sms]
    if _is_overtaken(trigger, ports):
        left = [message for message in messages if not ports.store.withhold(message, now)]
        if len(left) < len(messages):
            log.info("message withheld: the order is further along", extra={"kind": trigger.kind})
        messages = left
    late: list[TransientError] = []
    for message in messages:
        try:
            _send(message, Reader(contact, preferences), ports, now)
        except TransientError as error:
            late.append(error)
    if late:
        raise late[0]


def _is_overtaken(trigger: Trigger, ports: Ports) -> bool:
    if trigger.kind not in OVERTAKEN_BY_LATER or trigger.order_id is None:
        return False
    return ports.progress.is_after(trigger.order_id, trigger.sequence)


def send(notification: Notification, contact: Contact, ports: Ports, now: datetime) -> None:
    """Sends the notification's e-mail if it has one that is to be sent. Idempotent."""
    _send(notification, Reader(contact, Preferences()), ports, now)


def _send(message: Notification, reader: Reader, ports: Ports, now: datetime) -> None:
    store, channel = ports.store, {"kind": message.kind, "channel": message.channel}
    step = next_step(message, now)
    if step is NextStep.NOTHING:
        return
    if step is NextStep.WAIT:
        raise TransientError(f"{message.notification_id} is being sent by another attempt")
    sender = ports.senders.get(message.channel)
    to = sender.address_of(reader) if sender else ""
    if not sender or not to:
        store.withhold(message, now)
        log.info("message withheld: there is nowhere to send it", extra=channel)
        return
    if ports.stops.find(to, now) and store.withhold(message, now):
        log.info("message withheld: the address is stopped", extra=channel)
        return
    try:
        claim = _claim(message, to, store, now)
    except NotWanted:
        store.withhold(message, now)
        log.info("message withheld: it is switched off", extra=channel)
        return
    if step is NextStep.GIVE_UP:
        store.mark_failed(message, claim, "interrupted: it may have been sent, and is not sent twice", now)
        if message.channel is Channel.SMS:
            return
        raise MailGivenUp(message.kind)
    try:
        sender.send(to, message, now)
    except MessageRefused as refused:
        store.mark_failed(message, claim, str(refused), now)
        return
    except MessageObsolete:
        store.release(message, claim)
        store.withhold(message, now)
        log.info("message withheld: what it asks for is over", extra=channel)
        return
    except MessageNotSent as error:
        store.release(message, claim)
        raise TransientError(f"the {message.channel} cannot be sent now: {error}") from error
    except MessageUncertain as error:
        raise TransientError(f"AWS gave no answer, the claim stands: {error}") from error
    store.mark_sent(message, claim, now)
    said = "text message sent" if message.channel is Channel.SMS else "e-mail sent"
    log.info(said, extra={"kind": message.kind, "user_id": message.user_id})


def _claim(notification: Notification, to: str, store: NotificationStore, now: datetime) -> Claim:
    """Claims the message. After a lost response the claim may be stored, so it is released: the next delivery could not
    distinguish it from an attempt that was cut off while sending.
    """
    claim = Claim(new_id(now), now + CLAIM_LASTS)
    try:
        if store.claim(notification, to, claim, now):
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


def read_preferences(user_id: str, ports: Ports, now: datetime) -> tuple[Preferences, Stop | None, Stop | None]:
    """The switches, and why no mail goes to the user's address and no text message to the number, if one is stopped."""
    contact, preferences = ports.store.find_reader(user_id)
    of_mail = ports.stops.find(contact.email, now) if contact else None
    return preferences, of_mail, ports.stops.find(preferences.phone, now) if preferences.phone else None


def set_preferences(user_id: str, switches: Switches, ports: Ports) -> None:
    """Raises NeededForOrder for a kind of mail that has no switch, NotBySms for one that no text message tells,
    SmsNotOffered, InvalidNumber, NumberMissing.
    """
    for kind, is_on in switches.kinds.items():
        if kind not in SWITCHABLE and not is_on:
            raise NeededForOrder(kind)
    for kind, is_on in switches.sms.items():
        if kind not in BY_SMS and is_on:
            raise NotBySms(kind)
    if (switches.phone or any(switches.sms.values())) and not ports.settings.offers_sms:
        raise SmsNotOffered
    changes = Switches(
        email=switches.email,
        kinds={kind: is_on for kind, is_on in switches.kinds.items() if kind in SWITCHABLE},
        sms={kind: is_on for kind, is_on in switches.sms.items() if kind in BY_SMS},
        phone=read_number(switches.phone) if switches.phone else switches.phone,
    )
    ports.store.save_preferences(user_id, changes)
