"""The parts of the service, each made from the environment at its first use."""

from __future__ import annotations

import functools
from datetime import timedelta
from typing import TYPE_CHECKING

from carts.store import Carts
from mercato.config import load
from mercato.dataclass import dataclass
from mercato.store.dynamo import Table

if TYPE_CHECKING:
    from carts.catalogue import Catalogue
    from carts.idle import IdleCarts


@dataclass(frozen=True)
class Settings:
    """`currency` is the currency of an empty cart's total."""

    table_name: str
    currency: str = "GBP"


@dataclass(frozen=True)
class SweepSettings:
    """For the sweeper. After `cart_reminder_days` a cart is published as abandoned; after one day where it is 0."""

    cart_reminder_days: int = 1


class Ports:
    @functools.cached_property
    def settings(self) -> Settings:
        return load(Settings)

    @functools.cached_property
    def table(self) -> Table:
        return Table(self.settings.table_name)

    @functools.cached_property
    def carts(self) -> Carts:
        return Carts(self.table)

    @functools.cached_property
    def abandoned_after(self) -> timedelta:
        return timedelta(days=load(SweepSettings).cart_reminder_days or 1)

    @functools.cached_property
    def idle_carts(self) -> IdleCarts:
        from carts.idle import IdleCarts

        return IdleCarts(self.table)

    @functools.cached_property
    def catalogue(self) -> Catalogue:
        from carts.catalogue import Catalogue
        from mercato.peers.peer import peer

        return Catalogue(peer("products"))


@functools.cache
def ports() -> Ports:
    return Ports()
