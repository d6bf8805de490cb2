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


@dataclass(frozen=True)
class Settings:
    table_name: str


@dataclass(frozen=True)
class MailSettings:
    """For the consumer, which alone sends e-mail."""

    from_address: str
    mail_configuration_set: str


class Ports:
    @functools.cached_property
    def store(self) -> NotificationStore:
        return NotificationStore(Table(load(Settings).table_name))

    @functools.cached_property
    def mailer(self) -> Mailer:
        from mercato.aws.mail import SesMailer

        settings = load(MailSettings)
        return SesMailer(settings.from_address, settings.mail_configuration_set)


@functools.cache
def ports() -> Ports:
    return Ports()
