"""What the tests of all services try with orders. tests/kit/cases.py says what each list is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mercato.http import View
from mercato.money import MAX_AMOUNT, Money
from mercato.store.dynamo import Table
from orders import wiring
from orders.domain import MOST_ATTEMPTS, CartAlreadyOrdered, place
from orders.order import Action, Address, Line, OrderedCart, ReturnStatus
from orders.returns import Approval, Terms
from orders.store import OrderStore, Wait
from orders.views import OpenReturnView, StaffOrderView
from orders.views import SummaryView as OrderView
from tests.conftest import NOON
from tests.integration.orders.conftest import GUEST, GUEST_CART, guests_sale, listing, verified
from tests.integration.orders.conftest import body as order_of
from tests.kit.asked import Asked, asking
from tests.kit.cases import (
    Accepted,
    Data,
    Expiring,
    Given,
    GivenKeyed,
    Heard,
    Keyed,
    KeyedRequest,
    Largest,
    MayGo,
    Refused,
    RefusedElsewhere,
)
from tests.kit.given import COSTLY, money

# ---- requests that succeed


def _quoted(_: Any) -> Asked:
    return Asked("/api/orders/quoted", {"quote": "quote-1", "payment_token": "tok_ok"}, user="cust-1")


def _giving_link(shop: Any) -> Asked:
    return Asked(f"/api/orders/{shop.place_waiting_for_guest()[0]}/links/{'0' * 64}", role="peer")


def _quoted_for_guest(_: Any) -> Asked:
    body = {"quote": "guest-quote", "payment_token": "tok_ok", "cart_id": GUEST_CART}
    return Asked("/api/orders/guests", body, user="")


ACCEPTED = (
    Accepted("POST /api/orders/quoted", _quoted),
    Accepted("POST /api/orders/guests", _quoted_for_guest),
    Accepted("PUT /api/orders/{order_id}/links/{digest}", _giving_link),
    Accepted(
        "POST /api/orders/lookup",
        asking("/api/orders/lookup", {"email": "ada@example.com", "since": "2026-11-22T12:00:00Z"}, role="peer"),
    ),
)

# ---- requests with an Idempotency-Key


_SHIPMENT = {"shipment_id": "shp-1", "customer_id": "cust-1", "carrier": "sandbox", "tracking_number": "SBX1"}


def _cancelling_by_link(shop: Any) -> KeyedRequest:
    token = shop.place_for_guest()[1]["token"]
    return KeyedRequest(f"/api/orders/guests/{token}/cancel", {"reason": "too_slow"}, {"reason": "other"})


def _returning_by_link(shop: Any) -> KeyedRequest:
    placed = shop.place_for_guest("second")[1]
    order_id, token = placed["order"]["order_id"], placed["token"]
    shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    for news in ("shipment.dispatched", "shipment.delivered"):
        assert shop.hear(news, _SHIPMENT | {"order_id": order_id}) == []
    one, other = ({"lines": [{"product_id": "mug", "quantity": pieces}]} for pieces in (1, 2))
    return KeyedRequest(f"/api/orders/guests/{token}/returns", one, other)


def _keeping_by_link(shop: Any) -> KeyedRequest:
    asked = _returning_by_link(shop)
    made = shop.call("POST", asked.path, asked.body, user="", key="the-return")[1]
    return KeyedRequest(f"{asked.path}/{made['return_id']}/cancel", None, None)


def _placing(_: Any) -> KeyedRequest:
    return KeyedRequest("/api/orders", order_of(), order_of(("mug", 1, 1250)))


def _cancelling(shop: Any) -> KeyedRequest:
    order_id = shop.place(key="to-be-cancelled")["order_id"]
    return KeyedRequest(f"/api/orders/{order_id}/cancel", {"reason": "too_slow"}, {"reason": "other"})


def _cancelling_again(shop: Any) -> KeyedRequest:
    asked = _cancelling(shop)
    assert shop.call("POST", asked.path, asked.body, key="the-first-wish")[0] == 202
    return asked


def _cancelling_what_is_cancelled(shop: Any) -> KeyedRequest:
    asked = _cancelling(shop)
    error = {"Error": "OutOfStock", "Cause": "{}"}
    shop.task("CancelOrder", order_id=asked.path.split("/")[3], step="ReserveInventory", error=error)
    return asked


def _paying(shop: Any) -> KeyedRequest:
    order_id = shop.place_waiting(key="to-be-paid")["order_id"]
    return KeyedRequest(
        f"/api/orders/{order_id}/payments", {"payment_token": "tok_ok"}, {"payment_token": "tok_declined"}
    )


def _confirming(shop: Any) -> KeyedRequest:
    order_id = shop.place_waiting(key="to-be-confirmed", state="action_required")["order_id"]
    return KeyedRequest(f"/api/orders/{order_id}/payments", {}, {"payment_token": "tok_ok"})


def _paying_by_link(shop: Any) -> KeyedRequest:
    _, token = shop.place_waiting_for_guest()
    return KeyedRequest(
        f"/api/orders/guests/{token}/payments", {"payment_token": "tok_ok"}, {"payment_token": "tok_declined"}
    )


def _returning(shop: Any, key: str = "to-be-returned") -> KeyedRequest:
    order_id = shop.place(key=key)["order_id"]
    shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    for news in ("shipment.dispatched", "shipment.delivered"):
        assert shop.hear(news, _SHIPMENT | {"order_id": order_id}) == []
    one, other = ({"lines": [{"product_id": "mug", "quantity": pieces}]} for pieces in (1, 2))
    return KeyedRequest(f"/api/orders/{order_id}/returns", one, other)


def _change_of_return(deed: str, one: Any = None, other: Any = None) -> GivenKeyed:
    def given(shop: Any) -> KeyedRequest:
        asked = _returning(shop, f"to-{deed}-a-return-of")
        order_id = asked.path.split("/")[3]
        _, made, _ = shop.call("POST", asked.path, asked.body, key="the-return")
        if deed == "receive":
            assert shop.change_return(order_id, made, "approve")[0] == 200
        return KeyedRequest(f"{asked.path}/{made['return_id']}/{deed}", one, other)

    return given


def _receipt(**units: int) -> Any:
    return {"lines": [{"product_id": "mug"} | units]}


KEYED = (
    Keyed("POST /api/orders", _placing),
    Keyed("POST /api/orders/guests/{token}/cancel", _cancelling_by_link),
    Keyed("POST /api/orders/guests/{token}/payments", _paying_by_link),
    Keyed("POST /api/orders/guests/{token}/returns", _returning_by_link),
    Keyed("POST /api/orders/guests/{token}/returns/{return_id}/cancel", _keeping_by_link),
    Keyed("POST /api/orders/{order_id}/cancel", _cancelling),
    Keyed("POST /api/orders/{order_id}/cancel", _cancelling_again),
    Keyed("POST /api/orders/{order_id}/cancel", _cancelling_what_is_cancelled),
    Keyed("POST /api/orders/{order_id}/payments", _paying),
    Keyed("POST /api/orders/{order_id}/payments", _confirming),
    Keyed("POST /api/orders/{order_id}/returns", _returning),
    Keyed("POST /api/orders/{order_id}/returns/{return_id}/approve", _change_of_return("approve")),
    Keyed("POST /api/orders/{order_id}/returns/{return_id}/cancel", _change_of_return("cancel")),
    Keyed(
        "POST /api/orders/{order_id}/returns/{return_id}/receive",
        _change_of_return("receive", _receipt(restock=1), _receipt(write_off=1)),
    ),
    Keyed(
        "POST /api/orders/{order_id}/returns/{return_id}/refuse",
        _change_of_return("refuse", {"refusal": "It was worn."}, {"refusal": "It was used."}),
    ),
)

# ---- requests that are refused


def _order(*lines: tuple[str, int, int], cart: Any = None) -> Given:
    return asking("/api/orders", order_of(*lines) | ({"cart": cart} if cart else {}), user="cust-1")


def _ordering_twice(shop: Any) -> Asked:
    named = order_of() | {"cart": {"id": "cart-1", "version": 7}}
    shop.place(named)
    return Asked("/api/orders", named, user="cust-1")


def _ordering_after_closing(shop: Any) -> Asked:
    assert shop.hear("user.closed", {"user_id": "cust-1"}) == []
    return Asked("/api/orders", order_of(), user="cust-1")


def _ordering_two_currencies(shop: Any) -> Asked:
    pot = listing("pot", 5)
    shop.shelf.put(replace(pot, price=Money(amount=5, currency="EUR")))
    order = order_of(("mug", 1, 1250), ("pot", 1, 5))
    order["lines"][1]["unit_price"] = money(5, "EUR")
    return Asked("/api/orders", order, user="cust-1")


def _ordering_too_much(shop: Any) -> Asked:
    shop.shelf.put(listing("yacht", MAX_AMOUNT))
    return Asked("/api/orders", order_of(("mug", 1, 1250), ("yacht", 1, MAX_AMOUNT)), user="cust-1")


def _ordering_to_nowhere(_: Any) -> Asked:
    order = order_of()
    return Asked(
        "/api/orders", order | {"shipping_address": order["shipping_address"] | {"postcode": ""}}, user="cust-1"
    )


def _ordering_where(notice: str) -> Given:
    def asked(shop: Any) -> Asked:
        shop.shelf.notices = [{"type": notice, "detail": "We cannot sell this there."}]
        return Asked("/api/orders", order_of(), user="cust-1")

    return asked


def _ordering_at_another_total(_: Any) -> Asked:
    return Asked("/api/orders", order_of() | {"seen_total": money(1)}, user="cust-1")


def _delivered(shop: Any) -> str:
    order_id = str(shop.place()["order_id"])
    shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    parcel = {"shipment_id": "shp-1", "customer_id": "cust-1", "carrier": "sandbox", "tracking_number": "SBX1"}
    for news in ("shipment.dispatched", "shipment.delivered"):
        assert shop.hear(news, parcel | {"order_id": order_id}) == []
    return order_id


def _cancelling_what_left(shop: Any) -> Asked:
    return Asked(f"/api/orders/{_delivered(shop)}/cancel", {}, user="cust-1")


def _returning_lines(*lines: tuple[str, int], delivered: bool = True) -> Given:
    body = {"lines": [{"product_id": product, "quantity": quantity} for product, quantity in lines]}

    def given(shop: Any) -> Asked:
        order_id = _delivered(shop) if delivered else shop.place()["order_id"]
        return Asked(f"/api/orders/{order_id}/returns", body | {"reason": "damaged"}, user="cust-1")

    return given


def _changing_return(
    deed: str, body: Any = None, *before: str, return_id: str = "", user: str = "boss", role: str = "admin"
) -> Given:
    """A deed on the return of one mug, after others."""

    def given(shop: Any) -> Asked:
        order_id = _delivered(shop)
        _, made, _ = shop.call("POST", f"/api/orders/{order_id}/returns", _MUG_BACK, key="the-return")
        for one in before:
            assert shop.change_return(order_id, made, one)[0] == 200
        path = f"/api/orders/{order_id}/returns/{return_id or made['return_id']}/{deed}"
        return Asked(path, body, user=user, role=role)

    return given


def _returning_too_late(shop: Any) -> Asked:
    vars(wiring.ports())["return_terms"] = Terms(timedelta(0), Approval.STAFF)
    return _returning_lines(("mug", 1))(shop)


def _of_another(action: str, body: Any) -> Given:
    return lambda shop: Asked(f"/api/orders/{_delivered(shop)}/{action}", body, user="eve")


def _quoted_where(user: str = "cust-1", **changes: Any) -> Given:
    def given(shop: Any) -> Asked:
        shop.checkout.quotes["quote-1", "cust-1"] = verified(**changes)
        return Asked("/api/orders/quoted", {"quote": "quote-1", "payment_token": "tok_ok"}, user=user)

    return given


def _quoted_with_another_card(shop: Any) -> Asked:
    assert shop.place_quoted(card="tok_declined")[0] == 202
    return _quoted_where()(shop)


def _quoted_after_closing(shop: Any) -> Asked:
    assert shop.hear("user.closed", {"user_id": "cust-1"}) == []
    return _quoted_where()(shop)


def _quoted_of_an_ordered_cart(shop: Any) -> Asked:
    cart = {"id": "cart-1", "version": 7}
    shop.place(order_of() | {"cart": cart})
    return _quoted_where(sale=verified()["sale"] | {"cart": cart})(shop)


def _paying_refused_as(problem: str, *, by_link: bool = False) -> Given:
    """A payment that the order does not wait for any more, or not yet."""

    def given(shop: Any) -> Asked:
        if by_link:
            order_id, token = shop.place_waiting_for_guest()
            asked = Asked(f"/api/orders/guests/{token}/payments", {"payment_token": "tok_ok"}, user="")
        else:
            order_id = shop.place_waiting()["order_id"]
            asked = Asked(f"/api/orders/{order_id}/payments", {"payment_token": "tok_ok"}, user="cust-1")
        match problem:
            case "order-already-paid":
                shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
            case "payment-too-late":
                shop.task("CancelOrder", order_id=order_id, error={"Error": "PaymentNotCompleted"})
            case "payment-under-way":
                assert shop.call("POST", asked.path, asked.body, user=asked.user, key="another")[0] == 202
            case "nothing-to-confirm":
                return replace(asked, body={})
            case "order-not-found":
                return replace(asked, user="eve")
            case "link-not-found":
                return replace(asked, path=f"/api/orders/guests/{'A' * 43}/payments")
            case "too-many-payments":
                for number in range(1, MOST_ATTEMPTS):
                    assert shop.call("POST", asked.path, asked.body, user=asked.user, key=f"card-{number}")[0] == 202
                    shop.ask(order_id, asked_at=f"2026-11-22T12:0{number}:00.000Z")
        return asked

    return given


_UNPAYABLE = (
    "order-already-paid",
    "payment-too-late",
    "payment-under-way",
    "nothing-to-confirm",
    "too-many-payments",
)


def _for_guest(prepare: Callable[[Any], object] = lambda _: None, **changes: Any) -> Given:
    """A guest orders by a quote of which the checkout says this by now."""

    def given(shop: Any) -> Asked:
        prepare(shop)
        shop.checkout.quotes["guest-quote", GUEST] = guests_sale() | changes
        body = {"quote": "guest-quote", "payment_token": "tok_ok", "cart_id": GUEST_CART}
        return Asked("/api/orders/guests", body, user="")

    return given


def _ordered_with_another_card(shop: Any) -> None:
    assert shop.place_for_guest(card="tok_declined")[0] == 202


def _by_link(action: str, body: Any, *, token: str = "", left: bool = False, delivered: bool = False) -> Given:
    """A command on a guest's order by its link, or by another token."""

    def given(shop: Any) -> Asked:
        placed = shop.place_for_guest()[1]
        order_id = placed["order"]["order_id"]
        shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
        parcel = {"shipment_id": "shp-1", "customer_id": GUEST, "carrier": "sandbox", "tracking_number": "SBX1"}
        for news in ["shipment.dispatched"] * (left or delivered) + ["shipment.delivered"] * delivered:
            assert shop.hear(news, parcel | {"order_id": order_id}) == []
        return Asked(f"/api/orders/guests/{token or placed['token']}/{action}", body, user="")

    return given


