"""The parts of the service, each made from the environment at its first use."""

from __future__ import annotations

import functools

from mercato.config import load
from mercato.dataclass import dataclass
from mercato.store.dynamo import Table
from promotions.store import Claims, Coupons, Guesses


@dataclass(frozen=True)
class Settings:
    table_name: str


class Ports:
    @functools.cached_property
    def settings(self) -> Settings:
        return load(Settings)

    @functools.cached_property
    def table(self) -> Table:
        return Table(self.settings.table_name)

    @functools.cached_property
    def coupons(self) -> Coupons:
        return Coupons(self.table)

    @functools.cached_property
    def claims(self) -> Claims:
        return Claims(self.table)

    @functools.cached_property
    def guesses(self) -> Guesses:
        return Guesses(self.table)


@functools.cache
def ports() -> Ports:
    return Ports()
