"""Orders of all customers: the list with its filters, and one order with all that is known of it and can be done."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from console.pages import pages
from mercato.money import InvalidAmount, Money
from pages import Form, InvalidForm, Page, Redirect, Refused, Visit
from pages.receipt import parts_of, percent
from pages.returns import ReturnForm, settled_of, typed_of, units_left
from pages.view import amounts, money
from pages.visitor import next_page, part, path, together

STATES = (
    "pending", "confirmed", "shipped", "delivered", "cancelling", "cancelled", "needs_attention", "refunded"
)  # fmt: skip
_FILTERS = ("state", "from", "to", "email", "number", "order_id", "min_total", "max_total")
_NOTICES = {
    "cancelling": "The order is being cancelled.",
    "returned": "The goods are settled, and the money goes back.",
    "refunded": "The refund is under way.",
}


class Key(Form):
    """`key` is the Idempotency-Key: a form that is sent twice takes effect once."""

    key: Annotated[str, Field(min_length=8, max_length=64)]


class Return(ReturnForm):
    """`undelivered` and `lost` are for the goods of a parcel that was given up."""

    reason: Literal["undelivered", "lost", "other"] = "other"


class Refund(Key):
    """`amount` is as people write it, such as 12.50."""

    payment_id: str
    amount: Annotated[str, Field(min_length=1, max_length=20)]
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    reason: Annotated[str, Field(min_length=3, max_length=200)]


@pages.get("/console/orders")
def show_orders(visit: Visit) -> Page:
    asked = {name: visit.request.query.get(name, "").strip()[:100] for name in _FILTERS}
    cursor = visit.request.query.get("cursor", "")
    try:
        found = visit.visitor.get(path("ops", "orders", **asked, cursor=cursor, limit=50))
    except Refused as refusal:
        if refusal.reply.status != 422:
            raise
        visit.errors = {"": refusal.reply.detail}
        found = {"items": [], "next_cursor": None}
    return Page(
        "orders.html",
        {
            "orders": found["items"],
            "asked": asked,
            "states": list(STATES),
            "next": next_page("/console/orders", found["next_cursor"], **asked),
        },
    )


@pages.get("/console/orders/{order_id}")
def show_order(visit: Visit, order_id: str) -> Page:
    visit.notice = visit.notice or _NOTICES.get(visit.request.query.get("said", ""), "")
    ask = visit.visitor.get
    history = ask(path("orders", order_id, "history"))
    order, facts = history["order"], history["facts"]
    wanted = visit.request.query.get("v", "")
    version = min(max(int(wanted), 1), order["version"]) if wanted.isdecimal() else order["version"]
    then, before, payment, shipment, documents = together(
        lambda: _state_at(visit, order_id, version, order),
        lambda: _state_at(visit, order_id, version - 1, order) if version > 1 else {},
        lambda: part(lambda: next(iter(ask(path("payments", order_id=order_id))["items"]), None)),
        lambda: part(lambda: next(iter(ask(path("shipments", order_id=order_id))["items"]), None)),
        lambda: part(lambda: ask(path("documents", order_id=order_id))["items"]),
    )
    is_given_up = bool(shipment.value) and shipment.value["status"] == "failed"
    has_left = is_given_up and shipment.value["has_left"]
    left = units_left(order)
    return Page(
        "order.html",
        {
            "order": order,
            "facts": facts,
            "rates": {one["rate"]: percent(one["rate"]) for one in order["charges"]},
            "version": version,
            "then": _told(then),
            "differences": _differences(before, then) if before else {},
            "payment": payment,
            "documents": documents,
            "shipment": shipment,
            "left": left,
            "settled": settled_of(order),
            "typed": typed_of(visit),
            "return_parts": {one["return_id"]: parts_of(one["charges"]) for one in order["returns"]},
            "is_given_up": is_given_up and any(left.values()) and order["status"] not in ("cancelled", "delivered"),
            # Of a parcel that is given up the page says more. Its service may be away, and then nothing is known of it.
            "is_parked": order["status"] == "needs_attention" and not is_given_up and not shipment.missing,
            "can_cancel": order["status"] in ("pending", "confirmed") or (is_given_up and not has_left),
            "refundable": _refundable(payment.value),
            "is_disputed": _is_disputed(payment.value),
            "uncredited": _uncredited(order, payment.value, documents.value or []),
            "can_return": (order["status"] == "delivered" or has_left) and any(left.values()),
            "return_reasons": [("undelivered", "They are back here"), ("lost", "They are lost")] if has_left else [],
        },
    )


def _is_disputed(payment: Any) -> bool:
    return bool(payment) and any(
        one["status"] == "open" for one in payment.get("disputes", [])
    )  # an earlier release has none


def _refundable(payment: Any) -> Any:
    """How much of the payment can be given back, beside the refunds that are under way. None where there is nothing."""
    if not payment or _is_disputed(payment):
        return None
    disputed = payment.get("disputed", {"amount": 0})
    pending = sum(one["amount"]["amount"] for one in payment["refunds"] if one["status"] == "pending")
    left = payment["captured"]["amount"] - payment["refunded"]["amount"] - pending - disputed["amount"]
    return {"amount": left, "currency": payment["captured"]["currency"]} if left > 0 else None


def _uncredited(order: Any, payment: Any, documents: list[Any]) -> Any:
    """What an invoice still says of goods that are cancelled or came back, since a lost dispute has paid them back in
    place of a refund, and only a refund has a credit note (docs/decisions/0282). None where there is nothing.
    """
    disputes = payment.get("disputes", []) if payment else []
    lost = sum(one["amount"]["amount"] for one in disputes if one["status"] == "lost")
    signs = {"invoice": 1, "credit_note": -1}
    invoiced = sum(signs.get(one["kind"], 0) * one["total"]["amount"] for one in documents)
    if order["status"] == "cancelled":
        undone = invoiced
    else:
        ended = [one for one in order["returns"] if one["refunded"]]
        undone = sum(one["amount"]["amount"] - one["refunded"]["amount"] for one in ended)
    due = min(lost, invoiced, undone)
    return {"amount": due, "currency": order["total"]["currency"]} if due > 0 else None


def _state_at(visit: Visit, order_id: str, version: int, order: Any) -> Any:
    if version >= order["version"]:
        return order
    return visit.visitor.get(path("orders", order_id, "history", version=version))["order"]


_TOLD = ("status", "payment_status", "payment_id", "reason", "detail")


def _told(order: Any) -> dict[str, str]:
    """What can change of an order, as texts, to be compared from one version to the next."""
    found = {name: str(order[name] or "none") for name in _TOLD}
    found["detail"] = amounts(found["detail"])
    found["refunded"] = money(order["refunded"])
    found["parcel"] = order["shipment"]["tracking_number"] if order["shipment"] else "none"
    found["returns"] = str(len(order["returns"]))
    return found


def _differences(before: Any, after: Any) -> dict[str, str]:
    """By name, what it was before, of all that has changed."""
    was, now = _told(before), _told(after)
    return {name: was[name] for name in now if was[name] != now[name]}


@pages.post("/console/orders/{order_id}/cancel", form=Key, again=show_order)
def cancel(visit: Visit, order_id: str, form: Key) -> Redirect:
    visit.visitor.send("POST", path("orders", order_id, "cancel"), {"reason": "other"}, key=form.key)
    return Redirect(f"/console/orders/{order_id}?said=cancelling")


@pages.post("/console/orders/{order_id}/returns", form=Return, again=show_order)
def return_goods(visit: Visit, order_id: str, form: Return) -> Redirect:
    body = {"lines": form.lines(), "reason": form.reason}
    made = visit.visitor.send("POST", path("orders", order_id, "returns"), body, key=form.key).body
    if made["status"] == "approved":
        return Redirect(f"/console/returns/{order_id}/{made['return_id']}?said=opened")
    return Redirect(f"/console/orders/{order_id}?said=returned")


@pages.post("/console/orders/{order_id}/refunds", form=Refund, again=show_order)
def refund(visit: Visit, order_id: str, form: Refund) -> Redirect:
    try:
        amount = Money.parse(form.amount, form.currency)
    except InvalidAmount as error:
        raise InvalidForm({"amount": f"{error}."}) from None
    body = {"amount": amount.model_dump(), "reason": form.reason}
    visit.visitor.send("POST", path("payments", form.payment_id, "refunds"), body, key=form.key)
    return Redirect(f"/console/orders/{order_id}?said=refunded")
