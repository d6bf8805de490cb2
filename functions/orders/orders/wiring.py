"""The parts of the service, each made from the environment at its first use."""

from __future__ import annotations

import functools
from datetime import timedelta
from typing import TYPE_CHECKING

from mercato.config import load
from mercato.dataclass import dataclass
from mercato.store.dynamo import Table
from orders.store import OrderStore

if TYPE_CHECKING:
    from mercato.aws.mail import Mailer
    from orders.checkouts import Quotes
    from orders.customers import Customers
    from orders.day_sums import DaySums
    from orders.returns import Terms
    from orders.workflow import OrderSaga, WaitingSagas


@dataclass(frozen=True)
class Settings:
    table_name: str


@dataclass(frozen=True)
class ReturnSettings:
    """Of the API only. `return_approval` is `staff` or `automatic`."""

    return_window_days: int = 30
    return_approval: str = "staff"


@dataclass(frozen=True)
class SagaSettings:
    """Only the consumer starts workflows."""

    state_machine_arn: str


@dataclass(frozen=True)
class MailSettings:
    """Only the consumer sends mail. `shop_url` is where a guest's link leads."""

    from_address: str
    mail_configuration_set: str
    shop_url: str


class Ports:
    @functools.cached_property
    def table(self) -> Table:
        return Table(load(Settings).table_name)

    @functools.cached_property
    def orders(self) -> OrderStore:
        return OrderStore(self.table)

    @functools.cached_property
    def return_terms(self) -> Terms:
        from orders.returns import Approval, Terms

        settings = load(ReturnSettings)
        return Terms(timedelta(days=settings.return_window_days), Approval(settings.return_approval))

    @functools.cached_property
    def day_sums(self) -> DaySums:
        from orders.day_sums import DaySums

        return DaySums(self.table)

    @functools.cached_property
    def quotes(self) -> Quotes:
        from mercato.peers.peer import peer
        from orders.checkouts import Quotes

        return Quotes(peer("checkout"))

    @functools.cached_property
    def customers(self) -> Customers:
        from mercato.peers.peer import peer
        from orders.customers import Customers

        return Customers(peer("users"))

    @functools.cached_property
    def mail(self) -> MailSettings:
        return load(MailSettings)

    @functools.cached_property
    def mailer(self) -> Mailer:
        from mercato.aws.mail import SesMailer

        return SesMailer(self.mail.from_address, self.mail.mail_configuration_set)

    @functools.cached_property
    def sagas(self) -> WaitingSagas:
        from orders.workflow import WaitingSagas

        return WaitingSagas()

    @functools.cached_property
    def workflows(self) -> OrderSaga:
        from orders.workflow import OrderSaga

        return OrderSaga(load(SagaSettings).state_machine_arn)


@functools.cache
def ports() -> Ports:
    return Ports()
