"""The form of a return, which both sites have: how many units of each line of an order come back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import Field

from pages.app import Form, InvalidForm


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
    """By product, how many units of the order may still come back."""
    return {line["product_id"]: line["quantity"] - line["returned"] for line in order["lines"]}