def _by_link_too_late(shop: Any) -> Asked:
    vars(wiring.ports())["return_terms"] = Terms(timedelta(0), Approval.STAFF)
    return _by_link("returns", _back("mug", 1), delivered=True)(shop)


def _keeping_what_is_kept(shop: Any) -> Asked:
    asked = _by_link("returns", _back("mug", 1), delivered=True)(shop)
    made = shop.call("POST", asked.path, asked.body, user="", key="the-return")[1]
    cancel = f"{asked.path}/{made['return_id']}/cancel"
    assert shop.call("POST", cancel, user="", key="the-first-time")[0] == 200
    return Asked(cancel, None, user="")


def _back(product: str, quantity: int) -> dict[str, Any]:
    return {"lines": [{"product_id": product, "quantity": quantity}], "reason": "damaged"}


_FOR_GUEST = "POST /api/orders/guests"
_LINK_CANCEL = "POST /api/orders/guests/{token}/cancel"
_LINK_RETURN = "POST /api/orders/guests/{token}/returns"
_PAY = "POST /api/orders/{order_id}/payments"
_LINK_PAY = "POST /api/orders/guests/{token}/payments"
_LINK_KEEP = "POST /api/orders/guests/{token}/returns/{return_id}/cancel"
_BY_QUOTE = "POST /api/orders/quoted"
_DEARER = {"what": "price", "product_id": "mug", "was": money(1250), "is_now": money(1300)}
_CANCEL = "POST /api/orders/{order_id}/cancel"
_RETURN = "POST /api/orders/{order_id}/returns"
_MUG_BACK = {"lines": [{"product_id": "mug", "quantity": 1}], "reason": "damaged"}
_THE_RETURN = "POST /api/orders/{order_id}/returns/{return_id}"
_REFUSAL = {"refusal": "It was worn."}
_RECEIPT, _TWO_CAME, _NOTHING_CAME = ({"lines": [{"product_id": "mug", "restock": units}]} for units in (1, 2, 0))


