"""The parts of the service, each made from the environment at its first use."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from mercato.config import load
from mercato.dataclass import dataclass
from mercato.store.dynamo import Table
from products.store import Products

if TYPE_CHECKING:
    from products.bucket import Bucket
    from products.catalogue import Catalogue


@dataclass(frozen=True)
class Settings:
    """`currency` is the currency in which the shop sells. `console_url` is the origin to which an upload may return."""

    table_name: str
    currency: str = "GBP"
    media_bucket: str = ""
    console_url: str = ""


class Ports:
    @functools.cached_property
    def settings(self) -> Settings:
        return load(Settings)

    @functools.cached_property
    def table(self) -> Table:
        return Table(self.settings.table_name)

    @functools.cached_property
    def products(self) -> Products:
        return Products(self.table)

    @functools.cached_property
    def bucket(self) -> Bucket:
        from products.bucket import Bucket

        return Bucket(self.settings.media_bucket)

    @functools.cached_property
    def catalogue(self) -> Catalogue:
        from products.catalogue import Catalogue

        return Catalogue(self.table, self.products)


@functools.cache
def ports() -> Ports:
    return Ports()
