"""The parts of the service, made at first use from the environment."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from mercato.config import load
from mercato.store.dynamo import Table
from shipping.store import ShipmentStore


@dataclass(frozen=True)
class Settings:
    table_name: str


@functools.cache
def store() -> ShipmentStore:
    return ShipmentStore(Table(load(Settings).table_name))
