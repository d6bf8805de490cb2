"""For each route that takes an Idempotency-Key: the state that its request needs, and that request.

A new route with a key raises KeyError here. `other` is a request of the same route with another body.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.integration.checkout.conftest import CART, GUEST_CART
from tests.integration.orders.conftest import body as order_of
from tests.integration.payments.till import PAYMENT
from tests.integration.promotions.conftest import TEN


@dataclass(frozen=True)
class Asked:
    """`other` is None of a route without a body."""

    path: str
    body: Any
    other: Any


Given = Callable[[Any], Asked]
_PRODUCT = {"sku": "85123A", "name": "White hanging heart", "price": {"amount": 255, "currency": "GBP"}}
_CSV = "sku,name,price,currency\n22752,Nesting boxes,8.50,GBP\n"
_SHIPMENT = {"shipment_id": "shp-1", "customer_id": "cust-1", "carrier": "sandbox", "tracking_number": "SBX1"}


def _adjusting(shop: Any) -> Asked:
    shop.publish("product.created", "a", {"product_id": "a"})
    adjustment = {"delta": 5, "reason": "x"}
    return Asked("/api/inventory/a/adjustments", adjustment, adjustment | {"delta": 6})


def _adjusting_many(shop: Any) -> Asked:
    """The same adjustment through the other route."""
    single = _adjusting(shop)
    one, other = ({"adjustments": [{"product_id": "a"} | part]} for part in (single.body, single.other))
    return Asked("/api/inventory/adjustments", one, other)


def _opening(_: Any) -> Asked:
    body = {"lines": [{"product_id": "mug", "quantity": 1}]}
    return Asked("/api/checkouts", body, body | {"service": "standard"})


def _adding_coupon(_: Any) -> Asked:
    return Asked("/api/promotions/coupons", TEN, TEN | {"basis_points": 2000})


def _adding_coupon_without_code(_: Any) -> Asked:
    new = {name: value for name, value in TEN.items() if name != "code"}
    return Asked("/api/promotions/coupons", new, new | {"basis_points": 2000})


def _opening_as_guest(_: Any) -> Asked:
    body = {"cart_version": CART["version"]}
    return Asked(f"/api/checkouts/guests/{GUEST_CART}", body, body | {"contact": {"email": "ada@example.com"}})


def _cancelling_by_link(shop: Any) -> Asked:
    token = shop.place_for_guest()[1]["token"]
    return Asked(f"/api/orders/guests/{token}/cancel", {"reason": "too_slow"}, {"reason": "other"})


def _returning_by_link(shop: Any) -> Asked:
    placed = shop.place_for_guest("second")[1]
    order_id, token = placed["order"]["order_id"], placed["token"]
    shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    for news in ("shipment.dispatched", "shipment.delivered"):
        assert shop.hear(news, _SHIPMENT | {"order_id": order_id}) == []
    one, other = ({"lines": [{"product_id": "mug", "quantity": pieces}]} for pieces in (1, 2))
    return Asked(f"/api/orders/guests/{token}/returns", one, other)


def _keeping_by_link(shop: Any) -> Asked:
    asked = _returning_by_link(shop)
    made = shop.call("POST", asked.path, asked.body, user="", key="the-return")[1]
    return Asked(f"{asked.path}/{made['return_id']}/cancel", None, None)


def _placing(_: Any) -> Asked:
    return Asked("/api/orders", order_of(), order_of(("mug", 1, 1250)))


def _cancelling(shop: Any) -> Asked:
    order_id = shop.place(key="to-be-cancelled")["order_id"]
    return Asked(f"/api/orders/{order_id}/cancel", {"reason": "too_slow"}, {"reason": "other"})


def _cancelling_again(shop: Any) -> Asked:
    asked = _cancelling(shop)
    assert shop.call("POST", asked.path, asked.body, key="the-first-wish")[0] == 202
    return asked


def _cancelling_what_is_cancelled(shop: Any) -> Asked:
    asked = _cancelling(shop)
    error = {"Error": "OutOfStock", "Cause": "{}"}
    shop.task("CancelOrder", order_id=asked.path.split("/")[3], step="ReserveInventory", error=error)
    return asked


def _paying(shop: Any) -> Asked:
    order_id = shop.place_waiting(key="to-be-paid")["order_id"]
    return Asked(f"/api/orders/{order_id}/payments", {"payment_token": "tok_ok"}, {"payment_token": "tok_declined"})


def _confirming(shop: Any) -> Asked:
    order_id = shop.place_waiting(key="to-be-confirmed", state="action_required")["order_id"]
    return Asked(f"/api/orders/{order_id}/payments", {}, {"payment_token": "tok_ok"})


def _paying_by_link(shop: Any) -> Asked:
    _, token = shop.place_waiting_for_guest()
    return Asked(f"/api/orders/guests/{token}/payments", {"payment_token": "tok_ok"}, {"payment_token": "tok_declined"})


def _returning(shop: Any, key: str = "to-be-returned") -> Asked:
    order_id = shop.place(key=key)["order_id"]
    shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    for news in ("shipment.dispatched", "shipment.delivered"):
        assert shop.hear(news, _SHIPMENT | {"order_id": order_id}) == []
    one, other = ({"lines": [{"product_id": "mug", "quantity": pieces}]} for pieces in (1, 2))
    return Asked(f"/api/orders/{order_id}/returns", one, other)


def _change_of_return(deed: str, one: Any = None, other: Any = None) -> Given:
    def given(shop: Any) -> Asked:
        asked = _returning(shop, f"to-{deed}-a-return-of")
        order_id = asked.path.split("/")[3]
        _, made, _ = shop.call("POST", asked.path, asked.body, key="the-return")
        if deed == "receive":
            assert shop.change_return(order_id, made, "approve")[0] == 200
        return Asked(f"{asked.path}/{made['return_id']}/{deed}", one, other)

    return given


def _receipt(**units: int) -> Any:
    return {"lines": [{"product_id": "mug"} | units]}


def _refunding(till: Any) -> Asked:
    till.paid()
    one, other = ({"amount": {"amount": pence, "currency": "GBP"}, "reason": "damaged"} for pence in (400, 300))
    return Asked(f"/api/payments/{PAYMENT}/refunds", one, other)


def _adding(_: Any) -> Asked:
    return Asked("/api/products", _PRODUCT, _PRODUCT | {"name": "Other"})


def _adding_to_cart(_: Any) -> Asked:
    return Asked("/api/carts/mine/items/lantern", {"quantity": 2}, {"quantity": 3})


def _adding_to_guests_cart(service: Any) -> Asked:
    guest = service.open_guest_cart(mug=1)
    return Asked(f"/api/carts/guests/{guest}/items/mug", {"quantity": 2}, {"quantity": 3})


def _picturing(service: Any) -> Asked:
    product_id = service.add(sku="PICTURED")["product_id"]
    return Asked(f"/api/products/images/{product_id}", {"alt": "A heart"}, {"alt": "Another heart"})


def _importing(_: Any) -> Asked:
    return Asked("/api/products/imports", _CSV, _CSV.replace("8.50", "9.50"))


GIVEN: dict[str, tuple[Given, ...]] = {
    "POST /api/carts/guests/{cart_id}/items/{product_id}": (_adding_to_guests_cart,),
    "POST /api/carts/{cart_id}/items/{product_id}": (_adding_to_cart,),
    "POST /api/checkouts": (_opening,),
    "POST /api/checkouts/guests/{cart_id}": (_opening_as_guest,),
    "POST /api/inventory/adjustments": (_adjusting_many,),
    "POST /api/inventory/{product_id}/adjustments": (_adjusting,),
    "POST /api/promotions/coupons": (_adding_coupon, _adding_coupon_without_code),
    "POST /api/orders": (_placing,),
    "POST /api/orders/guests/{token}/cancel": (_cancelling_by_link,),
    "POST /api/orders/guests/{token}/payments": (_paying_by_link,),
    "POST /api/orders/guests/{token}/returns": (_returning_by_link,),
    "POST /api/orders/guests/{token}/returns/{return_id}/cancel": (_keeping_by_link,),
    "POST /api/orders/{order_id}/cancel": (_cancelling, _cancelling_again, _cancelling_what_is_cancelled),
    "POST /api/orders/{order_id}/payments": (_paying, _confirming),
    "POST /api/orders/{order_id}/returns": (_returning,),
    "POST /api/orders/{order_id}/returns/{return_id}/approve": (_change_of_return("approve"),),
    "POST /api/orders/{order_id}/returns/{return_id}/cancel": (_change_of_return("cancel"),),
    "POST /api/orders/{order_id}/returns/{return_id}/receive": (
        _change_of_return("receive", _receipt(restock=1), _receipt(write_off=1)),
    ),
    "POST /api/orders/{order_id}/returns/{return_id}/refuse": (
        _change_of_return("refuse", {"refusal": "It was worn."}, {"refusal": "It was used."}),
    ),
    "POST /api/payments/{payment_id}/refunds": (_refunding,),
    "POST /api/products": (_adding,),
    "POST /api/products/imports": (_importing,),
    "POST /api/products/images/{product_id}": (_picturing,),
}