def _of_no_order(deed: str, body: Any = None) -> Given:
    return lambda _: Asked(f"/api/orders/none/returns/none/{deed}", body, role="admin")


REFUSED = (
    Refused("POST /api/orders", "price-changed", _order(("mug", 1, 1250), ("pot", 1, 1999))),
    Refused("POST /api/orders", "unknown-product", _order(("mug", 1, 1250), ("nothing", 1, 5))),
    Refused("POST /api/orders", "cart-already-ordered", _ordering_twice),
    Refused("POST /api/orders", "account-closed", _ordering_after_closing),
    Refused("POST /api/orders", "mixed-currencies", _ordering_two_currencies),
    Refused("POST /api/orders", "order-too-large", _ordering_too_much),
    Refused("POST /api/orders", "invalid-address", _ordering_to_nowhere),
    Refused("POST /api/orders", "quote-changed", _ordering_at_another_total),
    *(
        Refused("POST /api/orders", problem, _ordering_where(problem))
        for problem in ("no-rate-for-destination", "parcel-too-heavy", "service-not-offered", "no-tax-rate")
    ),
    Refused(_BY_QUOTE, "invalid-quote", _quoted_where(user="eve")),
    Refused(_BY_QUOTE, "quote-expired", _quoted_where(is_expired=True)),
    Refused(_BY_QUOTE, "quote-changed", _quoted_where(differences=[_DEARER], sale=None)),
    Refused(_BY_QUOTE, "quote-already-ordered", _quoted_with_another_card),
    Refused(_BY_QUOTE, "account-closed", _quoted_after_closing),
    Refused(_BY_QUOTE, "cart-already-ordered", _quoted_of_an_ordered_cart),
    Refused(_FOR_GUEST, "invalid-quote", _for_guest(sale=guests_sale()["sale"] | {"contact": None})),
    Refused(_FOR_GUEST, "quote-expired", _for_guest(is_expired=True)),
    Refused(_FOR_GUEST, "quote-changed", _for_guest(differences=[_DEARER], sale=None)),
    Refused(_FOR_GUEST, "quote-already-ordered", _for_guest(_ordered_with_another_card)),
    Refused(_FOR_GUEST, "cart-already-ordered", _for_guest(lambda shop: shop.place_for_guest(), checkout_id="co-2")),
    Refused(_LINK_CANCEL, "link-not-found", _by_link("cancel", {}, token="A" * 43)),
    Refused(_LINK_CANCEL, "order-not-cancellable", _by_link("cancel", {}, left=True)),
    Refused(_LINK_RETURN, "link-not-found", _by_link("returns", _back("mug", 1), token="A" * 43, delivered=True)),
    Refused(_LINK_RETURN, "order-not-returnable", _by_link("returns", _back("mug", 1))),
    Refused(_LINK_RETURN, "return-window-closed", _by_link_too_late),
    Refused(_LINK_RETURN, "return-too-large", _by_link("returns", _back("mug", 3), delivered=True)),
    Refused(_LINK_RETURN, "not-in-order", _by_link("returns", _back("vase", 1), delivered=True)),
    Refused(_LINK_KEEP, "link-not-found", _by_link("returns/none/cancel", None, token="A" * 43, delivered=True)),
    Refused(_LINK_KEEP, "return-not-found", _by_link("returns/none/cancel", None, delivered=True)),
    Refused(_LINK_KEEP, "return-not-changeable", _keeping_what_is_kept),
    Refused(_CANCEL, "order-not-found", _of_another("cancel", {})),
    Refused(_CANCEL, "order-not-cancellable", _cancelling_what_left),
    *(Refused(_PAY, problem, _paying_refused_as(problem)) for problem in ("order-not-found", *_UNPAYABLE)),
    *(
        Refused(_LINK_PAY, problem, _paying_refused_as(problem, by_link=True))
        for problem in ("link-not-found", *_UNPAYABLE)
    ),
    Refused(_RETURN, "order-not-found", _of_another("returns", _MUG_BACK)),
    Refused(_RETURN, "order-not-returnable", _returning_lines(("mug", 1), delivered=False)),
    Refused(_RETURN, "return-too-large", _returning_lines(("pot", 1), ("mug", 3))),
    Refused(_RETURN, "not-in-order", _returning_lines(("mug", 1), ("vase", 1))),
    Refused(_RETURN, "return-window-closed", _returning_too_late),
    Refused(f"{_THE_RETURN}/cancel", "order-not-found", _changing_return("cancel", user="eve", role="customer")),
    Refused(f"{_THE_RETURN}/approve", "order-not-found", _of_no_order("approve")),
    Refused(f"{_THE_RETURN}/refuse", "order-not-found", _of_no_order("refuse", _REFUSAL)),
    Refused(f"{_THE_RETURN}/receive", "order-not-found", _of_no_order("receive", _RECEIPT)),
    Refused(f"{_THE_RETURN}/cancel", "return-not-found", _changing_return("cancel", return_id="none")),
    Refused(f"{_THE_RETURN}/approve", "return-not-found", _changing_return("approve", return_id="none")),
    Refused(f"{_THE_RETURN}/refuse", "return-not-found", _changing_return("refuse", _REFUSAL, return_id="none")),
    Refused(f"{_THE_RETURN}/receive", "return-not-found", _changing_return("receive", _RECEIPT, return_id="none")),
    Refused(f"{_THE_RETURN}/cancel", "return-not-changeable", _changing_return("cancel", None, "cancel")),
    Refused(f"{_THE_RETURN}/approve", "return-not-changeable", _changing_return("approve", None, "approve")),
    Refused(f"{_THE_RETURN}/refuse", "return-not-changeable", _changing_return("refuse", _REFUSAL, "approve")),
    Refused(f"{_THE_RETURN}/receive", "return-not-changeable", _changing_return("receive", _RECEIPT)),
    Refused(f"{_THE_RETURN}/receive", "more-than-requested", _changing_return("receive", _TWO_CAME, "approve")),
    Refused(f"{_THE_RETURN}/receive", "nothing-received", _changing_return("receive", _NOTHING_CAME, "approve")),
)
REFUSED_ELSEWHERE = (
    RefusedElsewhere(
        "POST /api/orders/{order_id}/returns", "too-many-returns", "held by tests/unit/orders/test_returns.py"
    ),
    RefusedElsewhere(
        "POST /api/orders/guests/{token}/returns", "too-many-returns", "held by tests/unit/orders/test_returns.py"
    ),
)

