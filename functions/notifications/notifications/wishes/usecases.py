"""The use cases of wishes.

An event that tells of more units opens a lot: as many wishes as units came in, the oldest first. Each wish of the lot
is replaced by its notification in one transaction, which also counts the lot down. So two deliveries of the event share
the lot, and a delivery after a crash goes on with what is left. Then the notification's e-mail is sent like any other.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from mercato.errors import TransientError
from mercato.telemetry.logs import log
from notifications import texts
from notifications.domain import Kind, ReaderGone, Trigger, compose
from notifications.usecases import send
from notifications.wiring import Ports
from notifications.wishes.domain import Level, Lot, UnknownProduct, Wish
from notifications.wishes.store import Told


def wish_for(user_id: str, product_id: str, ports: Ports, now: datetime) -> Wish:
    """Idempotent: an earlier wish stays as it is. Raises UnknownProduct, InStock, TooManyWishes, ReaderGone."""
    earlier = ports.wishes.get_wish(user_id, product_id)
    if earlier is not None:
        return earlier
    product = ports.catalogue.look_up(product_id)
    if not product.is_sold:
        raise UnknownProduct(product_id)
    wish = Wish(product_id, user_id, product.name, now)
    return ports.wishes.add(wish, is_sold_out=product.available == 0)


def drop_wish(user_id: str, product_id: str, ports: Ports) -> None:
    """Idempotent."""
    wish = ports.wishes.get_wish(user_id, product_id)
    if wish is not None:
        ports.wishes.remove(wish)


def follow_stock(level: Level, ports: Ports, now: datetime, has_time: Callable[[], bool]) -> bool:
    """Tells the customers whose wishes the event answers. Idempotent and resumable.

    Returns False if time runs out before the last. One e-mail that cannot be sent now delays no other; then raises
    TransientError, so that the event comes again after a pause. So it does where time runs out and no e-mail was sent.

    Each run looks again at the customers whose e-mail could not be sent. The others leave that list, so that no run
    spends its time on all that were told before.
    """
    lot = ports.wishes.follow_stock(level, now)
    if lot is None:
        return True
    late: list[TransientError] = []
    done = 0
    for user_id, notification_id in ports.wishes.list_told(level.product_id, level.event_id):
        if not has_time():
            return _go_on_later(done, late)
        done += _send_told(lot, user_id, notification_id, ports, now, late)
    left = lot.left
    for wish in ports.wishes.iterate(lot.product_id, now):
        if not left:
            break
        if not has_time():
            return _go_on_later(done, late)
        told = _tell(wish, lot, level.at, ports, now, late)
        if told is Told.USED_UP:
            break
        left -= told is Told.NOW
        done += told is Told.NOW
    if late:
        raise late[-1]
    return True


def _go_on_later(done: int, late: list[TransientError]) -> bool:
    """Returns False. Raises TransientError if the run has got nowhere: the next one, without a pause, would not either,
    and no count would end such runs.
    """
    if late and not done:
        raise late[-1]
    return False


def _tell(wish: Wish, lot: Lot, at: datetime, ports: Ports, now: datetime, late: list[TransientError]) -> Told:
    try:
        contact, preferences = ports.store.find_reader(wish.user_id)
    except ReaderGone:
        return Told.GONE
    if contact is None:
        late.append(TransientError(f"user.registered of {wish.user_id} has not come yet"))
        return Told.GONE
    link = ports.address_of(f"/p/{wish.product_id}")
    language = (wish.guest and wish.guest.language) or ports.settings.language
    text = ports.write(texts.back_in_stock(wish.name, link), contact.name, language, now)
    # One event causes many notifications, each with an id of its own.
    trigger = Trigger(Kind.BACK_IN_STOCK, f"{lot.event_id}:{wish.user_id}", at)
    notification = compose(contact, preferences, trigger, text)
    told = ports.wishes.tell(wish, lot, notification, now)
    if told is Told.NOW:
        _send_told(lot, wish.user_id, notification.notification_id, ports, now, late)
    return told


def _send_told(
    lot: Lot, user_id: str, notification_id: str, ports: Ports, now: datetime, late: list[TransientError]
) -> bool:
    """Takes the customer off the list of those who are told and have no e-mail yet. False if it cannot be sent now."""
    try:
        contact, _ = ports.store.find_reader(user_id)
        if contact is not None:
            send(ports.store.get_notification(user_id, notification_id), contact, ports, now)
    except ReaderGone:
        pass  # the customer has left, and needs no e-mail
    except TransientError as error:
        log.warning("e-mail of a wish not sent yet", extra={"user_id": user_id, "reason": str(error)})
        late.append(error)
        return False
    ports.wishes.forget_told(lot.product_id, lot.event_id, user_id)
    return True
