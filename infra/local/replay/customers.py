"""The wholesaler's customers, as accounts of the shop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from infra.local.parallel import each
from infra.local.replay.plan import Plan
from infra.local.shop import Json, Session, Shop

WALK_IN = "walk-in"

_COUNTRIES = {
    "Australia": "AU",
    "Austria": "AT",
    "Bahrain": "BH",
    "Belgium": "BE",
    "Brazil": "BR",
    "Canada": "CA",
    "Channel Islands": "JE",
    "Cyprus": "CY",
    "Czech Republic": "CZ",
    "Denmark": "DK",
    "EIRE": "IE",
    "Finland": "FI",
    "France": "FR",
    "Germany": "DE",
    "Greece": "GR",
    "Hong Kong": "HK",
    "Iceland": "IS",
    "Israel": "IL",
    "Italy": "IT",
    "Japan": "JP",
    "Lebanon": "LB",
    "Lithuania": "LT",
    "Malta": "MT",
    "Netherlands": "NL",
    "Norway": "NO",
    "Poland": "PL",
    "Portugal": "PT",
    "RSA": "ZA",
    "Saudi Arabia": "SA",
    "Singapore": "SG",
    "Spain": "ES",
    "Sweden": "SE",
    "Switzerland": "CH",
    "USA": "US",
    "United Arab Emirates": "AE",
    "United Kingdom": "GB",
}
# "Unspecified" and "European Community" are in the data; the wholesaler itself is British.
_HOME = "GB"


def join_all(
    shop: Shop, plan: Plan, concurrency: int, done: Callable[[Any], Any] = lambda _: None
) -> dict[str, Session]:
    """One account per customer of the plan, and one for all walk-ins. Accounts of an interrupted run are used again."""

    def join(customer: str) -> Session:
        name = f"Customer {customer}" if customer else "Walk-in customer"
        return shop.join(email_of(customer, plan.run), f"balanced books {plan.run} {customer or WALK_IN}", name)

    customers = plan.customers
    return dict(zip(customers, each(join, customers, concurrency, done), strict=True))


def email_of(customer: str, run: str) -> str:
    return f"{f'c{customer}' if customer else WALK_IN}-{run}@replay.example"


def address_of(customer: str, country: str) -> Json:
    """The file has no addresses, only countries."""
    return {
        "name": f"Customer {customer}" if customer else "Walk-in customer",
        "line1": "1 Replay Street",
        "city": "London" if country_code(country) == _HOME else country,
        "postcode": "EC1A 1BB",
        "country": country_code(country),
    }


def country_code(country: str) -> str:
    return _COUNTRIES.get(country, _HOME)
