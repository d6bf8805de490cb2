"""The parts of the service, each made from the environment at its first use."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mercato.config import load
from mercato.store.dynamo import Table
from notifications.store import NotificationStore

if TYPE_CHECKING:
    from mercato.aws.mail import Mailer
    from notifications.progress import Progress
    from notifications.wishes.catalogue import Catalogue
    from notifications.wishes.store import WishStore


@dataclass(frozen=True)
class Settings:
    table_name: str


@dataclass(frozen=True)
class MailSettings:
    """For the consumer, which alone sends e-mail. The links in it lead to `shop_url`."""

    from_address: str
    mail_configuration_set: str
    shop_url: str


class Ports:
    @functools.cached_property
    def table(self) -> Table:
        return Table(load(Settings).table_name)

    @functools.cached_property
    def store(self) -> NotificationStore:
        return NotificationStore(self.table)

    @functools.cached_property
    def wishes(self) -> WishStore:
        from notifications.wishes.store import WishStore

        return WishStore(self.table, self.store)

    @functools.cached_property
    def progress(self) -> Progress:
        from notifications.progress import Progress

        return Progress(self.table)

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
    def mail_settings(self) -> MailSettings:
        return load(MailSettings)


@functools.cache
def ports() -> Ports:
    return Ports()
