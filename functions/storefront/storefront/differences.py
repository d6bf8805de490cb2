"""What has changed since a shopper saw a quote, in words: as it was, and as it is."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mercato.dataclass import dataclass
from pages.receipt import percent
from pages.view import counted, money, words

# Why a code takes nothing off any more, by the reason that the API states.
_CODES = {
    "changed": "takes off another amount",
    "expired": "not valid any more",
    "exhausted": "used as often as it may be",
    "used-up": "used by you as often as it may be",
    "below-minimum": "for orders of more goods",
}


@dataclass(frozen=True)
class Row:
    what: str
    was: str
    is_now: str


def rows_of(
    differences: Iterable[Mapping[str, Any]], checkout: Mapping[str, Any], seen: int | None = None
) -> list[Row]:
    """One row for each difference that the API states, and the total if it is not `seen`, in minor units, any more."""
    names = {line["product_id"]: line["name"] for line in checkout["lines"]}
    notices = {one["product_id"]: one["detail"] for one in checkout["notices"]}
    found = list(differences)
    total = checkout["totals"]["total"] if checkout["totals"] and checkout["quote"] else None
    if total and seen is not None and seen != total["amount"] and all(one["what"] != "total" for one in found):
        found.append({"what": "total", "was": total | {"amount": seen}, "is_now": total, "product_id": None})
    return [_row(one, names, notices) for one in found]


def _row(one: Mapping[str, Any], names: Mapping[str, str], notices: Mapping[str, str]) -> Row:
    what, was, now, product_id = one["what"], one["was"], one["is_now"], one["product_id"]
    name = names.get(product_id, "An item") if product_id else "The order"
    match what:
        case "price":
            return Row(f"{name}, each", money(was), money(now))
        case "product":
            return Row(name, f"{was} in your order", notices.get(product_id, "not for sale any more"))
        case "stock":
            return Row(name, f"{was} in your order", f"{now} in stock")
        case "tax":
            return Row(f"Tax on {name if product_id else 'delivery'}", percent(was), percent(now))
        case "days":
            return Row("Delivery takes", counted(was, "day"), counted(now, "day"))
        case "shipping" | "discount" | "total":
            label = {"shipping": "Delivery", "discount": "Discount", "total": "Total"}[what]
            return Row(label, _money(was), _money(now))
        case "coupon":
            return Row(f"Code {was}", "in your order", _CODES.get(now, "takes nothing off any more"))
        case "checkout":
            return Row("Your checkout", "as you saw it", "changed in another window" if now else "over")
        case _:
            return Row(words(what).capitalize(), _text(was), _text(now))


def _money(value: Mapping[str, Any] | None) -> str:
    return money(value) if value else "none"


def _text(value: Any) -> str:
    return "" if value is None else str(value)
