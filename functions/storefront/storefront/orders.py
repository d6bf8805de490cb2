"""Orders: the list, and each order's story, live, with what can still be done about it: paid, cancelled, returned.

An order that waits for its buyer shows what to do. The sandbox's bank is a page below its order, and leads back to it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import Field

from mercato.clock import utc_now
from pages import Form, InvalidForm, NoSuchPage, Page, Redirect, StoredFile, Visit
from pages.receipt import parts_of, receipt_of
from pages.returns import LOST, OPEN, ReturnForm, names_of, settled_of, typed_of
from pages.view import path_part, words
from pages.visitor import Part, part, parts, path
from storefront import catalogue
from storefront.cards import STRIPE_POLICY, cards_of
from storefront.pages import pages
from storefront.wiring import ports

_BANK = "/bank/"  # where the sandbox's bank asks the buyer
_ASKS = frozenset({"action_required", "declined"})  # states of a payment in which the shopper does something
# What the address says of the bank holds only in these states of the payment: the order goes on while the page is open.
_HOLDS = {"paying": frozenset({"processing"}), "confirmed": frozenset({"processing", "action_required"})}
_CANCELLED = frozenset({"cancelled", "refunded"})
_FINAL = frozenset({"delivered", "cancelled", "refunded"})
NOTICES = {
    "placed": "Thank you! Your order is placed.",
    "once": "This order was placed already. It is one order, and is paid once.",
    "cancelling": "Your order is being cancelled.",
    "paying": "Thank you. We are asking your bank.",
    "confirmed": "Thank you. We are asking your bank for its answer.",
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
    "payment_action_required": "Nothing is paid yet.",
    "payment_declined": "Nothing is paid yet. Your goods stay aside for a while.",
    "payment_attempted": "You answered. We are asking your bank.",
    "payment_captured": "Paid.",
    "confirmed": "Confirmed: the goods are yours, and the card is good.",
    "shipped": "On its way.",
    "delivered": "Delivered.",
    "cancelling": "Being cancelled: the parcel is stopped and the payment undone.",
    "cancelled": "Cancelled.",
    "refunded": "Refunded.",
    "return_requested": "A return was requested. We look at it.",
    "return_approved": "Please send the goods back to us.",
    "return_refused": "We cannot take these goods back.",
    "return_cancelled": "You keep the goods.",
    "return_received": "The goods are here again.",
    "needs_attention": "Held up: our staff look at it.",
}


_LOST = "Lost on the way. You have nothing to send back."


class Cancel(Form):
    reason: str = "other"
    key: Annotated[str, Field(min_length=8, max_length=64)]


class Pay(Form):
    payment_token: Annotated[str, Field(max_length=255)] = ""
    key: Annotated[str, Field(min_length=8, max_length=64)]


class Confirmed(Form):
    key: Annotated[str, Field(min_length=8, max_length=64)]


class BankAnswer(Form):
    outcome: Literal["confirmed", "refused"]


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
    ask = visit.visitor.get
    order = ask(path("orders", order_id))
    parcel, documents, pictures = parts(
        lambda: _parcel(visit, order),
        lambda: ask(path("documents", order_id=order_id))["items"],
        lambda: catalogue.pictures_of(visit, order["lines"]),
    )
    values = _values(order_id, order, parcel)
    visit.notice = visit.notice or notice_of(visit, NOTICES, values)
    values |= {"pictures": pictures.value, "documents": documents, "typed": typed_of(visit), "sent": sent_to(visit)}
    return Page("order.html", values, policy=policy_of(values))


def sent_to(visit: Visit) -> str:
    """The end of the address of a form that is shown again, such as cancel. Empty on the page itself."""
    return visit.request.path.rpartition("/")[2] if visit.request.method == "POST" else ""


def notice_of(visit: Visit, notices: Mapping[str, str], values: Mapping[str, Any]) -> str:
    """The sentence that the address asks for, and none about a payment or a cancellation that has gone on since."""
    said = visit.request.query.get("said", "")
    payment = values["payment"]
    if said in _HOLDS and (not payment or payment["state"] not in _HOLDS[said]):
        return ""
    if said == "cancelling" and values["order"]["status"] in _CANCELLED:
        return ""
    return notices.get(said, "")


def policy_of(values: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    """Stripe is let in while the shopper has to pay or to confirm."""
    return STRIPE_POLICY if values["stripe_key"] and values["payment"] else ()


@pages.get("/documents/{document_id}")
def open_document(visit: Visit, document_id: str) -> StoredFile:
    return StoredFile(visit.visitor.get(path("documents", document_id, "pdf"))["url"])


@pages.get("/orders/{order_id}/status")
def show_status(visit: Visit, order_id: str) -> Page:
    order = visit.visitor.get(path("orders", order_id))
    return status_of(visit, _values(order_id, order, part(lambda: _parcel(visit, order))))


def status_of(visit: Visit, values: dict[str, Any]) -> Page:
    """The part of the page that looks again by itself. Where the shopper has to pay or to confirm by now, can cancel no
    more, or nothing more will happen, the whole page is loaded again, for its forms, its receipt and its documents.
    """
    payment, asked = values["payment"], visit.request.query
    is_asked = payment and payment["state"] in _ASKS and payment["state"] != asked.get("seen", "")
    could_cancel = asked.get("can", "") == "cancel"
    if is_asked or (could_cancel and not values["can_cancel"]) or values["order"]["status"] in _FINAL:
        # The answer to a form cannot be loaded again: the browser would send the form once more.
        headers = {"HX-Redirect": values["here"]} if asked.get("sent", "") else {"HX-Refresh": "true"}
        return Page("status.html", values, headers=headers)
    return Page("status.html", values | {"sent": asked.get("sent", "")})


def _parcel(visit: Visit, order: Any) -> Any:
    shipment = order["shipment"]
    return visit.visitor.get(path("shipments", shipment["shipment_id"])) if shipment else None


def _values(order_id: str, order: Any, parcel: Part) -> dict[str, Any]:
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
        "files": "/documents",
        "parcel": Part(),
        "payment": _payment(order),
        **cards_of(ports().settings),
        "receipt": receipt_of(order["charges"], order["lines"]),
        "return_parts": {one["return_id"]: parts_of(one["charges"]) for one in order["returns"]},
        "story": _story_of(order),
        "next_look": _next_look(order),
        "can_cancel": order["status"] in ("pending", "confirmed"),
        "can_return": order["status"] == "delivered" and any(left.values()) and not is_over,
        "is_over": is_over,
        "open_returns": OPEN,
        "sent": "",  # the form that is shown again, by the end of its address
        "names": names_of(order),
        "settled": settled_of(order),
        "left": left,
        "reasons": list(REASONS.items()),
        "return_reasons": list(RETURN_REASONS.items()),
        "return_reason_texts": RETURN_REASONS,
    }


def _story_of(order: Any) -> list[dict[str, Any]]:
    """The timeline, each step with its `title` and `text`. Goods that staff settles as lost are lost in the moment in
    which they are noted as received.
    """
    settled = [one for one in order["returns"] if one["received"]]
    lost = {one["at"] for one in settled if one["reason"] == LOST}
    is_all_lost = len(lost) > 0 and all(one["reason"] == LOST for one in settled)

    def step_of(step: dict[str, Any]) -> dict[str, Any]:
        if step["status"] == "return_received" and (is_all_lost or step["at"] in lost):
            return step | {"title": "lost on the way", "text": _LOST}
        return step | {"title": words(step["status"]), "text": _STORY.get(step["status"], "")}

    return [step_of(step) for step in order["timeline"]]


def _payment(order: Any) -> dict[str, Any] | None:
    """What the shopper does about the payment: at the sandbox's bank, with Stripe's script, or with another card. No
    page of another site is led to.
    """
    found: dict[str, Any] | None = order.get("payment")
    if not found:
        return None
    action = found["action"] or {}
    seconds = (datetime.fromisoformat(found["until"]) - utc_now()).total_seconds()
    url = action.get("url", "")
    return found | {
        "charge": url.removeprefix(_BANK) if url.startswith(_BANK) else "",
        "client_secret": action.get("client_secret", ""),
        "minutes": max(0, math.ceil(seconds / 60)),
        "can_pay": found["state"] != "processing" and seconds > 0,
    }


@pages.post("/orders/{order_id}/payments", form=Pay, again=show_order)
def pay_again(visit: Visit, order_id: str, form: Pay) -> Redirect:
    visit.visitor.send("POST", path("orders", order_id, "payments"), card_of(form), key=form.key)
    return Redirect(f"/orders/{quote(order_id, safe='')}?said=paying")


def card_of(form: Pay) -> dict[str, str]:
    """Raises InvalidForm."""
    if not form.payment_token:
        raise InvalidForm({"payment_token": "Please say how you pay."})
    return {"payment_token": form.payment_token}


@pages.post("/orders/{order_id}/confirmation", form=Confirmed, again=show_order)
def confirm(visit: Visit, order_id: str, form: Confirmed) -> Redirect:
    """The shopper has confirmed the payment with the provider's script."""
    visit.visitor.send("POST", path("orders", order_id, "payments"), {}, key=form.key)
    return Redirect(f"/orders/{quote(order_id, safe='')}?said=confirmed")


@pages.get("/orders/{order_id}/bank/{charge_id}")
def show_bank(visit: Visit, order_id: str, charge_id: str) -> Page:
    """The sandbox's bank asks. Its answer leads back to the order."""
    return bank_of(charge_id, visit.visitor.get(path("orders", order_id)), f"/orders/{path_part(order_id)}")


def bank_of(charge_id: str, order: Any, here: str) -> Page:
    if ports().settings.payment_provider != "sandbox":
        raise NoSuchPage("There is no such page.")
    return Page("bank.html", {"charge_id": charge_id, "order": order, "here": here})


@pages.post("/orders/{order_id}/bank/{charge_id}", form=BankAnswer, again=show_bank)
def answer_bank(visit: Visit, order_id: str, charge_id: str, form: BankAnswer) -> Redirect:
    visit.visitor.send("POST", path("payments", "sandbox", "challenges", charge_id), {"outcome": form.outcome})
    return Redirect(f"/orders/{quote(order_id, safe='')}?said=confirmed")


def _next_look(order: Any) -> int:
    """Seconds until the page asks again: often while much happens; 0 where nothing will."""
    payment = order.get("payment")
    if order["status"] in _FINAL or (payment and payment["state"] == "declined"):
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
