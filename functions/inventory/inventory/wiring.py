"""The parts of the service, each made from the environment at its first use."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from inventory.domain import LOW_AT
from inventory.store import InventoryStore
from mercato.config import load
from mercato.dataclass import dataclass
from mercato.store.dynamo import Table

if TYPE_CHECKING:
    from inventory.expiry import Expiries


@dataclass(frozen=True)
class Settings:
    """`low_stock_threshold` applies to all products. A new value takes effect at each product's next movement."""

    table_name: str
    low_stock_threshold: int = LOW_AT


class Ports:
    @functools.cached_property
    def settings(self) -> Settings:
        return load(Settings)

    @functools.cached_property
    def table(self) -> Table:
        return Table(self.settings.table_name)

    @functools.cached_property
    def store(self) -> InventoryStore:
        return InventoryStore(self.table, self.settings.low_stock_threshold)

    @functools.cached_property
    def expiries(self) -> Expiries:
        from inventory.expiry import Expiries

        return Expiries(self.table)


@functools.cache
def ports() -> Ports:
    return Ports()