# ---- events


def _placed(shop: Any) -> Data:
    return {"order_id": str(shop.place()["order_id"])}


def _placed_by_guest(shop: Any) -> Data:
    """The guest gets a mail with a link, which an account's order does not have."""
    return {"order_id": str(shop.place_for_guest()[1]["order"]["order_id"]), "customer_id": GUEST}


def _confirmed(shop: Any) -> Data:
    data = _placed(shop)
    shop.task("ConfirmOrder", order_id=data["order_id"], payment_id="pay-1")
    return data | {"payment_id": "pay-1", "shipment_id": "shp-1"}


def _paid(shop: Any) -> Data:
    data = _confirmed(shop)
    amount = {"amount": 4500, "currency": "GBP"}
    paid = {"payment_id": "pay-1", "customer_id": "cust-1", "amount": amount}
    assert shop.hear("payment.completed", paid | {"order_id": data["order_id"]}) == []
    return data | {"amount": amount}


def _shipped(shop: Any) -> Data:
    data = _paid(shop)
    sent = {"shipment_id": "shp-1", "customer_id": "cust-1", "carrier": "sandbox", "tracking_number": "SBX1"}
    assert shop.hear("shipment.dispatched", sent | {"order_id": data["order_id"]}) == []
    return {"order_id": data["order_id"], "shipment_id": "shp-1"}


