"""The form of a return, which both sites have: how many units of each line of an order come back, and the return's
lines as people read them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from pages.app import Form, InvalidForm, Visit, values_of

OPEN = frozenset({"requested", "approved"})


class ReturnForm(Form):
    """`product` and `quantity` are parallel: one of each for every line."""

    product: list[str]
    quantity: list[Annotated[int, Field(ge=0, le=999)]]
    key: Annotated[str, Field(min_length=8, max_length=64)]

    def lines(self) -> list[dict[str, Any]]:
        """The lines with units, as the API takes them. Raises InvalidForm where there is none."""
        if len(self.product) != len(self.quantity):
            raise InvalidForm({"": "The form is not whole. Please fill it in again."})
        pairs = zip(self.product, self.quantity, strict=True)
        found = [{"product_id": product, "quantity": quantity} for product, quantity in pairs if quantity]
        if not found:
            raise InvalidForm({"quantity": "Please say how many of which item come back."})
        return found


def units_left(order: Mapping[str, Any]) -> dict[str, int]:
    """By product, how many units of the order neither came back nor are in an open return."""
    left = {line["product_id"]: line["quantity"] - line["returned"] for line in order["lines"]}
    for made in order["returns"]:
        for line in made["lines"] if made["status"] in OPEN else ():
            left[line["product_id"]] = left.get(line["product_id"], 0) - line["quantity"]
    return {product_id: max(0, units) for product_id, units in left.items()}


def typed_of(visit: Visit, field: str = "quantity") -> dict[str, str]:
    """By product, what was typed into this field of the form that is shown again."""
    return dict(zip(values_of(visit, "product"), values_of(visit, field), strict=False))


def names_of(order: Mapping[str, Any]) -> dict[str, str]:
    """By product, the name under which it was ordered."""
    return {line["product_id"]: line["name"] for line in order["lines"]}
