"""The parts of the service, each made from the environment at its first use."""

from __future__ import annotations

import functools
from datetime import datetime
from typing import TYPE_CHECKING

from mercato.config import load
from mercato.dataclass import dataclass
from mercato.languages import Language
from mercato.store.dynamo import Table
from notifications.store import NotificationStore

if TYPE_CHECKING:
    from mercato.aws.mail import Mailer
    from mercato.aws.secret import StoredSecret
    from mercato.aws.sms import Texter
    from notifications.channels import Senders
    from notifications.domain import Text
    from notifications.guest_carts import GuestCarts
    from notifications.order_links import OrderLinks
    from notifications.progress import Progress
    from notifications.reminders import Shopping
    from notifications.stops import Stops
    from notifications.texts import Content
    from notifications.unsubscribing import Confirmations, Links, WaysBack
    from notifications.wishes.catalogue import Catalogue
    from notifications.wishes.guest_store import GuestWishStore
    from notifications.wishes.store import WishStore
    from notifications.wordings import Wordings


@dataclass(frozen=True)
class Settings:
    """`unsubscribe_secret_id` names the secret that signs the links, `shop_url` is where they lead. `sms_origination`
    is the phone number, pool or sender id of text messages; empty where the shop sends none.
    """

    table_name: str
    unsubscribe_secret_id: str
    shop_url: str
    sms_origination: str = ""
    default_language: str = Language.EN

    @property
    def language(self) -> Language:
        """Of the messages about an order whose buyer named none, and of those about no order."""
        return Language(self.default_language)

    @property
    def offers_sms(self) -> bool:
        return bool(self.sms_origination)


@dataclass(frozen=True)
class MailSettings:
    """For the consumer, which alone sends e-mail. A cart that has not changed for `cart_reminder_days` is worth a mail;
    with 0, none is.
    """

    from_address: str
    mail_configuration_set: str
    cart_reminder_days: int = 1


class Ports:
    @functools.cached_property
    def settings(self) -> Settings:
        return load(Settings)

    @functools.cached_property
    def table(self) -> Table:
        return Table(self.settings.table_name)

    def address_of(self, page: str) -> str:
        """The address of a page of the storefront, such as /cart."""
        return f"{self.settings.shop_url.rstrip('/')}{page}"

    @functools.cached_property
    def _link_secret(self) -> StoredSecret:
        from mercato.aws.secret import StoredSecret

        return StoredSecret(self.settings.unsubscribe_secret_id, "the secret of the links in mails")

    @functools.cached_property
    def unsubscribing(self) -> Links:
        from notifications.unsubscribing import Links

        return Links(self._link_secret, self.address_of("/unsubscribe/"))

    @functools.cached_property
    def confirming(self) -> Confirmations:
        from notifications.unsubscribing import Confirmations

        return Confirmations(self._link_secret, self.address_of("/wish/"))

    @functools.cached_property
    def ways_back(self) -> WaysBack:
        from notifications.unsubscribing import WaysBack

        return WaysBack(self._link_secret, self.address_of("/cart/back/"))

    @functools.cached_property
    def order_links(self) -> OrderLinks:
        from mercato.peers.peer import peer
        from notifications.order_links import OrderLinks

        return OrderLinks(peer("orders"), self._link_secret, self.address_of)

    @functools.cached_property
    def store(self) -> NotificationStore:
        return NotificationStore(self.table)

    @functools.cached_property
    def wordings(self) -> Wordings:
        from notifications.wordings import Wordings

        return Wordings(self.table)

    def write(self, content: Content, reader: str, language: Language, now: datetime) -> Text:
        """The message in the words that staff has given it."""
        from notifications import texts

        return texts.write(content, reader, language, self.wordings.recent(content.name, language, now))

    @functools.cached_property
    def wishes(self) -> WishStore:
        from notifications.wishes.store import WishStore

        return WishStore(self.table, self.store)

    @functools.cached_property
    def guest_wishes(self) -> GuestWishStore:
        from notifications.wishes.guest_store import GuestWishStore

        return GuestWishStore(self.table, self.wishes)

    @functools.cached_property
    def guest_carts(self) -> GuestCarts:
        from notifications.guest_carts import GuestCarts

        return GuestCarts(self.table)

    @functools.cached_property
    def progress(self) -> Progress:
        from notifications.progress import Progress

        return Progress(self.table)

    @functools.cached_property
    def stops(self) -> Stops:
        from notifications.stops import Stops

        return Stops(self.table)

    @functools.cached_property
    def catalogue(self) -> Catalogue:
        from mercato.peers.peer import peer
        from notifications.wishes.catalogue import Catalogue

        return Catalogue(peer("products"))

    @functools.cached_property
    def mailer(self) -> Mailer:
        from mercato.aws.mail import SesMailer

        settings = self.mail_settings
        return SesMailer(settings.from_address, settings.mail_configuration_set)

    @functools.cached_property
    def texter(self) -> Texter:
        from mercato.aws.sms import EndUserMessaging

        return EndUserMessaging(self.settings.sms_origination)

    @property
    def senders(self) -> Senders:
        from notifications.channels import ByEmail, BySms
        from notifications.domain import Channel

        found: Senders = {Channel.EMAIL: ByEmail(self.mailer, self.unsubscribing, self.order_links, self.ways_back)}
        if self.settings.offers_sms:
            found[Channel.SMS] = BySms(self.texter, self.stops)
        return found

    @functools.cached_property
    def mail_settings(self) -> MailSettings:
        return load(MailSettings)

    @functools.cached_property
    def shopping(self) -> Shopping:
        from mercato.peers.peer import peer
        from notifications.reminders import Shopping

        return Shopping(peer("carts"), peer("orders"))


@functools.cache
def ports() -> Ports:
    return Ports()