def _customer_left(shop: Any) -> Data:
    _placed(shop)
    return {"user_id": "cust-1"}


def _cancellation_requested(shop: Any) -> Data:
    data = _placed(shop)
    assert shop.call("POST", f"/api/orders/{data['order_id']}/cancel", {}, key="key-2")[0] == 202
    return data


def _awaiting(shop: Any) -> Data:
    return {"order_id": str(shop.place_waiting()["order_id"]), "payment_id": "pay-1"}


def _paying_again(shop: Any) -> Data:
    data = _awaiting(shop)
    payment = {"status": "declined", "attempt": 1, "version": 0}
    waits = {"payment": payment, "task_token": "token-1", "entered_at": "2026-11-22T12:00:00.000Z", "retries": 0}
    shop.task("AwaitBuyer", order_id=data["order_id"], **waits)
    card = {"payment_token": "tok_ok"}
    assert shop.call("POST", f"/api/orders/{data['order_id']}/payments", card, key="key-2")[0] == 202
    return data


def _guests_order(shop: Any) -> Data:
    order_id = shop.place_for_guest()[1]["order"]["order_id"]
    return {"order_id": order_id, "user_id": "cust-1", "customer_id": "cust-1"}


def _claimed_by_who_left(shop: Any) -> Data:
    """The closing of the account did not see the order yet."""
    data = _guests_order(shop)
    assert shop.hear("user.email_verified", {"user_id": "cust-1", "email": "ada@example.com"}) == []
    shop.store.note_departure("cust-1", NOON)
    return data


