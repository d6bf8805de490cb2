"""Registers the wholesaler's customers as accounts of the shop, and makes up what the file does not have of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from infra.operator.client import Json, Session, Shop
from infra.replay.countries import HOME, name_of
from infra.replay.parallel import each
from infra.replay.plan import Plan
from mercato.addresses import rules_of

WALK_IN = "walk-in"


def join_all(
    shop: Shop, plan: Plan, concurrency: int, done: Callable[[Any], Any] = lambda _: None
) -> dict[str, Session]:
    """Registers or logs in one account per customer of the plan who needs one.

    A continued run uses the accounts of the interrupted run.
    """

    def join(customer: str) -> Session:
        name = f"Customer {customer}" if customer else "Walk-in customer"
        return shop.join(email_of(customer, plan.run), f"balanced books {plan.run} {customer or WALK_IN}", name)

    customers = plan.accounts
    return dict(zip(customers, each(join, customers, concurrency, done), strict=True))


def email_of(customer: str, run: str) -> str:
    return f"{f'c{customer}' if customer else WALK_IN}-{run}@replay.example"


def address_of(customer: str, country: str) -> Json:
    """An address in `country`, an ISO 3166-1 code. The file has no addresses, only countries."""
    rules = rules_of(country)
    return {
        "name": f"Customer {customer}" if customer else "Walk-in customer",
        "line1": "1 Replay Street",
        "city": "London" if country == HOME else name_of(country),
        "postcode": "EC1A 1BB" if country == HOME else rules.example,
        "region": rules.regions[0].stored if rules.region == "required" else None,
        "country": country,
    }
