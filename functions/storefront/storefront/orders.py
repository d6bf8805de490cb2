"""Orders: the list, and each order's story, live, with what can still be done about it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from pydantic import Field

from mercato.clock import utc_now
from pages import Form, Page, Redirect, Visit
from pages.receipt import parts_of, receipt_of
from pages.returns import OPEN, ReturnForm, names_of
from pages.view import path_part
from pages.visitor import Part, part, path
from storefront import catalogue
from storefront.pages import pages

_FINAL = frozenset({"delivered", "cancelled", "refunded"})
_NOTICES = {
    "placed": "Thank you! Your order is placed.",
    "once": "This order was placed already. It is one order, and is paid once.",
    "cancelling": "Your order is being cancelled.",
    "returned": "Your return is noted. You read here and by e-mail how it goes on.",
    "kept": "Your return is cancelled: you keep the goods.",
}
REASONS = {
    "changed_mind": "I changed my mind",
    "ordered_by_mistake": "I ordered by mistake",
    "found_cheaper": "I found it cheaper",
    "too_slow": "It takes too long",
    "other": "Another reason",
}
RETURN_REASONS = {
    "changed_mind": "I changed my mind",
    "damaged": "It arrived damaged",
    "not_as_described": "It is not as described",
    "wrong_item": "It is the wrong item",
    "other": "Another reason",
}
_STORY = {
    "pending": "Placed. We are putting your goods aside and asking your bank.",
    "confirmed": "Confirmed: the goods are yours, and the card is good.",
    "shipped": "On its way.",
    "delivered": "Delivered.",
    "cancelling": "Being cancelled: the parcel is stopped and the payment undone.",
    "cancelled": "Cancelled.",
    "refunded": "Refunded.",
    "return_requested": "You asked to return goods. We look at it.",
    "return_approved": "Please send the goods back to us.",
    "return_refused": "We cannot take these goods back.",
    "return_cancelled": "You keep the goods.",
    "return_received": "The goods are here again.",
    "needs_attention": "Held up: our staff look at it.",
}


class Cancel(Form):
    reason: str = "other"
    key: Annotated[str, Field(min_length=8, max_length=64)]


class Return(ReturnForm):
    reason: str = "other"


class CancelReturn(Form):
    key: Annotated[str, Field(min_length=8, max_length=64)]


@pages.get("/orders")
def show_orders(visit: Visit) -> Page:
    cursor = visit.request.query.get("cursor", "")
    return Page("orders.html", {"orders": visit.visitor.get(path("orders", limit=20, cursor=cursor))})


@pages.get("/orders/{order_id}")
def show_order(visit: Visit, order_id: str) -> Page:
    visit.notice = visit.notice or _NOTICES.get(visit.request.query.get("said", ""), "")
    values = _values(visit, order_id)
    return Page("order.html", values | {"pictures": catalogue.pictures_of(visit, values["order"]["lines"])})


@pages.get("/orders/{order_id}/status")
def show_status(visit: Visit, order_id: str) -> Page:
    return Page("status.html", _values(visit, order_id))


def _values(visit: Visit, order_id: str) -> dict[str, Any]:
    order = visit.visitor.get(path("orders", order_id))
    shipment = order["shipment"]
    parcel = part(lambda: visit.visitor.get(path("shipments", shipment["shipment_id"])) if shipment else None)
    return values_of(order, f"/orders/{path_part(order_id)}") | {"parcel": parcel}


def values_of(order: Any, here: str) -> dict[str, Any]:
    """What the page of an order shows. `here` is the page's address, below which its forms are sent."""
    left = {line["product_id"]: line["returnable"] for line in order["lines"]}
    until = order["return_until"]
    is_over = bool(until) and datetime.fromisoformat(until) <= utc_now()
    return {
        "order": order,
        "here": here,
        "is_guests": False,
        "parcel": Part(),
        "receipt": receipt_of(order["charges"], order["lines"]),
        "return_parts": {one["return_id"]: parts_of(one["charges"]) for one in order["returns"]},
        "story": _STORY,
        "next_look": _next_look(order),
        "can_cancel": order["status"] in ("pending", "confirmed"),
        "can_return": order["status"] == "delivered" and any(left.values()) and not is_over,
        "is_over": is_over,
        "open_returns": OPEN,
        "names": names_of(order),
        "left": left,
        "reasons": list(REASONS.items()),
        "return_reasons": list(RETURN_REASONS.items()),
        "return_reason_texts": RETURN_REASONS,
    }


def _next_look(order: Any) -> int:
    """Seconds until the page asks again: often while much happens; 0 where nothing will."""
    if order["status"] in _FINAL:
        return 0
    age = (utc_now() - datetime.fromisoformat(order["updated_at"])).total_seconds()
    return 2 if age < 60 else 5 if age < 600 else 15


@pages.post("/orders/{order_id}/cancel", form=Cancel, again=show_order)
def cancel(visit: Visit, order_id: str, form: Cancel) -> Redirect:
    reason = form.reason if form.reason in REASONS else "other"
    visit.visitor.send("POST", path("orders", order_id, "cancel"), {"reason": reason}, key=form.key)
    return Redirect(f"/orders/{order_id}?said=cancelling")


@pages.post("/orders/{order_id}/returns", form=Return, again=show_order)
def return_goods(visit: Visit, order_id: str, form: Return) -> Redirect:
    reason = form.reason if form.reason in RETURN_REASONS else "other"
    visit.visitor.send(
        "POST", path("orders", order_id, "returns"), {"lines": form.lines(), "reason": reason}, key=form.key
    )
    return Redirect(f"/orders/{order_id}?said=returned")


def _show_order_again(visit: Visit, order_id: str, return_id: str) -> Page:
    return show_order(visit, order_id)


@pages.post("/orders/{order_id}/returns/{return_id}/cancel", form=CancelReturn, again=_show_order_again)
def cancel_return(visit: Visit, order_id: str, return_id: str, form: CancelReturn) -> Redirect:
    visit.visitor.send("POST", path("orders", order_id, "returns", return_id, "cancel"), key=form.key)
    return Redirect(f"/orders/{order_id}?said=kept")
