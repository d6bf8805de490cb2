"""The parts of the service, made at first use from the environment."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from carts.store import Carts
from mercato.config import load
from mercato.store.dynamo import Table


@dataclass(frozen=True)
class Settings:
    """`currency`: that of an empty cart's total."""

    table_name: str
    currency: str = "GBP"


@functools.cache
def settings() -> Settings:
    return load(Settings)


@functools.cache
def table() -> Table:
    return Table(settings().table_name)


@functools.cache
def carts() -> Carts:
    return Carts(table())
