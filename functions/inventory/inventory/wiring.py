"""What the environment says, and the store made of it at first use, so that importing a handler needs neither."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from inventory.domain import LOW_AT
from inventory.store import InventoryStore
from mercato import config
from mercato.store.dynamo import Table


@dataclass(frozen=True)
class Settings:
    """`low_stock_threshold` is one for all functions; a new one takes effect at each product's next movement."""

    table_name: str
    low_stock_threshold: int = LOW_AT


@functools.cache
def table() -> Table:
    return Table(config.load(Settings).table_name)


@functools.cache
def store() -> InventoryStore:
    return InventoryStore(table(), config.load(Settings).low_stock_threshold)
