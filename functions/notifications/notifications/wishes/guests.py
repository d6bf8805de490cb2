"""The use cases of guests' wishes: asked for with an e-mail address, confirmed by the link in a mail to it.

Until the link is used, nothing but that one mail is sent to the address. It is sent at most once, since a visitor who
gets none asks again, and one who has not asked must not get two. After that, a guest's wish is told as a customer's is.
"""

from __future__ import annotations

from datetime import datetime

from mercato.aws.sending import MessageNotSent, MessageRefused, MessageUncertain
from mercato.email_address import read_email
from mercato.errors import TransientError
from mercato.ids import new_id
from mercato.languages import Language
from mercato.telemetry.logs import log
from notifications import texts
from notifications.domain import ReaderGone, is_of_wish, reader_of_wish
from notifications.unsubscribing import UnknownLink
from notifications.usecases import forget_user
from notifications.wiring import Ports
from notifications.wishes.domain import Asked, InStock, UnknownProduct


def ask(email: str, product_id: str, language: Language | None, ports: Ports, now: datetime) -> None:
    """Has a mail sent to the address that asks to confirm. Raises InvalidEmail, UnknownProduct and InStock.

    Whether the address has an account, a wish or a stop makes no difference here.
    """
    address = read_email(email)
    product = ports.catalogue.look_up(product_id)
    if not product.is_sold:
        raise UnknownProduct(product_id)
    if product.available != 0:
        raise InStock(product_id)
    asked = Asked(new_id(now), address, product_id, product.name, language)
    if not ports.guest_wishes.ask(asked, now):
        log.info("no mail to confirm a wish: the address was asked too often today")


def mail_confirmation(wish_id: str, ports: Ports, now: datetime) -> None:
    """Mails the link that confirms the wish, at most once. Changes nothing once the wish is confirmed or ended.

    Raises TransientError if the mail was certainly not sent.
    """
    asked = ports.guest_wishes.find(wish_id, now)
    if asked is None or asked.is_confirmed:
        return
    if ports.stops.find(asked.email, now):
        log.info("no mail to confirm a wish: the address is stopped", extra={"wish_id": wish_id})
        return
    link = ports.confirming.make(reader_of_wish(wish_id))
    text = ports.write(texts.confirm_wish(asked.name, link), "", asked.language or ports.settings.language, now)
    claim = new_id(now)
    try:
        is_mine = ports.guest_wishes.claim_mail(wish_id, claim, now)
    except TransientError:  # the claim may be stored
        ports.guest_wishes.release_mail(wish_id, claim)
        raise
    if not is_mine:
        return
    try:
        ports.mailer.send(asked.email, text.subject, text.body)
    except MessageRefused:
        log.warning("SES refuses the mail that confirms a wish", extra={"wish_id": wish_id})
    except MessageUncertain:
        log.warning("the mail that confirms a wish may not have been sent", extra={"wish_id": wish_id})
    except MessageNotSent as error:
        ports.guest_wishes.release_mail(wish_id, claim)
        raise TransientError(f"AWS does not take the mail now: {error}") from error


def confirm(token: str, ports: Ports, now: datetime) -> Asked:
    """The owner of the address has opened the link. Idempotent. Raises UnknownLink, UnknownProduct and InStock."""
    asked = ports.guest_wishes.find(_wish_of(token, ports), now)
    if asked is None:
        raise UnknownLink
    if asked.is_confirmed:
        return asked
    product = ports.catalogue.look_up(asked.product_id)
    if not product.is_sold:
        raise UnknownProduct(asked.product_id)
    try:
        ports.guest_wishes.confirm(asked, is_sold_out=product.available == 0, now=now)
    except ReaderGone:
        raise UnknownLink from None
    return asked


def decline(token: str, ports: Ports, now: datetime) -> None:
    """Ends the wish, also a confirmed one, and forgets the address. Idempotent. Raises UnknownLink."""
    end(reader_of_wish(_wish_of(token, ports)), ports, now)


def end(reader: str, ports: Ports, now: datetime) -> None:
    """Ends the wish of that reader: no mail about it is sent any more. Idempotent."""
    forget_user(reader, ports, now, lambda: True)


def _wish_of(token: str, ports: Ports) -> str:
    reader = ports.confirming.read(token)
    if not is_of_wish(reader):
        raise UnknownLink
    return reader.partition(":")[2]
