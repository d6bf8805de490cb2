"""The parts of the service, each made from the environment at its first use."""

from __future__ import annotations

import functools

from checkout import quotes
from checkout.peers import Carriers, Carts, Catalogue, Promotions
from checkout.pricing import Terms
from checkout.store import Checkouts, TaxTables
from checkout.taxes import Rounding
from checkout.usecases import Till
from mercato.aws.secret import StoredSecret
from mercato.clock import utc_now
from mercato.config import load
from mercato.dataclass import dataclass
from mercato.peers.peer import peer
from mercato.store.dynamo import Table


@dataclass(frozen=True)
class Settings:
    """`prices_include_tax` is true or false, `tax_rounding` line or order. `country` is the seller's."""

    table_name: str
    quote_secret_id: str
    prices_include_tax: str = "true"
    tax_rounding: str = "line"
    country: str = "GB"


class Signatures:
    """Signs quotes with the stored secret."""

    def __init__(self, secret: StoredSecret) -> None:
        self._secret = secret

    def sign(self, quote: quotes.Quote) -> str:
        return quotes.sign(quote, self._secret.read(utc_now()))

    def read(self, token: str) -> quotes.Quote:
        """Reads the secret once more before a refusal, since it may have been rotated."""
        try:
            return quotes.read(token, self._secret.read(utc_now()))
        except quotes.InvalidQuote:
            self._secret.forget()
            return quotes.read(token, self._secret.read(utc_now()))


class Ports:
    @functools.cached_property
    def settings(self) -> Settings:
        return load(Settings)

    @functools.cached_property
    def table(self) -> Table:
        return Table(self.settings.table_name)

    @functools.cached_property
    def checkouts(self) -> Checkouts:
        return Checkouts(self.table)

    @functools.cached_property
    def taxes(self) -> TaxTables:
        return TaxTables(self.table)

    @functools.cached_property
    def carts(self) -> Carts:
        return Carts(peer("carts"))

    @functools.cached_property
    def till(self) -> Till:
        terms = Terms(self.settings.prices_include_tax == "true", Rounding(self.settings.tax_rounding))
        catalogue, carriers = Catalogue(peer("products")), Carriers(peer("shipping"))
        return Till(catalogue, carriers, self.taxes, terms, self.signatures, Promotions(peer("promotions")))

    @functools.cached_property
    def signatures(self) -> Signatures:
        return Signatures(StoredSecret(self.settings.quote_secret_id, "the quotes' secret"))


@functools.cache
def ports() -> Ports:
    return Ports()
