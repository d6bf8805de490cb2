"""The form of a return, which both sites have: how many units of each line of an order come back, and the return's
lines as people read them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from pages.app import Form, InvalidForm, Visit, values_of

OPEN = frozenset({"requested", "approved"})
LOST = "lost"  # the reason of a return whose goods never come back


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


def settled_of(order: Mapping[str, Any]) -> dict[str, str]:
    """By product with units that are settled, how they are: "1 returned, 2 lost on the way and refunded"."""
    lost, repaid = Counter[str](), Counter[str]()
    for made in order["returns"]:
        if made["reason"] == LOST:
            units = Counter({line["product_id"]: line["quantity"] for line in made["received"]})
            (repaid if made["refunded"] and made["refunded"]["amount"] else lost).update(units)
    found = {}
    for line in order["lines"]:
        gone, paid = lost[line["product_id"]], repaid[line["product_id"]]
        parts = (
            (line["returned"] - gone - paid, "returned"),
            (paid, "lost on the way and refunded"),
            (gone, "lost on the way"),
        )
        found[line["product_id"]] = ", ".join(f"{units} {what}" for units, what in parts if units > 0)
    return {product_id: told for product_id, told in found.items() if told}


def typed_of(visit: Visit, field: str = "quantity") -> dict[str, str]:
    """By product, what was typed into this field of the form that is shown again."""
    return dict(zip(values_of(visit, "product"), values_of(visit, field), strict=False))


def names_of(order: Mapping[str, Any]) -> dict[str, str]:
    """By product, the name under which it was ordered."""
    return {line["product_id"]: line["name"] for line in order["lines"]}
