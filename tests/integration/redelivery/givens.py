"""The state before each event in which the event has an effect, by queue and type, and the data that then counts.

An event takes those fields of the data that it has.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from mercato.clock import rfc3339
from ops.consumers import consumer as journal
from tests.conftest import NOON
from tests.integration.documents.conftest import charge

Data = dict[str, Any]
Given = Callable[[Any], Data]


def _cart(service: Any) -> Data:
    service.put("lantern", 2)
    service.put("mug", 1)
    service.wait(minutes=1)
    return {}


def _held_product(service: Any) -> Data:
    return _cart(service) | {"product_id": "lantern"}


def _ordered(service: Any) -> Data:
    line = {"sku": "L", "name": "L", "quantity": 2, "unit_price": {"amount": 1, "currency": "GBP"}}
    return _cart(service) | {"customer_id": "ada", "lines": [line | {"product_id": "lantern"}]}


def _closed_customer(service: Any) -> Data:
    return _cart(service) | {"user_id": "ada"}


def _closed_user(service: Any) -> Data:
    service.register("user-1")
    return {"user_id": "user-1"}


def _account(service: Any) -> Data:
    return {"user_id": service.join()}


def _nothing(_: Any) -> Data:
    return {}


def _reserved(shop: Any) -> Data:
    shop.stocked(a=20)
    shop.reserve("o-1", a=3)
    return {"order_id": "o-1"}


def _user(service: Any) -> Data:
    service.register("user-1")
    return {"customer_id": "user-1"}


def _placed(shop: Any) -> Data:
    return {"order_id": str(shop.place()["order_id"])}


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


def _cancelling(shop: Any) -> Data:
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


def _captured(till: Any) -> Data:
    till.paid()
    return {"order_id": "o-1", "amount": {"amount": 400, "currency": "GBP"}}


def _captured_from_guest(till: Any) -> Data:
    till.customer = "guest:1"
    till.paid()
    return {"order_id": "o-1", "customer_id": "u-1"}


def _sold(shop: Any) -> Data:
    shop.stocked(a=20)
    return {"lines": [{"product_id": "a", "quantity": 2}]}


def _received(shop: Any) -> Data:
    shop.stocked(a=20)
    return {"lines": [{"product_id": "a", "quantity": 2, "restock": 1, "write_off": 1}]}


def _product(service: Any) -> Data:
    return {"product_id": str(service.add()["product_id"])}


def _in_stock(service: Any) -> Data:
    data = _product(service)
    service.deliver("inventory.restocked", data["product_id"], data | {"available": 9}, 1)
    return data


def _removed_picture(service: Any) -> Data:
    product_id, image_id = service.add_image()
    assert service.call("DELETE", f"/images/{product_id}/{image_id}")[0] == 204
    return {"product_id": product_id, "image_id": image_id}


def _wished_for(service: Any) -> Data:
    service.register("ada")
    service.sells("mug")
    assert service.call("PUT", "/api/notifications/wishes/mug", user="ada")[0] == 200
    return {"product_id": "mug", "available": 7}


def _asked_by_guest(service: Any) -> Data:
    service.sells("mug")
    return {"wish_id": service.ask("ada@example.com")}


def _left_cart(service: Any) -> Data:
    service.register("ada")
    service.shoppers.carts["ada"] = {"version": SEQUENCE, "lines": [{"name": "A mug"}]}
    return {"customer_id": "ada"}


def _awaited(service: Any) -> Data:
    return _user(service) | {"until": rfc3339(service.now + timedelta(minutes=10))}


def _shipment(service: Any) -> Data:
    service.confirm()
    return {"order_id": "order-1", "customer_id": "user-1"}


def _guests_order(shop: Any) -> Data:
    order_id = shop.place_for_guest()[1]["order"]["order_id"]
    return {"order_id": order_id, "user_id": "cust-1", "customer_id": "cust-1"}


def _claimed_by_who_left(shop: Any) -> Data:
    """The closing of the account did not see the order yet."""
    data = _guests_order(shop)
    assert shop.hear("user.email_verified", {"user_id": "cust-1", "email": "ada@example.com"}) == []
    shop.store.note_departure("cust-1", NOON)
    return data


def _guests_shipment(service: Any) -> Data:
    service.confirm(customer_id="guest:1")
    return {"order_id": "order-1", "customer_id": "user-1"}


def _ordered_for(desk: Any) -> Data:
    amount = {"amount": 1250, "currency": "GBP"}
    whole = charge("goods", 1250, 208, product="mug")
    desk.ordered("o-1", customer_id="u-1", total=amount, charges=[whole])
    return {"order_id": "o-1", "customer_id": "u-1", "amount": amount}


def _issued(desk: Any) -> Data:
    desk.ordered()
    desk.pay()
    return {"document_id": desk.documents()[0].document_id}


GIVEN: dict[tuple[str, str], Given] = {
    ("carts", "product.price_changed"): _held_product,
    ("carts", "product.discontinued"): _held_product,
    ("carts", "inventory.low_stock"): _held_product,
    ("carts", "inventory.restocked"): _held_product,
    ("carts", "order.created"): _ordered,
    ("carts", "user.closed"): _closed_customer,
    ("documents", "order.claimed"): _nothing,
    ("documents", "payment.completed"): _ordered_for,
    ("documents", "payment.refunded"): _ordered_for,
    ("documents-pdf", "document.issued"): _issued,
    ("inventory", "product.created"): _nothing,
    ("inventory", "order.shipped"): _reserved,
    ("inventory", "order.return_accepted"): _sold,
    ("inventory", "order.return_received"): _received,
    ("notifications", "user.registered"): _nothing,
    ("notifications", "cart.abandoned"): _left_cart,
    ("notifications", "user.profile_changed"): _closed_user,
    ("notifications", "user.closed"): _closed_user,
    ("notifications", "order.created"): _nothing,
    ("notifications", "order.anonymised"): _nothing,
    ("notifications", "order.payment_awaited"): _awaited,
    ("notifications", "order.payment_attempted"): _user,
    ("notifications", "order.delivered"): _user,
    ("notifications", "order.confirmed"): _user,
    ("notifications", "order.shipped"): _user,
    ("notifications", "order.cancelled"): _user,
    ("notifications", "order.return_approved"): _user,
    ("notifications", "order.return_refused"): _user,
    ("notifications", "order.return_received"): _user,
    ("notifications", "payment.completed"): _user,
    ("notifications", "payment.failed"): _user,
    ("notifications", "payment.refunded"): _user,
    ("notifications", "inventory.low_stock"): _wished_for,
    ("notifications", "inventory.restocked"): _wished_for,
    ("notifications", "product.discontinued"): _wished_for,
    ("notifications", "wish.asked"): _asked_by_guest,
    **{("ops", event_type): _nothing for event_type in journal.subscriptions},
    ("orders", "order.created"): _placed,
    ("orders", "order.cancellation_requested"): _cancelling,
    ("orders", "order.payment_attempted"): _paying_again,
    ("orders", "order.confirmed"): _placed,
    ("orders", "order.cancelled"): _placed,
    ("orders", "order.refunded"): _placed,
    ("orders", "order.needs_attention"): _placed,
    ("orders", "payment.answered"): _awaiting,
    ("orders", "payment.completed"): _confirmed,
    ("orders", "payment.failed"): _confirmed,
    ("orders", "payment.refunded"): _paid,
    ("orders", "shipment.dispatched"): _paid,
    ("orders", "shipment.delivered"): _shipped,
    ("orders", "shipment.failed"): _shipped,
    ("orders", "order.claimed"): _claimed_by_who_left,
    ("orders", "user.email_verified"): _guests_order,
    ("orders", "user.closed"): _customer_left,
    ("payments", "order.confirmed"): _captured,
    ("payments", "order.cancelled"): _captured,
    ("payments", "order.claimed"): _captured_from_guest,
    ("payments", "order.return_accepted"): _captured,
    ("payments", "order.return_received"): _captured,
    ("products", "product.image_removed"): _removed_picture,
    ("products", "inventory.low_stock"): _in_stock,
    ("products", "inventory.restocked"): _product,
    ("shipping", "order.confirmed"): _nothing,
    ("shipping", "payment.completed"): _shipment,
    ("shipping", "order.cancelled"): _shipment,
    ("shipping", "order.return_accepted"): _shipment,
    ("shipping", "order.return_received"): _shipment,
    ("shipping", "order.anonymised"): _shipment,
    ("shipping", "order.claimed"): _guests_shipment,
    ("users", "user.registered"): _account,
    ("users", "user.registration_repeated"): _account,
    ("users", "user.verification_requested"): _account,
    ("users", "user.password_reset_requested"): _account,
    ("users", "user.password_changed"): _account,
}
SEQUENCE = 7  # later than everything before


def moment_of(service: Any, noon: datetime) -> datetime:
    """The event's time: the service's own, where a test sets it."""
    found: datetime = getattr(service, "now", noon)
    return found
