"""The order of a guest, opened by its secret link. The link's token is in a cookie, and in no address of ours."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from pages import Form, InvalidForm, NoSuchPage, Page, Redirect, Refused, StoredFile, Visit
from pages.returns import typed_of
from pages.view import path_part
from pages.visitor import Part, part, parts, path
from storefront import catalogue, notices, orders
from storefront.pages import pages

HERE = "/guest-order"
_NOTICES = {
    "placed": "Thank you! Your order is placed. We mail you a link to it.",
    "untexted": "Thank you! Your order is placed. We could not note your phone number: please give it again below.",
    "switched": "Your switches are kept.",
    "once": "This order was placed already. It is one order, and is paid once.",
    "mailed": "This was ordered already. The link to the order is in your mail.",
    "paying": orders.NOTICES["paying"],
    "confirmed": orders.NOTICES["confirmed"],
    "cancelling": "Your order is being cancelled.",
    "returned": "Your return is noted.",
    "kept": "Your return is cancelled: you keep the goods.",
    "closed": "This device has forgotten the order. The link in your mail still opens it.",
}


# The kinds of messages about one order that have a switch, in the guest's words.
_KINDS = {"order_shipped": "a parcel that is on its way", "order_delivered": "a parcel that has arrived"}


class Open(Form):
    token: Annotated[str, Field(min_length=1, max_length=200)]


def is_known(visit: Visit, order_id: str) -> bool:
    """Whether this browser has the link of that order."""
    if not visit.visitor.order_token:
        return False
    found = part(lambda: _load(visit)).value
    return bool(found) and found["order_id"] == order_id


def _load(visit: Visit) -> Any:
    """By the link alone, also for who has logged in. Raises Refused (404) where it opens nothing any more."""
    if not visit.visitor.order_token:
        raise NoSuchPage("Please open the order by the link in its mail.")
    return visit.visitor.send_as_guest("GET", path("orders", "guests", visit.visitor.order_token)).body


@pages.get(HERE)
def show_order(visit: Visit) -> Page:
    if not visit.visitor.order_token:
        visit.notice = visit.notice or _NOTICES.get(visit.request.query.get("said", ""), "")
        return Page("guest.html")
    try:
        order = _load(visit)
    except Refused as refusal:
        if refusal.reply.status != 404:
            raise
        visit.visitor.forget_order()
        visit.errors = visit.errors or {"": refusal.reply.detail}
        return Page("guest.html", status=404)
    ask, token = visit.visitor.send_as_guest, visit.visitor.order_token
    parcel, documents, preferences, pictures = parts(
        lambda: _parcel(visit, order),
        lambda: ask("GET", path("documents", "guests", token)).body["items"],
        lambda: ask("GET", _preferences(token)).body,
        lambda: catalogue.pictures_of(visit, order["lines"]),
    )
    values = _values(order, parcel) | {"pictures": pictures.value, "documents": documents}
    values |= {"preferences": notices.as_ticked(visit, preferences), "words": _KINDS, "typed": typed_of(visit)}
    values["sent"] = orders.sent_to(visit)
    visit.notice = visit.notice or orders.notice_of(visit, _NOTICES, values)
    values["asks_for_number"] = visit.request.query.get("said") == "untexted"
    return Page("order.html", values, policy=orders.policy_of(values))


@pages.get(f"{HERE}/documents/{{document_id}}")
def open_document(visit: Visit, document_id: str) -> StoredFile:
    if not visit.visitor.order_token:
        raise NoSuchPage("Please open the order by the link in its mail.")
    address = path("documents", "guests", visit.visitor.order_token, document_id, "pdf")
    return StoredFile(visit.visitor.send_as_guest("GET", address).body["url"])


def _parcel(visit: Visit, order: Any) -> Any:
    shipment = order["shipment"]
    if not shipment:
        return None
    return visit.visitor.send_as_guest("GET", path("shipments", "guests", shipment["shipment_id"])).body


def _values(order: Any, parcel: Part) -> dict[str, Any]:
    return orders.values_of(order, HERE) | {"is_guests": True, "files": f"{HERE}/documents", "parcel": parcel}


def _preferences(token: str) -> str:
    return path("notifications", "guests", token, "preferences")


def text_to(visit: Visit, token: str, number: str) -> bool:
    """Has text messages about the order of the link sent to the number. Returns False if it could not be noted."""
    wanted = {"kinds": [{"kind": kind, "sms": True} for kind in _KINDS], "phone": number}
    return not part(lambda: visit.visitor.send_as_guest("PUT", _preferences(token), wanted)).missing


@pages.post(f"{HERE}/preferences", form=notices.Preferences, again=show_order)
def change_preferences(visit: Visit, form: notices.Preferences) -> Redirect:
    with notices.told_at_the_number():
        visit.visitor.send_as_guest("PUT", _preferences(visit.visitor.order_token), form.for_api())
    return Redirect(f"{HERE}?said=switched")


def _show_form(visit: Visit) -> Page:
    return Page("guest.html")


@pages.post(HERE, form=Open, again=_show_form)
def open_order(visit: Visit, form: Open) -> Redirect:
    """The token goes into the cookie once it has opened an order. The whole link is taken, too."""
    before, token = visit.visitor.order_token, form.token.rpartition("token=")[2]
    visit.visitor.order_token = token
    try:
        _load(visit)
    except Refused as refusal:
        visit.visitor.order_token = before
        if refusal.reply.status != 404:
            raise
        raise InvalidForm({"token": refusal.reply.detail}) from None
    visit.visitor.keep_order(token)
    return Redirect(HERE)


@pages.get(f"{HERE}/status")
def show_status(visit: Visit) -> Page:
    order = _load(visit)
    return orders.status_of(visit, _values(order, part(lambda: _parcel(visit, order))))


def _send(visit: Visit, deed: str, body: Any, key: str) -> None:
    address = path("orders", "guests", visit.visitor.order_token, deed)
    visit.visitor.send_as_guest("POST", address, body, {"Idempotency-Key": key})


@pages.post(f"{HERE}/payments", form=orders.Pay, again=show_order)
def pay_again(visit: Visit, form: orders.Pay) -> Redirect:
    _send(visit, "payments", orders.card_of(form), form.key)
    return Redirect(f"{HERE}?said=paying")


@pages.post(f"{HERE}/confirmation", form=orders.Confirmed, again=show_order)
def confirm(visit: Visit, form: orders.Confirmed) -> Redirect:
    """The guest has confirmed the payment with the provider's script."""
    _send(visit, "payments", {}, form.key)
    return Redirect(f"{HERE}?said=confirmed")


