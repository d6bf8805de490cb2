"""The parts of the service, made at first use from the environment."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from mercato.config import load
from mercato.store.dynamo import Table
from products.store import Products


@dataclass(frozen=True)
class Settings:
    """`currency`: the one that the shop sells in."""

    table_name: str
    currency: str = "GBP"


@functools.cache
def settings() -> Settings:
    return load(Settings)


@functools.cache
def table() -> Table:
    return Table(settings().table_name)


@functools.cache
def products() -> Products:
    return Products(table())
