"""A receipt: charges as lines that add up to the total, with the tax inside them or added to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from typing import Any

from mercato.dataclass import dataclass


@dataclass(frozen=True)
class Row:
    """`amount` is {"amount": minor units, "currency": code}."""

    kind: str
    text: str
    amount: Mapping[str, Any]


@dataclass(frozen=True)
class Receipt:
    """`rows` are goods, discounts and delivery. Where `is_tax_added`, they are without tax, and `taxes` are further
    rows of the sum; else `taxes` say what the rows contain. `taxes` has one row per rate and place.
    """

    rows: list[Row]
    taxes: list[Row]
    is_tax_added: bool


def receipt_of(charges: Sequence[Mapping[str, Any]], lines: Iterable[Mapping[str, Any]]) -> Receipt:
    """`lines` have the prices as the catalogue states them: goods that cost more than these have their tax added."""
    prices = {line["product_id"]: line["unit_price"]["amount"] * line["quantity"] for line in lines}
    is_tax_added = any(
        one["kind"] == "goods" and prices.get(one["product_id"], one["amount"]["amount"]) < one["amount"]["amount"]
        for one in charges
    )
    rows = [Row(one["kind"], _text(one), _amount(one, is_tax_added)) for one in charges]
    taxes: dict[tuple[str, str], int] = {}
    for one in charges:
        key = one["rate"], one["jurisdiction"]
        taxes[key] = taxes.get(key, 0) + one["tax"]["amount"]
    currency = charges[0]["amount"]["currency"] if charges else ""
    return Receipt(
        rows,
        [
            Row("tax", f"Tax {percent(rate)}", {"amount": amount, "currency": currency})
            for (rate, _), amount in taxes.items()
            if amount
        ],
        is_tax_added,
    )


def parts_of(charges: Iterable[Mapping[str, Any]]) -> list[Row]:
    """The parts of a refund, each with its tax."""
    return [Row(one["kind"], _text(one), one["amount"]) for one in charges]


def percent(rate: str) -> str:
    """ "0.0875" is 8.75 %."""
    return f"{(Decimal(rate) * 100).normalize():f} %"


def _text(charge: Mapping[str, Any]) -> str:
    if charge["kind"] == "shipping":
        return f"Delivery, {charge['description'].lower()}"
    if charge["kind"] == "discount":
        return str(charge["description"])
    return f"{charge['quantity']} × {charge['description']}"


def _amount(charge: Mapping[str, Any], is_tax_added: bool) -> Mapping[str, Any]:
    tax = charge["tax"]["amount"] if is_tax_added else 0
    return {"amount": charge["amount"]["amount"] - tax, "currency": charge["amount"]["currency"]}