@pages.get(f"{HERE}/bank/{{charge_id}}")
def show_bank(visit: Visit, charge_id: str) -> Page:
    """The sandbox's bank asks. Its answer leads back to the order."""
    return orders.bank_of(charge_id, _load(visit), HERE)


@pages.post(f"{HERE}/bank/{{charge_id}}", form=orders.BankAnswer, again=show_bank)
def answer_bank(visit: Visit, charge_id: str, form: orders.BankAnswer) -> Redirect:
    address = f"/api/payments/guests/sandbox/challenges/{path_part(charge_id)}"
    visit.visitor.send_openly("POST", address, {"outcome": form.outcome})
    return Redirect(f"{HERE}?said=confirmed")


@pages.post(f"{HERE}/cancel", form=orders.Cancel, again=show_order)
def cancel(visit: Visit, form: orders.Cancel) -> Redirect:
    reason = form.reason if form.reason in orders.REASONS else "other"
    _send(visit, "cancel", {"reason": reason}, form.key)
    return Redirect(f"{HERE}?said=cancelling")


@pages.post(f"{HERE}/returns", form=orders.Return, again=show_order)
def return_goods(visit: Visit, form: orders.Return) -> Redirect:
    reason = form.reason if form.reason in orders.RETURN_REASONS else "other"
    _send(visit, "returns", {"lines": form.lines(), "reason": reason}, form.key)
    return Redirect(f"{HERE}?said=returned")


def _show_order_again(visit: Visit, return_id: str) -> Page:
    return show_order(visit)


@pages.post(f"{HERE}/returns/{{return_id}}/cancel", form=orders.CancelReturn, again=_show_order_again)
def cancel_return(visit: Visit, return_id: str, form: orders.CancelReturn) -> Redirect:
    address = path("orders", "guests", visit.visitor.order_token, "returns", return_id, "cancel")
    visit.visitor.send_as_guest("POST", address, None, {"Idempotency-Key": form.key})
    return Redirect(f"{HERE}?said=kept")


@pages.post(f"{HERE}/close")
def close(visit: Visit) -> Redirect:
    visit.visitor.forget_order()
    return Redirect(f"{HERE}?said=closed")
