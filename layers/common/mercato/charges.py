"""A charge is one line of what a buyer pays: goods, a discount or shipping, with the tax that it contains.

All arithmetic is on integers of minor units. The sum of an order's charges is its total. Refunds take shares of the
charges as they were frozen in the order, so that the refunds of all pieces are exactly what was paid.
"""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from mercato.money import Money

# Four to six decimals, and no zeros after the fourth, so that equal rates are equal texts: 8.875 % is "0.08875".
RATE = r"^[0-9]\.[0-9]{4}([0-9]?[1-9])?$"


class Kind(StrEnum):
    GOODS = "goods"
    DISCOUNT = "discount"
    SHIPPING = "shipping"


class Charge(BaseModel):
    """`amount` is what the buyer pays, `tax` included; both are negative for a discount.

    A discount is divided over the goods that it makes cheaper, and `product_id` names them: it has their tax rate.
    Shipping has no `product_id`, and neither has its discount. `rate` is the tax rate as a decimal fraction, "0.2000"
    for 20 %. `jurisdiction` is the place whose tax it is: "GB", "US-CA".
    """

    model_config = ConfigDict(frozen=True, extra="forbid", defer_build=True)

    kind: Kind
    product_id: str | None = None
    description: str
    quantity: Annotated[int, Field(ge=1)]
    amount: Money
    tax: Money
    rate: Annotated[str, Field(pattern=RATE, examples=["0.2000"])]
    tax_class: str
    jurisdiction: str


def total_of(charges: Sequence[Charge]) -> Money:
    """The charges' sum. There is at least one charge, and all have one currency."""
    return Money.sum((charge.amount for charge in charges), charges[0].amount.currency)


def tax_of(charges: Sequence[Charge]) -> Money:
    return Money.sum((charge.tax for charge in charges), charges[0].amount.currency)


def allocate(amount: int, weights: Sequence[int]) -> list[int]:
    """Divides `amount` in proportion to `weights` by the largest remainder, so that the parts add up to it exactly.

    Of equal remainders the first gets the unit. Weights are 0 or more. Raises ValueError if `amount` is not 0 and all
    weights are.
    """
    if amount < 0:
        return [-part for part in allocate(-amount, weights)]
    whole = sum(weights)
    if not whole:
        if amount:
            raise ValueError(f"{amount} cannot be divided over weights that are all 0")
        return [0] * len(weights)
    parts = [amount * weight // whole for weight in weights]
    by_remainder = sorted(range(len(weights)), key=lambda place: -(amount * weights[place] % whole))
    for place in by_remainder[: amount - sum(parts)]:
        parts[place] += 1
    return parts


def refund_of(charges: Iterable[Charge], product_id: str, before: int, after: int) -> Charge:
    """The refund of the pieces `before` + 1 to `after` of a product, net of its discounts.

    It is the difference of two cumulative shares, each rounded down: the last piece takes the rest, and the refunds of
    all pieces add up to the product's charges, in any division.
    """
    parts = [charge for charge in charges if charge.product_id == product_id]
    goods = next(charge for charge in parts if charge.kind is Kind.GOODS)
    amount, tax = (
        _share(sum(part), after, goods.quantity) - _share(sum(part), before, goods.quantity)
        for part in zip(*((charge.amount.amount, charge.tax.amount) for charge in parts), strict=True)
    )
    currency = goods.amount.currency
    changed = {
        "quantity": after - before,
        "amount": Money(amount=amount, currency=currency),
        "tax": Money(amount=tax, currency=currency),
    }
    return goods.model_copy(update=changed)


def _share(amount: int, pieces: int, of: int) -> int:
    return amount * pieces // of