HEARD = (
    Heard("orders", "order.created", _placed_by_guest),
    Heard("orders", "order.cancellation_requested", _cancellation_requested),
    Heard("orders", "order.payment_attempted", _paying_again),
    Heard("orders", "order.confirmed", _placed),
    Heard("orders", "order.cancelled", _placed),
    Heard("orders", "order.refunded", _placed),
    Heard("orders", "order.needs_attention", _placed),
    Heard("orders", "payment.answered", _awaiting),
    Heard("orders", "payment.completed", _confirmed),
    Heard("orders", "payment.failed", _confirmed),
    Heard("orders", "payment.refunded", _paid),
    Heard("orders", "shipment.dispatched", _paid),
    Heard("orders", "shipment.delivered", _shipped),
    Heard("orders", "shipment.failed", _shipped),
    Heard("orders", "order.claimed", _claimed_by_who_left),
    Heard("orders", "user.email_verified", _guests_order),
    Heard("orders", "user.closed", _customer_left),
)

# ---- items of lists


def _largest_order() -> View:
    about = dict.fromkeys(("order_id", "status", "payment_status", "reason", "placed_at", "updated_at"), "x" * 64)
    return OrderView(**about, number="x" * 16, total=COSTLY, line_count=500, version=10**6)


def _largest_staff_order() -> View:
    return StaffOrderView(**dict(_largest_order()), customer_id="x" * 64)


