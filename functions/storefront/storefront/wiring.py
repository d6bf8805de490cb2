"""The parts of the site, each made from the environment at its first use."""

from __future__ import annotations

import functools
from typing import Any

from mercato.config import load
from mercato.dataclass import dataclass
from pages import SiteSettings


@dataclass(frozen=True)
class Settings(SiteSettings):
    """`payment_provider` decides how a card is taken; `currency` is that of the price filters. `country` is the
    seller's, for which a product's page quotes the delivery and with which an empty address begins. Without
    `sms_origination` the shop sends no text messages. With `cart_reminder_days` 0 it sends no reminders of carts.
    """

    payment_provider: str = "sandbox"
    stripe_publishable_key: str = ""
    currency: str = "GBP"
    country: str = "GB"
    sms_origination: str = ""
    cart_reminder_days: int = 0

    @property
    def offers_sms(self) -> bool:
        return bool(self.sms_origination)


class Ports:
    @functools.cached_property
    def settings(self) -> Settings:
        return load(Settings)

    @functools.cached_property
    def quotes(self) -> dict[int, dict[tuple[int, int, str], Any]]:
        """The quotes of one item's delivery by its weight and price, by the minute in which they were asked for."""
        return {}


@functools.cache
def ports() -> Ports:
    return Ports()
