"""The price of a shipment: a table by zone, with a surcharge per further item."""

from __future__ import annotations

from dataclasses import dataclass

from mercato.money import Money

CURRENCY = "GBP"

# fmt: off
_EUROPE = frozenset({
    "AD", "AT", "BE", "BG", "CH", "CY", "CZ", "DE", "DK", "EE", "ES", "FI", "FR", "GR", "HR", "HU", "IE", "IS",
    "IT", "LI", "LT", "LU", "LV", "MC", "MT", "NL", "NO", "PL", "PT", "RO", "SE", "SI", "SK", "SM", "VA",
})
# fmt: on


@dataclass(frozen=True)
class Tariff:
    """Prices in pence."""

    service: str
    first_item: int
    further_item: int
    days: int


_TARIFFS = {
    "domestic": (Tariff("standard", 395, 50, 3), Tariff("express", 695, 80, 1)),
    "europe": (Tariff("standard", 995, 150, 6), Tariff("express", 1895, 250, 3)),
    "world": (Tariff("standard", 1795, 350, 12), Tariff("express", 3495, 550, 5)),
}


@dataclass(frozen=True)
class Quote:
    carrier: str
    service: str
    price: Money
    days: int


def quote(country: str, items: int, carrier: str) -> list[Quote]:
    """`country` is ISO 3166-1 alpha-2; cheapest first."""
    zone = "domestic" if country == "GB" else "europe" if country in _EUROPE else "world"
    return [
        Quote(
            carrier,
            tariff.service,
            Money(amount=tariff.first_item + tariff.further_item * (items - 1), currency=CURRENCY),
            tariff.days,
        )
        for tariff in _TARIFFS[zone]
    ]