def _largest_return() -> View:
    at, amount = datetime(2026, 11, 28, tzinfo=UTC), Money(amount=MAX_AMOUNT, currency="GBP")
    about = dict.fromkeys(("order_id", "customer_id", "return_id", "reason", "number"), "x" * 64)
    return OpenReturnView(status=ReturnStatus.REQUESTED, units=10**9, amount=amount, at=at, since=at, **about)


LARGEST = (
    Largest("GET /api/orders", _largest_order),
    Largest("GET /api/ops/orders", _largest_staff_order),
    Largest("GET /api/ops/orders/returns", _largest_return),
)

# ---- items that expire


_PRICE = Money(amount=100, currency="GBP")


def _place(table: Table, now: datetime, order_id: str = "order-1") -> None:
    lines = (Line(product_id="mug", sku="MUG", name="Mug", quantity=1, unit_price=_PRICE),)
    cart = OrderedCart(id="cart-1", version=7)
    address = Address(name="Ada", line1="1 St", city="London", postcode="N1", country="GB")
    OrderStore(table).place(order_id, place(order_id, "ada", lines, "tok_ok", "print", cart), address, now)


def _place_again(table: Table, now: datetime) -> object:
    try:
        _place(table, now, "order-2")
    except CartAlreadyOrdered as refused:
        return refused.detail
    return None


def _wait(table: Table, now: datetime, place: str = "2") -> None:
    OrderStore(table).keep_wait("order-1", Wait(f"token-{place}", place, 1, Action(url="/bank/1")), now)


def _wait_again(table: Table, now: datetime) -> object:
    """A late retry of an earlier wait replaces an expired one, which no saga waits on any more."""
    found = OrderStore(table).find_wait("order-1", now)
    _wait(table, now, "1")
    kept = OrderStore(table).find_wait("order-1", now)
    return found and found.task_token, kept and kept.task_token


EXPIRING = (
    Expiring("ordered cart", "OrdersTable", ("orders.store:_cart_mark",), _place, _place_again),
    Expiring("wait for a buyer", "OrdersTable", ("orders.store:OrderStore.keep_wait",), _wait, _wait_again),
)
MAY_GO = (MayGo("functions/orders/orders/store.py", "the mark of a cart that was ordered, longer than the cart lives"),)
