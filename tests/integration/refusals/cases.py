"""For each error of its own that a writing route can answer: the state, and the request that is then refused.

The request is valid otherwise, so it is refused as late as possible. `kept` has the partitions that a refusal changes
on purpose, with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import boto3
from botocore.exceptions import ClientError

from carts.usecases import cart_of
from mercato.clock import utc_now
from mercato.money import MAX_AMOUNT, Money
from mercato.store import dynamo
from mercato.webhooks import sign
from notifications import wiring as notification_wiring
from notifications.domain import reader_of_guest
from notifications.wishes.domain import MOST_WISHES
from orders import wiring as orders_wiring
from orders.domain import MOST_ATTEMPTS
from orders.returns import Approval, Terms
from payments import usecases as payments_usecases
from payments import wiring as payments_wiring
from payments.providers.sandbox import charge_id_of
from payments.providers.webhooks import ChargeChanged
from shipping import wiring as shipping_wiring
from shipping.domain import Booking
from tests.conftest import NOON
from tests.integration.checkout.conftest import ADDRESS, CART, GUEST_CART, POST
from tests.integration.checkout.conftest import TEN as ALL_OFF
from tests.integration.ops.conftest import message
from tests.integration.orders.conftest import GUEST, guests_sale, listing, verified
from tests.integration.orders.conftest import body as order_of
from tests.integration.payments.till import PAYMENT
from tests.integration.promotions.conftest import TEN
from tests.integration.shipping.conftest import SECRET, SHIPMENT
from tests.integration.shipping.test_rates import ZONE, put
from tests.integration.users.conftest import ADA, PASSWORD
from tests.kit.asked import Asked

_COUNTED = {
    "ATTEMPTS#": "a password is counted as wrong before it is looked at, and a right one makes the network known"
}
_ENDED = {"FAMILY#": "a refresh token that comes twice ends its session, and one of a session that is over is used up"}
_REFUSED = {
    "PAYMENT#": "a refund is claimed before the provider is asked; its refusal gives the claim back and stays known",
    "SANDBOX#": "the sandbox's own table of what it answered",
}
_STALE = {"SAGA#": "what an operator tried is in the audit, and a saga whose token is dead is not listed any more"}


@dataclass(frozen=True)
class Case:
    route: str
    problem: str
    given: Callable[[Any], Asked]
    kept: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return f"{self.route}: {self.problem}"


def _asking(path: str, body: Any = None, **more: Any) -> Callable[[Any], Asked]:
    return lambda _: Asked(path, body, **more)


def _pounds(amount: int, currency: str = "GBP") -> Any:
    return {"amount": amount, "currency": currency}


# ---- users


def _registering(**changes: str) -> Callable[[Any], Asked]:
    return _asking("/api/users", ADA | changes, user="")


def _own(path: str, body: Any = None, *, failures: int = 0) -> Callable[[Any], Asked]:
    """A request about the caller's account, after this many wrong passwords."""

    def given(service: Any) -> Asked:
        user_id = service.join()
        for _ in range(failures):
            service.log_in(password="wrong")
        return Asked(path, body, user=user_id)

    return given


def _closed(path: str, body: Any = None) -> Callable[[Any], Asked]:
    def given(service: Any) -> Asked:
        user_id = service.join()
        closing = service.call("PUT", "/api/users/me/closure", {"password": PASSWORD}, user_id=user_id)
        assert closing.status == 204
        return Asked(path, body, user=user_id)

    return given


def _logging_in(*, failures: int) -> Callable[[Any], Asked]:
    given = _own("/api/users/login", {"email": ADA["email"], "password": "wrong"}, failures=failures)
    return lambda service: Asked(**vars(given(service)) | {"user": ""})


def _refreshing_twice(service: Any) -> Asked:
    service.join()
    token = service.log_in().body["refresh_token"]
    newer = service.refresh(token).body["refresh_token"]
    service.refresh(newer)
    return Asked("/api/users/token/refresh", {"refresh_token": token}, user="")


def _refreshing_what_ended(service: Any) -> Asked:
    user_id = service.join()
    token = service.log_in().body["refresh_token"]
    assert service.call("DELETE", "/api/users/me/sessions", user_id=user_id).status == 204
    return Asked("/api/users/token/refresh", {"refresh_token": token}, user="")


def _mailed(service: Any, path: str) -> str:
    service.join()
    service.deliver()
    if path:
        service.call("POST", path, {"email": ADA["email"]})
        service.deliver()
    return str(service.mailer.token())


def _verifying_twice(service: Any) -> Asked:
    body = {"token": _mailed(service, "")}
    assert service.call("POST", "/api/users/verify-email", body).status == 204
    return Asked("/api/users/verify-email", body, user="")


def _resetting(password: str, *, again: bool = False) -> Callable[[Any], Asked]:
    def given(service: Any) -> Asked:
        body = {"token": _mailed(service, "/api/users/password-reset"), "new_password": password}
        if again:
            assert service.call("POST", "/api/users/password-reset/confirm", body).status == 204
        return Asked("/api/users/password-reset/confirm", body, user="")

    return given


_CHANGE = {"current_password": PASSWORD, "new_password": "a much better secret"}
_USERS = (
    Case("POST /api/users", "invalid-email", _registering(email="ada")),
    Case("POST /api/users", "invalid-request", _registering(name="\u0958" * 100)),
    Case("POST /api/users", "weak-password", _registering(password="password1234")),
    Case("POST /api/users/login", "invalid-credentials", _logging_in(failures=0), _COUNTED),
    Case("POST /api/users/login", "too-many-attempts", _logging_in(failures=6)),
    Case(
        "POST /api/users/token/refresh",
        "invalid-refresh-token",
        _asking("/api/users/token/refresh", {"refresh_token": "a" * 22 + "." + "b" * 43}, user=""),
    ),
    Case("POST /api/users/token/refresh", "invalid-refresh-token", _refreshing_what_ended, _ENDED),
    Case("POST /api/users/token/refresh", "refresh-token-reused", _refreshing_twice, _ENDED),
    Case("POST /api/users/verify-email", "invalid-token", _verifying_twice),
    Case("POST /api/users/password-reset/confirm", "invalid-token", _resetting("another secret", again=True)),
    Case("POST /api/users/password-reset/confirm", "weak-password", _resetting("password1234")),
    Case(
        "PUT /api/users/me/password",
        "wrong-password",
        _own("/api/users/me/password", _CHANGE | {"current_password": "wrong"}),
        _COUNTED,
    ),
    Case(
        "PUT /api/users/me/password",
        "weak-password",
        _own("/api/users/me/password", _CHANGE | {"new_password": "password1234"}),
        _COUNTED,
    ),
    Case("PUT /api/users/me/password", "too-many-attempts", _own("/api/users/me/password", _CHANGE, failures=6)),
    Case("PUT /api/users/me/password", "user-not-found", _closed("/api/users/me/password", _CHANGE)),
    Case("PUT /api/users/me/closure", "wrong-password", _own("/api/users/me/closure", {"password": "wrong"}), _COUNTED),
    Case(
        "PUT /api/users/me/closure",
        "too-many-attempts",
        _own("/api/users/me/closure", {"password": PASSWORD}, failures=6),
    ),
    Case("PUT /api/users/me/closure", "user-not-found", _closed("/api/users/me/closure", {"password": PASSWORD})),
    Case("PUT /api/users/me/email-verification", "user-not-found", _closed("/api/users/me/email-verification")),
    Case("DELETE /api/users/me/sessions", "user-not-found", _closed("/api/users/me/sessions")),
    Case("PATCH /api/users/me", "invalid-request", _own("/api/users/me", {"name": "\u0958" * 100})),
    Case("PATCH /api/users/me", "user-not-found", _closed("/api/users/me", {"name": "Ada King"})),
)

# ---- products

_DRAFT = {"sku": "22752", "name": "Nesting boxes", "price": _pounds(850)}


def _added(path: str, body: Any = None, *, discontinued: bool = False, **more: Any) -> Callable[[Any], Asked]:
    """A request about a product, whose id replaces `*` in the path."""

    def given(service: Any) -> Asked:
        product_id = service.add()["product_id"]
        if discontinued:
            assert service.call("DELETE", f"/{product_id}")[0] == 204
        return Asked(path.replace("*", product_id), body, role="admin", **more)

    return given


def _with_eight_pictures(service: Any) -> Asked:
    product_id = service.add()["product_id"]
    for _ in range(8):
        service.await_image(product_id)
    return Asked(f"/api/products/images/{product_id}", {}, role="admin")


def _csv(text: str) -> Callable[[Any], Asked]:
    return _asking("/api/products/imports", text, role="admin")


_PICTURE = "/api/products/images/{product_id}/{image_id}"
_NEW_PICTURE = "POST /api/products/images/{product_id}"
_ONE, _IMPORTS = "PATCH /api/products/{product_id}", "POST /api/products/imports"
_PRODUCTS = (
    Case("POST /api/products", "sku-taken", _added("/api/products", _DRAFT | {"sku": "85123A"})),
    Case("POST /api/products", "invalid-price", _added("/api/products", _DRAFT | {"price": _pounds(1, "EUR")})),
    Case(_ONE, "product-not-found", _asking("/api/products/nothing", {"version": 1, "name": "X"}, role="admin")),
    Case(_ONE, "product-discontinued", _added("/api/products/*", {"version": 2, "name": "X"}, discontinued=True)),
    Case(_ONE, "stale-version", _added("/api/products/*", {"version": 7, "name": "X"})),
    Case(_ONE, "invalid-price", _added("/api/products/*", {"version": 1, "name": "X", "price": _pounds(0)})),
    Case(
        "DELETE /api/products/{product_id}",
        "product-not-found",
        _asking("/api/products/nothing", role="admin"),
    ),
    Case(_NEW_PICTURE, "product-not-found", _asking("/api/products/images/nothing", {}, role="admin")),
    Case(_NEW_PICTURE, "product-discontinued", _added("/api/products/images/*", {}, discontinued=True)),
    Case(_NEW_PICTURE, "too-many-images", _with_eight_pictures),
    Case(f"PATCH {_PICTURE}", "product-not-found", _asking("/api/products/images/nothing/i", {}, role="admin")),
    Case(f"PATCH {_PICTURE}", "image-not-found", _added("/api/products/images/*/nothing", {"alt": ""})),
    Case(f"DELETE {_PICTURE}", "product-not-found", _asking("/api/products/images/nothing/i", role="admin")),
    Case(_IMPORTS, "wrong-columns", _csv("sku,name\n1,A\n")),
    Case(_IMPORTS, "import-too-long", _csv("sku,name,price,currency\n" + "1,A,1.00,GBP\n" * 20_000)),
)

# ---- carts


def _carts_mug(prepare: Callable[[Any], object], path: str = "/api/carts/mine/items/yacht") -> Callable[[Any], Asked]:
    """A request to put another product beside a mug."""

    def given(service: Any) -> Asked:
        service.put("mug", 1)
        service.sells("yacht", 5)
        prepare(service)
        return Asked(path, {"quantity": 2})

    return given


def _guests_mug(prepare: Callable[[Any], object]) -> Callable[[Any], Asked]:
    def given(service: Any) -> Asked:
        service.sells("yacht", 5)
        guest = service.open_guest_cart(mug=1)
        prepare(service)
        return Asked(f"/api/carts/guests/{guest}/items/yacht", {"quantity": 2}, user="")

    return given


def _dear(service: Any) -> None:
    service.sells("yacht", MAX_AMOUNT)


def _foreign(service: Any) -> None:
    service.sells("yacht", 5, currency="EUR")


def _absent(service: Any) -> None:
    del service.peer.products["yacht"]


def _discontinued(service: Any) -> None:
    """Carts have consumed the event, and the catalogue's response is older."""
    service.discontinues("yacht", version=2)


def _filled(service: Any) -> None:
    """A cart with the maximum number of lines."""
    mugs = [item for item in service.items() if item["sk"] == "LINE#mug"]
    for mug in mugs:
        lines = [mug | {"sk": f"LINE#{number}", "product_id": str(number)} for number in range(499)]
        for start in range(0, 499, 100):
            service.table.transact([dynamo.put(line) for line in lines[start : start + 100]])


def _merged(path: str, body: Any = None) -> Callable[[Any], Asked]:
    """A request about a guest's cart, `*`, that was merged."""

    def given(service: Any) -> Asked:
        service.sells("yacht", 5)
        guest = service.open_guest_cart(mug=1)
        assert service.call("POST", "/merge", {"guest_cart_id": guest})[0] == 200
        return Asked(path.replace("*", guest), body, user="" if "guests" in path else "eve")

    return given


def _merging_again(service: Any) -> Asked:
    guest = service.open_guest_cart(mug=1)
    assert service.call("POST", "/merge", {"guest_cart_id": guest})[0] == 200
    return Asked("/api/carts/merge", {"guest_cart_id": guest}, user="eve")


def _of_a_closed_account(path: str, body: Any = None) -> Callable[[Any], Asked]:
    """`*` is a guest's cart."""

    def given(service: Any) -> Asked:
        service.put("mug", 1)
        guest = service.open_guest_cart(mug=1)
        service.deliver("user.closed", "ada", {"user_id": "ada"})
        return Asked(path, body and json.loads(json.dumps(body).replace("*", guest)))

    return given


_PUT, _GUESTS_PUT = "PUT /api/carts/{cart_id}/items/{product_id}", "PUT /api/carts/guests/{cart_id}/items/{product_id}"
_ADD, _GUESTS_ADD = _PUT.replace("PUT", "POST"), _GUESTS_PUT.replace("PUT", "POST")
_REMOVE, _GUESTS_REMOVE = _PUT.replace("PUT", "DELETE"), _GUESTS_PUT.replace("PUT", "DELETE")
_AGAINST_A_LINE: dict[str, Callable[[Any], object]] = {
    "amount-too-large": _dear,
    "cart-full": _filled,
    "mixed-currencies": _foreign,
    "product-discontinued": _discontinued,
    "unknown-product": _absent,
}
_CARTS = (
    *(Case(put, problem, _carts_mug(how)) for put in (_PUT, _ADD) for problem, how in _AGAINST_A_LINE.items()),
    *(
        Case(put, problem, _guests_mug(how))
        for put in (_GUESTS_PUT, _GUESTS_ADD)
        for problem, how in _AGAINST_A_LINE.items()
    ),
    *(
        Case(put, "cart-not-found", _carts_mug(lambda _: None, f"/api/carts/{cart_of('eve')}/items/yacht"))
        for put in (_PUT, _ADD)
    ),
    *(
        Case(put, "cart-not-found", _merged("/api/carts/guests/*/items/yacht", {"quantity": 2}))
        for put in (_GUESTS_PUT, _GUESTS_ADD)
    ),
    Case(_ADD, "account-closed", _of_a_closed_account("/api/carts/mine/items/mug", {"quantity": 2})),
    Case(_REMOVE, "cart-not-found", _asking(f"/api/carts/{cart_of('eve')}/items/mug")),
    Case(_GUESTS_REMOVE, "cart-not-found", _merged("/api/carts/guests/*/items/mug")),
    Case("POST /api/carts/merge", "cart-not-found", _merging_again),
    Case(_PUT, "account-closed", _of_a_closed_account("/api/carts/mine/items/mug", {"quantity": 2})),
    Case(_REMOVE, "account-closed", _of_a_closed_account("/api/carts/mine/items/mug")),
    Case("POST /api/carts/merge", "account-closed", _of_a_closed_account("/api/carts/merge", {"guest_cart_id": "*"})),
)

# ---- orders


def _order(*lines: tuple[str, int, int], cart: Any = None) -> Callable[[Any], Asked]:
    return _asking("/api/orders", order_of(*lines) | ({"cart": cart} if cart else {}), user="cust-1")


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
    order["lines"][1]["unit_price"] = _pounds(5, "EUR")
    return Asked("/api/orders", order, user="cust-1")


def _ordering_too_much(shop: Any) -> Asked:
    shop.shelf.put(listing("yacht", MAX_AMOUNT))
    return Asked("/api/orders", order_of(("mug", 1, 1250), ("yacht", 1, MAX_AMOUNT)), user="cust-1")


def _ordering_to_nowhere(_: Any) -> Asked:
    order = order_of()
    return Asked(
        "/api/orders", order | {"shipping_address": order["shipping_address"] | {"postcode": ""}}, user="cust-1"
    )


def _ordering_where(notice: str) -> Callable[[Any], Asked]:
    def asked(shop: Any) -> Asked:
        shop.shelf.notices = [{"type": notice, "detail": "We cannot sell this there."}]
        return Asked("/api/orders", order_of(), user="cust-1")

    return asked


def _ordering_at_another_total(_: Any) -> Asked:
    return Asked("/api/orders", order_of() | {"seen_total": _pounds(1)}, user="cust-1")


def _delivered(shop: Any) -> str:
    order_id = str(shop.place()["order_id"])
    shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    parcel = {"shipment_id": "shp-1", "customer_id": "cust-1", "carrier": "sandbox", "tracking_number": "SBX1"}
    for news in ("shipment.dispatched", "shipment.delivered"):
        assert shop.hear(news, parcel | {"order_id": order_id}) == []
    return order_id


def _cancelling_what_left(shop: Any) -> Asked:
    return Asked(f"/api/orders/{_delivered(shop)}/cancel", {}, user="cust-1")


def _returning(*lines: tuple[str, int], delivered: bool = True) -> Callable[[Any], Asked]:
    body = {"lines": [{"product_id": product, "quantity": quantity} for product, quantity in lines]}

    def given(shop: Any) -> Asked:
        order_id = _delivered(shop) if delivered else shop.place()["order_id"]
        return Asked(f"/api/orders/{order_id}/returns", body | {"reason": "damaged"}, user="cust-1")

    return given


def _changing_return(
    deed: str, body: Any = None, *before: str, return_id: str = "", user: str = "boss", role: str = "admin"
) -> Callable[[Any], Asked]:
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
    vars(orders_wiring.ports())["return_terms"] = Terms(timedelta(0), Approval.STAFF)
    return _returning(("mug", 1))(shop)


def _of_another(action: str, body: Any) -> Callable[[Any], Asked]:
    return lambda shop: Asked(f"/api/orders/{_delivered(shop)}/{action}", body, user="eve")


def _quoted(user: str = "cust-1", **changes: Any) -> Callable[[Any], Asked]:
    def given(shop: Any) -> Asked:
        shop.checkout.quotes["quote-1", "cust-1"] = verified(**changes)
        return Asked("/api/orders/quoted", {"quote": "quote-1", "payment_token": "tok_ok"}, user=user)

    return given


def _quoted_with_another_card(shop: Any) -> Asked:
    assert shop.place_quoted(card="tok_declined")[0] == 202
    return _quoted()(shop)


def _quoted_after_closing(shop: Any) -> Asked:
    assert shop.hear("user.closed", {"user_id": "cust-1"}) == []
    return _quoted()(shop)


def _quoted_of_an_ordered_cart(shop: Any) -> Asked:
    cart = {"id": "cart-1", "version": 7}
    shop.place(order_of() | {"cart": cart})
    return _quoted(sale=verified()["sale"] | {"cart": cart})(shop)


def _paying(problem: str, *, by_link: bool = False) -> Callable[[Any], Asked]:
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


def _for_guest(prepare: Callable[[Any], object] = lambda _: None, **changes: Any) -> Callable[[Any], Asked]:
    """A guest orders by a quote of which the checkout says this by now."""

    def given(shop: Any) -> Asked:
        prepare(shop)
        shop.checkout.quotes["guest-quote", GUEST] = guests_sale() | changes
        body = {"quote": "guest-quote", "payment_token": "tok_ok", "cart_id": GUEST_CART}
        return Asked("/api/orders/guests", body, user="")

    return given


def _ordered_with_another_card(shop: Any) -> None:
    assert shop.place_for_guest(card="tok_declined")[0] == 202


def _by_link(
    action: str, body: Any, *, token: str = "", left: bool = False, delivered: bool = False
) -> Callable[[Any], Asked]:
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
    vars(orders_wiring.ports())["return_terms"] = Terms(timedelta(0), Approval.STAFF)
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
_LINK_CANCEL, _LINK_RETURN = "POST /api/orders/guests/{token}/cancel", "POST /api/orders/guests/{token}/returns"
_PAY, _LINK_PAY = "POST /api/orders/{order_id}/payments", "POST /api/orders/guests/{token}/payments"
_LINK_KEEP = "POST /api/orders/guests/{token}/returns/{return_id}/cancel"
_QUOTED = "POST /api/orders/quoted"
_DEARER = {"what": "price", "product_id": "mug", "was": _pounds(1250), "is_now": _pounds(1300)}
_CANCEL, _RETURN = "POST /api/orders/{order_id}/cancel", "POST /api/orders/{order_id}/returns"
_MUG_BACK = {"lines": [{"product_id": "mug", "quantity": 1}], "reason": "damaged"}
_THE_RETURN, _REFUSAL = "POST /api/orders/{order_id}/returns/{return_id}", {"refusal": "It was worn."}
_RECEIPT, _TWO_CAME, _NOTHING_CAME = ({"lines": [{"product_id": "mug", "restock": units}]} for units in (1, 2, 0))


def _of_no_order(deed: str, body: Any = None) -> Callable[[Any], Asked]:
    return lambda _: Asked(f"/api/orders/none/returns/none/{deed}", body, role="admin")


_ORDERS = (
    Case("POST /api/orders", "price-changed", _order(("mug", 1, 1250), ("pot", 1, 1999))),
    Case("POST /api/orders", "unknown-product", _order(("mug", 1, 1250), ("nothing", 1, 5))),
    Case("POST /api/orders", "cart-already-ordered", _ordering_twice),
    Case("POST /api/orders", "account-closed", _ordering_after_closing),
    Case("POST /api/orders", "mixed-currencies", _ordering_two_currencies),
    Case("POST /api/orders", "order-too-large", _ordering_too_much),
    Case("POST /api/orders", "invalid-address", _ordering_to_nowhere),
    Case("POST /api/orders", "quote-changed", _ordering_at_another_total),
    *(
        Case("POST /api/orders", problem, _ordering_where(problem))
        for problem in ("no-rate-for-destination", "parcel-too-heavy", "service-not-offered", "no-tax-rate")
    ),
    Case(_QUOTED, "invalid-quote", _quoted(user="eve")),
    Case(_QUOTED, "quote-expired", _quoted(is_expired=True)),
    Case(_QUOTED, "quote-changed", _quoted(differences=[_DEARER], sale=None)),
    Case(_QUOTED, "quote-already-ordered", _quoted_with_another_card),
    Case(_QUOTED, "account-closed", _quoted_after_closing),
    Case(_QUOTED, "cart-already-ordered", _quoted_of_an_ordered_cart),
    Case(_FOR_GUEST, "invalid-quote", _for_guest(sale=guests_sale()["sale"] | {"contact": None})),
    Case(_FOR_GUEST, "quote-expired", _for_guest(is_expired=True)),
    Case(_FOR_GUEST, "quote-changed", _for_guest(differences=[_DEARER], sale=None)),
    Case(_FOR_GUEST, "quote-already-ordered", _for_guest(_ordered_with_another_card)),
    Case(_FOR_GUEST, "cart-already-ordered", _for_guest(lambda shop: shop.place_for_guest(), checkout_id="co-2")),
    Case(_LINK_CANCEL, "link-not-found", _by_link("cancel", {}, token="A" * 43)),
    Case(_LINK_CANCEL, "order-not-cancellable", _by_link("cancel", {}, left=True)),
    Case(_LINK_RETURN, "link-not-found", _by_link("returns", _back("mug", 1), token="A" * 43, delivered=True)),
    Case(_LINK_RETURN, "order-not-returnable", _by_link("returns", _back("mug", 1))),
    Case(_LINK_RETURN, "return-window-closed", _by_link_too_late),
    Case(_LINK_RETURN, "return-too-large", _by_link("returns", _back("mug", 3), delivered=True)),
    Case(_LINK_RETURN, "not-in-order", _by_link("returns", _back("vase", 1), delivered=True)),
    Case(_LINK_KEEP, "link-not-found", _by_link("returns/none/cancel", None, token="A" * 43, delivered=True)),
    Case(_LINK_KEEP, "return-not-found", _by_link("returns/none/cancel", None, delivered=True)),
    Case(_LINK_KEEP, "return-not-changeable", _keeping_what_is_kept),
    Case(_CANCEL, "order-not-found", _of_another("cancel", {})),
    Case(_CANCEL, "order-not-cancellable", _cancelling_what_left),
    *(Case(_PAY, problem, _paying(problem)) for problem in ("order-not-found", *_UNPAYABLE)),
    *(Case(_LINK_PAY, problem, _paying(problem, by_link=True)) for problem in ("link-not-found", *_UNPAYABLE)),
    Case(_RETURN, "order-not-found", _of_another("returns", _MUG_BACK)),
    Case(_RETURN, "order-not-returnable", _returning(("mug", 1), delivered=False)),
    Case(_RETURN, "return-too-large", _returning(("pot", 1), ("mug", 3))),
    Case(_RETURN, "not-in-order", _returning(("mug", 1), ("vase", 1))),
    Case(_RETURN, "return-window-closed", _returning_too_late),
    Case(f"{_THE_RETURN}/cancel", "order-not-found", _changing_return("cancel", user="eve", role="customer")),
    Case(f"{_THE_RETURN}/approve", "order-not-found", _of_no_order("approve")),
    Case(f"{_THE_RETURN}/refuse", "order-not-found", _of_no_order("refuse", _REFUSAL)),
    Case(f"{_THE_RETURN}/receive", "order-not-found", _of_no_order("receive", _RECEIPT)),
    Case(f"{_THE_RETURN}/cancel", "return-not-found", _changing_return("cancel", return_id="none")),
    Case(f"{_THE_RETURN}/approve", "return-not-found", _changing_return("approve", return_id="none")),
    Case(f"{_THE_RETURN}/refuse", "return-not-found", _changing_return("refuse", _REFUSAL, return_id="none")),
    Case(f"{_THE_RETURN}/receive", "return-not-found", _changing_return("receive", _RECEIPT, return_id="none")),
    Case(f"{_THE_RETURN}/cancel", "return-not-changeable", _changing_return("cancel", None, "cancel")),
    Case(f"{_THE_RETURN}/approve", "return-not-changeable", _changing_return("approve", None, "approve")),
    Case(f"{_THE_RETURN}/refuse", "return-not-changeable", _changing_return("refuse", _REFUSAL, "approve")),
    Case(f"{_THE_RETURN}/receive", "return-not-changeable", _changing_return("receive", _RECEIPT)),
    Case(f"{_THE_RETURN}/receive", "more-than-requested", _changing_return("receive", _TWO_CAME, "approve")),
    Case(f"{_THE_RETURN}/receive", "nothing-received", _changing_return("receive", _NOTHING_CAME, "approve")),
)

# ---- payments


def _refunding(amount: int, currency: str = "GBP", *, token: str = "tok_ok") -> Callable[[Any], Asked]:  # noqa: S107
    def given(till: Any) -> Asked:
        till.authorize(token)
        till.capture()
        body = {"amount": _pounds(amount, currency), "reason": "damaged"}
        return Asked(f"/api/payments/{PAYMENT}/refunds", body, role="admin")

    return given


def _refunding_disputed(till: Any) -> Asked:
    asked = _refunding(5)(till)
    till.provider.dispute(charge_id_of(PAYMENT), "dp-1", 400)
    changed = ChargeChanged("evt-1", payment_id=PAYMENT, is_dispute=True)
    payments_usecases.observe(changed, payments_wiring.ports(), utc_now())
    return asked


def _refunding_uncaptured(till: Any) -> Asked:
    till.authorize()
    return Asked(f"/api/payments/{PAYMENT}/refunds", {"amount": _pounds(5), "reason": "damaged"}, role="admin")


def _signed(path: str, body: str, timestamp: str) -> Asked:
    signature = sign(SECRET, timestamp, body.encode())
    return Asked(path, body, user="", headers={"X-Webhook-Timestamp": timestamp, "X-Webhook-Signature": signature})


_REFUND = "POST /api/payments/{payment_id}/refunds"
_PAYMENTS = (
    Case(
        _REFUND,
        "unknown-payment",
        _asking("/api/payments/nothing/refunds", {"amount": _pounds(5), "reason": "damaged"}, role="admin"),
    ),
    Case(
        "POST /api/payments/sandbox/challenges/{charge_id}",
        "unknown-payment",
        _asking("/api/payments/sandbox/challenges/ch_nobodys", {"outcome": "confirmed"}),
    ),
    Case(
        "POST /api/payments/guests/sandbox/challenges/{charge_id}",
        "unknown-payment",
        _asking("/api/payments/guests/sandbox/challenges/ch_nobodys", {"outcome": "confirmed"}, user=""),
    ),
    Case(_REFUND, "not-refundable", _refunding_uncaptured),
    Case(_REFUND, "refund-too-large", _refunding(1001)),
    Case(_REFUND, "wrong-currency", _refunding(5, "EUR")),
    Case(_REFUND, "payment-disputed", _refunding_disputed),
    Case(_REFUND, "refund-refused", _refunding(5, token="tok_refund_declined"), _REFUSED),
)

# ---- inventory


def _adjusting(*parts: tuple[str, int]) -> Callable[[Any], Asked]:
    def given(shop: Any) -> Asked:
        shop.stocked(a=5, b=5)
        adjustments = [{"product_id": product, "delta": delta, "reason": "count"} for product, delta in parts]
        if len(parts) == 1:
            ((product, delta),) = parts
            return Asked(f"/api/inventory/{product}/adjustments", {"delta": delta, "reason": "count"}, role="admin")
        return Asked("/api/inventory/adjustments", {"adjustments": adjustments}, role="admin")

    return given


def _stale_threshold(shop: Any) -> Asked:
    shop.stocked(a=5)
    return Asked("/api/inventory/a/threshold", {"low_at": 3, "version": 7}, role="admin")


_ADJUST, _ADJUST_ONE = "POST /api/inventory/adjustments", "POST /api/inventory/{product_id}/adjustments"
_INVENTORY = (
    Case(_ADJUST, "unknown-product", _adjusting(("a", 1), ("nothing", 1))),
    Case(_ADJUST, "below-zero", _adjusting(("a", 1), ("b", -6))),
    Case(_ADJUST, "duplicate-product", _adjusting(("a", 1), ("a", 1))),
    Case(_ADJUST_ONE, "unknown-product", _adjusting(("nothing", 1))),
    Case(_ADJUST_ONE, "below-zero", _adjusting(("b", -6))),
    Case(
        "PUT /api/inventory/{product_id}/shards",
        "unknown-product",
        _asking("/api/inventory/nothing/shards", {"shards": 4}, role="admin"),
    ),
    Case(
        "PUT /api/inventory/{product_id}/threshold",
        "unknown-product",
        _asking("/api/inventory/nothing/threshold", {"low_at": 4, "version": 0}, role="admin"),
    ),
    Case("PUT /api/inventory/{product_id}/threshold", "stale-threshold", _stale_threshold),
)

# ---- notifications and shipping


def _preferring(service: Any) -> Asked:
    service.register("user-1")
    service.receive(service.event("user.closed", "closed-1", {"user_id": "user-1"}))
    return Asked("/api/notifications/preferences", {"email": False}, user="user-1")


def _wishing(available: int | None, *, wishes: int = 0) -> Callable[[Any], Asked]:
    def given(service: Any) -> Asked:
        service.register("user-1")
        for number in range(wishes):
            service.sells(f"p-{number}")
            assert service.call("PUT", f"/api/notifications/wishes/p-{number}")[0] == 200
        service.sells("mug", available=available)
        return Asked("/api/notifications/wishes/mug", user="user-1")

    return given


def _asking_as_guest(available: int, **body: str) -> Callable[[Any], Asked]:
    def given(service: Any) -> Asked:
        service.sells("mug", available=available)
        wish = {"product_id": "mug", "email": "ada@example.com"} | body
        return Asked("/api/notifications/guest-wishes", wish, user="")

    return given


def _confirming(**moved: Any) -> Callable[[Any], Asked]:
    """The product is sold again, or no more, before the guest confirms."""

    def given(service: Any) -> Asked:
        service.sells("mug")
        token = service.asked_by("ada@example.com")
        service.sells("mug", **moved)
        return Asked(f"/api/notifications/guest-wishes/{token}", user="")

    return given


def _wishing_after_closing(service: Any) -> Asked:
    asked = _wishing(0)(service)
    service.receive(service.event("user.closed", "closed-1", {"user_id": "user-1"}))
    return asked


def _reporting(status: str, **changes: str) -> Callable[[Any], Asked]:
    def given(service: Any) -> Asked:
        service.confirm()
        report = {"shipment_id": SHIPMENT, "tracking_number": "TRACK-1", "status": status} | changes
        stamp = str(int(service.now.timestamp()))
        return _signed("/api/shipments/webhooks/sandbox", json.dumps(report), stamp)

    return given


def _sending(port: str, *before: str, **told: str | None) -> Callable[[Any], Asked]:
    """A report of staff on a parcel of that carrier, after what is named has happened to it. A None is left out."""

    def given(service: Any) -> Asked:
        settings = shipping_wiring.CarrierSettings(port, service.queue_url, 0)
        vars(shipping_wiring.ports())["carrier_settings"] = settings
        for name in before:
            getattr(service, name)()
        report = {"stop": "dispatched", "carrier": "Royal Mail", "tracking_number": "RM-1"} | told
        said = {name: value for name, value in report.items() if value}
        return Asked(f"/api/shipments/{SHIPMENT}/reports", said, role="admin")

    return given


def _sent_already(service: Any) -> Asked:
    asked = _sending("manual", "confirm", "pay")(service)
    answer = service.call("POST", asked.path, body=json.dumps(asked.body), user="admin-1", role="admin")
    assert answer[0] == 200
    return _sending("manual", tracking_number="RM-2")(service)


def _with_a_label(service: Any) -> Asked:
    asked = _sending("manual", "confirm", "pay")(service)
    known = service.store.load(SHIPMENT)
    label = Booking("USPS", "9400110898825022579493", "https://labels.invalid/9400.pdf")
    service.store.save(replace(known.shipment, **vars(label)), known, service.now)
    return asked


def _quoting(**parcel: Any) -> Callable[[Any], Asked]:
    """A quote of a parcel, in a shop that sends at most 20 kg to GB and IE."""

    def given(service: Any) -> Asked:
        assert put(service, 0, ZONE)[0] == 200
        return Asked("/api/shipments/quotes", {"country": "GB", "items": 1} | parcel)

    return given


def _rating(*zones: Any, version: int = 0) -> Callable[[Any], Asked]:
    body = {"version": version, "currency": "GBP", "zones": zones or [ZONE]}
    return _asking("/api/shipments/rates", body, role="admin")


def _texting(kind: str = "order_shipped", *, offered: bool = True, **more: str) -> Callable[[Any], Asked]:
    """Switches text messages of this kind on."""

    def given(service: Any) -> Asked:
        service.register("user-1")
        if not offered:
            vars(notification_wiring.ports())["settings"] = notification_wiring.Settings("", "", "https://shop.example")
        kinds = [{"kind": kind, "email": True, "sms": True}]
        return Asked("/api/notifications/preferences", {"email": True, "kinds": kinds} | more, user="user-1")

    return given


def _as_guest(given: Callable[[Any], Asked]) -> Callable[[Any], Asked]:
    """The same wish about a guest's order, by its link."""
    return lambda service: replace(given(service), path=service.know_link(), user="")


def _after_the_order_is_forgotten(service: Any) -> Asked:
    service.store.close_account(reader_of_guest("order-1"), service.now)
    return Asked(service.know_link(), {"email": False}, user="")


def _reminding(email: str) -> Callable[[Any], Asked]:
    return _asking(f"/api/notifications/guests/guest-{'0' * 48}/reminder", {"email": email}, user="")


_REMINDER, _WAY_BACK = "PUT /api/notifications/guests/{cart_id}/reminder", "/api/notifications/guest-reminders"
_RECEIPTS_OFF = _asking(
    "/api/notifications/preferences", {"email": True, "kinds": [{"kind": "receipt", "email": False}]}
)
_GUESTS_SWITCHES = "PUT /api/notifications/guests/{token}/preferences"
_TEXTING = {
    "number-missing": _texting(),
    "invalid-number": _texting(phone="020 7946 0958"),
    "not-by-sms": _texting("receipt"),
    "sms-not-offered": _texting(offered=False),
}
_QUOTES, _RATES = "POST /api/shipments/quotes", "PUT /api/shipments/rates"
_REPORT, _BY_HAND = "POST /api/shipments/webhooks/sandbox", "POST /api/shipments/{shipment_id}/reports"
_TEXT, _WORDS = "PUT /api/notifications/texts/{name}/{language}", {"subject": "A receipt", "body": "{{ amount }}"}
_WISH = "PUT /api/notifications/wishes/{product_id}"
_ASKED, _CONFIRM = "POST /api/notifications/guest-wishes", "/api/notifications/guest-wishes/{token}"
_OTHERS = (
    Case(
        "POST /api/notifications/{notification_id}/read",
        "notification-not-found",
        _asking("/api/notifications/nothing/read"),
    ),
    Case("PUT /api/notifications/preferences", "reader-gone", _preferring),
    Case(
        "PUT /api/notifications/preferences",
        "needed-for-order",
        _RECEIPTS_OFF,
    ),
    *(Case("PUT /api/notifications/preferences", slug, given) for slug, given in _TEXTING.items()),
    *(Case(_GUESTS_SWITCHES, slug, _as_guest(given)) for slug, given in _TEXTING.items()),
    Case(_GUESTS_SWITCHES, "needed-for-order", _as_guest(_RECEIPTS_OFF)),
    Case(_GUESTS_SWITCHES, "reader-gone", _after_the_order_is_forgotten),
    Case(
        _GUESTS_SWITCHES,
        "link-not-found",
        _asking("/api/notifications/guests/nothing/preferences", {"email": False}, user=""),
    ),
    Case(
        _TEXT, "text-not-found", _asking("/api/notifications/texts/receipt/fr", _WORDS | {"version": 0}, role="admin")
    ),
    Case(_TEXT, "text-changed", _asking("/api/notifications/texts/receipt/en", _WORDS | {"version": 7}, role="admin")),
    Case(
        _TEXT,
        "invalid-text",
        _asking("/api/notifications/texts/receipt/en", _WORDS | {"body": "{{ card }}", "version": 0}, role="admin"),
    ),
    Case(
        f"POST {_TEXT.partition(' ')[2]}/previews",
        "text-not-found",
        _asking("/api/notifications/texts/receipt/fr/previews", _WORDS, role="admin"),
    ),
    Case(
        f"POST {_TEXT.partition(' ')[2]}/previews",
        "invalid-text",
        _asking("/api/notifications/texts/receipt/en/previews", _WORDS | {"body": "{{ card }}"}, role="admin"),
    ),
    Case(
        "POST /api/notifications/unsubscriptions/{token}",
        "unknown-link",
        _asking("/api/notifications/unsubscriptions/dXNlci0x.bm8", user=""),
    ),
    Case(
        "DELETE /api/notifications/stops/{stop_id}",
        "stop-not-found",
        _asking("/api/notifications/stops/nothing", role="admin"),
    ),
    Case(_REMINDER, "invalid-email", _reminding("nobody")),
    Case(_REMINDER, "cart-not-found", _reminding("gita@example.com")),
    Case("DELETE /api/notifications/guest-reminders/{token}", "unknown-link", _asking(f"{_WAY_BACK}/bm8.bm8", user="")),
    Case(_ASKED, "invalid-email", _asking_as_guest(0, email="nobody")),
    Case(_ASKED, "in-stock", _asking_as_guest(7)),
    Case(_ASKED, "unknown-product", _asking_as_guest(0, product_id="nothing")),
    Case(f"POST {_CONFIRM}", "unknown-link", _asking("/api/notifications/guest-wishes/bm8.bm8", user="")),
    Case(f"POST {_CONFIRM}", "in-stock", _confirming(available=7)),
    Case(f"POST {_CONFIRM}", "unknown-product", _confirming(status="discontinued")),
    Case(f"DELETE {_CONFIRM}", "unknown-link", _asking("/api/notifications/guest-wishes/bm8.bm8", user="")),
    Case(_WISH, "unknown-product", _asking("/api/notifications/wishes/nothing")),
    Case(_WISH, "in-stock", _wishing(7)),
    Case(_WISH, "too-many-wishes", _wishing(0, wishes=MOST_WISHES)),
    Case(_WISH, "reader-gone", _wishing_after_closing),
    Case(_REPORT, "shipment-not-found", _reporting("dispatched", shipment_id="nothing")),
    Case(_REPORT, "not-with-carrier", _reporting("dispatched")),
    Case(_BY_HAND, "shipment-not-found", _sending("manual")),
    Case(_BY_HAND, "not-with-carrier", _sending("manual", "confirm")),
    Case(_BY_HAND, "not-by-hand", _sending("sandbox", "confirm", "pay")),
    Case(_BY_HAND, "parcel-cancelled", _sending("manual", "confirm", "pay", "stop")),
    Case(_BY_HAND, "parcel-left", _sent_already),
    Case(_QUOTES, "no-rate-for-destination", _quoting(country="FR")),
    Case(_QUOTES, "parcel-too-heavy", _quoting(weight_grams=20_001)),
    Case(_QUOTES, "other-currency", _quoting(goods={"amount": 1, "currency": "EUR"})),
    Case(_RATES, "rate-table-changed", _rating(version=3)),
    Case(_RATES, "invalid-rate-table", _rating(ZONE, ZONE)),
    Case(_BY_HAND, "label-is-of-another", _with_a_label),
    Case(_BY_HAND, "no-carrier", _sending("manual", "confirm", "pay", carrier=None)),
)

# ---- ops


def _resuming(step: str | None, *, dead: bool = False, **more: Any) -> Callable[[Any], Asked]:
    def given(desk: Any) -> Asked:
        assert desk.park(message()) == []
        if dead:
            desk.machine.fail_with = "TaskDoesNotExist"
        body = {"action": "skip", "reason": "table is back"} | ({"step": step} if step else {})
        return Asked(more.get("path", "/api/ops/sagas/ord-1/resume"), body, role="admin")

    return given


def _redriving(queue: str | None = None, *, note: str = "mended") -> Callable[[Any], Asked]:
    body = {"dry_run": False, "max": 10} | ({"note": note} if note else {}) | ({"queue": queue} if queue else {})

    def given(_: Any) -> Asked:
        sqs = boto3.client("sqs", "us-east-1")
        sqs.create_queue(QueueName="mercato-relay-dlq")
        return Asked("/api/ops/dlq/redrive", body, role="admin")

    return given


def _redriving_saga(status: str) -> Callable[[Any], Asked]:
    """A request to redrive an execution with this status. Without a status there is none."""

    def given(desk: Any) -> Asked:
        def describe_execution(**_: Any) -> Any:
            if not status:
                raise ClientError({"Error": {"Code": "ExecutionDoesNotExist", "Message": "no"}}, "DescribeExecution")
            return {"executionArn": "arn:x:ord-1", "name": "ord-1", "status": status, "startDate": NOON}

        desk.machine.describe_execution = describe_execution
        desk.machine.describe_state_machine_for_execution = lambda **_: {"definition": "{}"}
        desk.machine.get_execution_history = lambda **_: {"events": []}
        return Asked("/api/ops/sagas/ord-1/redrive", {"reason": "mended"}, role="admin")

    return given


_SAGA = "POST /api/ops/sagas/{order_id}/redrive"
_RESUME, _REDRIVE = "POST /api/ops/sagas/{order_id}/resume", "POST /api/ops/dlq/redrive"
_OPS = (
    Case(_RESUME, "step-missing", _resuming(None)),
    Case(_RESUME, "another-step-parked", _resuming("CancelOrder")),
    Case(_RESUME, "saga-not-parked", _resuming("ReleaseInventory", path="/api/ops/sagas/ord-2/resume")),
    Case(_RESUME, "saga-not-parked", _resuming("ReleaseInventory", dead=True), _STALE),
    Case(
        "POST /api/ops/circuits/{name}",
        "unknown-circuit",
        _asking("/api/ops/circuits/nothing", {"action": "force_open", "reason": "testing"}, role="admin"),
    ),
    Case(_SAGA, "saga-not-found", _redriving_saga("")),
    Case(_SAGA, "saga-not-redrivable", _redriving_saga("RUNNING")),
    Case(_REDRIVE, "note-missing", _redriving("mercato-relay-dlq", note="")),
    Case(_REDRIVE, "nothing-selected", _redriving()),
    Case(_REDRIVE, "dead-letter-queue-not-found", _redriving("mercato-nothing-dlq")),
    Case(_REDRIVE, "not-redrivable", _redriving("mercato-relay-dlq")),
)

# ---- checkout

_CHECKOUTS, _CHECKOUT = "POST /api/checkouts", "PATCH /api/checkouts/{checkout_id}"


def _opening(prepare: Callable[[Any], object] = lambda _: None, **given: Any) -> Callable[[Any], Asked]:
    """A checkout of the cart, opened after a change of the peers."""

    def asked(desk: Any) -> Asked:
        prepare(desk)
        return Asked("/api/checkouts", {"cart": CART, "shipping_address": ADDRESS, "service": "standard"} | given)

    return asked


def _changing(
    prepare: Callable[[Any], object] = lambda _: None, user: str = "ada", **given: Any
) -> Callable[[Any], Asked]:
    """A change of an open checkout, after a change of the peers."""

    def asked(desk: Any) -> Asked:
        checkout_id = desk.open()["checkout_id"]
        prepare(desk)
        return Asked(f"/api/checkouts/{checkout_id}", {"version": 1, "service": "express"} | given, user=user)

    return asked


def _opening_as_guest(
    prepare: Callable[[Any], object] = lambda _: None, cart_id: str = GUEST_CART, **given: Any
) -> Callable[[Any], Asked]:
    def asked(desk: Any) -> Asked:
        prepare(desk)
        wanted = {"cart_version": CART["version"], "shipping_address": ADDRESS, "service": "standard"}
        return Asked(f"/api/checkouts/guests/{cart_id}", wanted | given, user="")

    return asked


def _changing_as_guest(
    prepare: Callable[[Any], object] = lambda _: None, cart_id: str = GUEST_CART, **given: Any
) -> Callable[[Any], Asked]:
    def asked(desk: Any) -> Asked:
        path = f"/api/checkouts/guests/{cart_id}/{desk.open_guests()['checkout_id']}"
        prepare(desk)
        return Asked(path, {"version": 1, "service": "express"} | given, user="")

    return asked


def _impossible(asking: Callable[..., Callable[[Any], Asked]], route: str) -> tuple[Case, ...]:
    """What makes the checkout impossible, whichever request finds it."""
    to_france = {"shipping_address": ADDRESS | {"country": "FR", "postcode": "75001"}, "service": "standard"}
    to_nowhere = {"shipping_address": ADDRESS | {"country": "AQ"}, "service": None}
    euros = {"price": _pounds(1250, "EUR")}
    return (
        Case(route, "product-not-for-sale", asking(lambda desk: desk.peers.sells("mug", 1250, status="discontinued"))),
        Case(route, "short-of-stock", asking(lambda desk: desk.peers.sells("mug", 1250, available=1))),
        Case(route, "mixed-currencies", asking(lambda desk: desk.peers.products["mug"].update(euros))),
        Case(route, "no-rate-for-destination", asking(**to_nowhere)),
        Case(route, "parcel-too-heavy", asking(lambda desk: vars(desk.peers).update(max_grams=1499))),
        Case(route, "mixed-currencies", asking(lambda desk: vars(desk.peers).update(rates_currency="EUR"))),
        Case(route, "invalid-address", asking(shipping_address=ADDRESS | {"country": "US"})),
        Case(route, "service-not-offered", asking(**to_france | {"service": "express"})),
        Case(route, "code-rejected", asking(codes=["NOBODY"])),
        Case(route, "codes-unavailable", asking(lambda desk: desk.peers.down.add("promotions"), codes=["TEN"])),
        Case(route, "nothing-to-pay", asking(_give_all, codes=["TEN", "POST"])),
        Case(route, "too-many-codes", asking(lambda desk: setattr(desk.peers, "guessed", True), codes=["TEN"])),
        Case(route, "no-tax-rate", asking(lambda desk: desk.peers.sells("mug", 1250, tax_class="wine"))),
    )


def _give_all(desk: Any) -> None:
    desk.peers.gives(replace(ALL_OFF, basis_points=10_000, combines=True))
    desk.peers.gives(replace(POST, combines=True))


def _empty_cart(desk: Any) -> None:
    desk.peers.cart["lines"] = []


def _full_cart(desk: Any) -> None:
    desk.peers.cart["lines"] = [{"product_id": f"p{number}", "quantity": 1} for number in range(251)]


def _taxes(version: int = 0, *, doubled: bool = False) -> Callable[[Any], Asked]:
    rate = {"country": "GB", "tax_class": "standard", "rate": "0.2000", "valid_from": "2026-01-01"}
    body = {"version": version, "rates": [rate, rate] if doubled else [rate]}
    return _asking("/api/checkouts/taxes", body, role="admin")


_GUESTS_OPEN = "POST /api/checkouts/guests/{cart_id}"
_GUESTS_CHANGE = "PATCH /api/checkouts/guests/{cart_id}/{checkout_id}"
_NO_EMAIL = {"email": "ada at example"}
_WITH_CONTACT: dict[str, Callable[..., Callable[[Any], Asked]]] = {
    _CHECKOUTS: _opening,
    _CHECKOUT: _changing,
    _GUESTS_OPEN: _opening_as_guest,
    _GUESTS_CHANGE: _changing_as_guest,
}
_CHECKOUT_CASES = (
    *_impossible(_opening, _CHECKOUTS),
    *_impossible(_changing, _CHECKOUT),
    Case(_CHECKOUTS, "cart-changed", _opening(cart=CART | {"version": 6})),
    Case(_CHECKOUTS, "cart-empty", _opening(_empty_cart)),
    Case(_CHECKOUTS, "goods-not-named", _opening(cart=None)),
    Case(_CHECKOUTS, "goods-not-named", _opening(lines=[{"product_id": "mug", "quantity": 1}])),
    Case(_CHECKOUTS, "too-many-lines", _opening(_full_cart)),
    Case(_CHECKOUT, "checkout-changed", _changing(version=2)),
    Case(_CHECKOUT, "checkout-not-found", _changing(user="eve")),
    *(Case(route, "invalid-email", asking(contact=_NO_EMAIL)) for route, asking in _WITH_CONTACT.items()),
    *_impossible(_opening_as_guest, _GUESTS_OPEN),
    *_impossible(_changing_as_guest, _GUESTS_CHANGE),
    Case(_GUESTS_OPEN, "cart-changed", _opening_as_guest(cart_version=6)),
    Case(_GUESTS_OPEN, "cart-empty", _opening_as_guest(_empty_cart)),
    Case(_GUESTS_OPEN, "cart-not-found", _opening_as_guest(cart_id="guest-unknown")),
    Case(_GUESTS_OPEN, "too-many-lines", _opening_as_guest(_full_cart)),
    Case(_GUESTS_CHANGE, "checkout-changed", _changing_as_guest(version=2)),
    Case(_GUESTS_CHANGE, "checkout-not-found", _changing_as_guest(cart_id="guest-unknown")),
    Case("PUT /api/checkouts/taxes", "tax-table-changed", _taxes(version=3)),
    Case("PUT /api/checkouts/taxes", "invalid-tax-table", _taxes(doubled=True)),
)

# ---- promotions

_NEW_COUPON, _OLD_COUPON = "POST /api/promotions/coupons", "PATCH /api/promotions/coupons/{code}"


def _coupon(body: Any, *, ended: bool = False, path: str = "/api/promotions/coupons/TEN") -> Callable[[Any], Asked]:
    """A request about coupons, where there is one of 10 %."""

    def asked(desk: Any) -> Asked:
        desk.add()
        if ended:
            desk.call("DELETE", "/api/promotions/coupons/TEN")
        return Asked(path, body, role="admin")

    return asked


_PROMOTIONS = (
    Case(_NEW_COUPON, "coupon-exists", _coupon(TEN | {"code": "ten"}, path="/api/promotions/coupons")),
    Case(_NEW_COUPON, "invalid-coupon", _asking("/api/promotions/coupons", TEN | {"kind": "amount"}, role="admin")),
    Case(_OLD_COUPON, "coupon-not-found", _asking("/api/promotions/coupons/NO", {"version": 1}, role="admin")),
    Case(_OLD_COUPON, "coupon-changed", _coupon({"version": 2})),
    Case(_OLD_COUPON, "coupon-ended", _coupon({"version": 2}, ended=True)),
    Case(_OLD_COUPON, "invalid-coupon", _coupon({"version": 1, "limit": 5})),
    Case(
        "DELETE /api/promotions/coupons/{code}", "coupon-not-found", _asking("/api/promotions/coupons/NO", role="admin")
    ),
)

# ---- documents

_SELLER = {"version": 5, "seller": {"name": "Mercato Ltd"}}
_NUMBERS = "PUT /api/documents/numbering"
_NUMBERING: dict[str, Any] = {
    "version": 0,
    "numbering": {"invoice_prefix": "RE", "credit_note_prefix": "GU", "counting": "continuous"},
}
_DOCUMENTS = (
    Case("PUT /api/documents/seller", "seller-changed", _asking("/api/documents/seller", _SELLER, role="admin")),
    Case(
        "PUT /api/documents/seller",
        "invalid-email",
        _asking(
            "/api/documents/seller", {"version": 0, "seller": {"name": "Mercato Ltd", "email": "shop"}}, role="admin"
        ),
    ),
    Case(_NUMBERS, "numbering-changed", _asking("/api/documents/numbering", _NUMBERING | {"version": 5}, role="admin")),
    Case(
        _NUMBERS,
        "prefix-taken",
        _asking(
            "/api/documents/numbering",
            _NUMBERING | {"numbering": _NUMBERING["numbering"] | {"credit_note_prefix": "INV"}},
            role="admin",
        ),
    ),
)

CASES = (
    *_USERS,
    *_PRODUCTS,
    *_CARTS,
    *_CHECKOUT_CASES,
    *_PROMOTIONS,
    *_DOCUMENTS,
    *_ORDERS,
    *_PAYMENTS,
    *_INVENTORY,
    *_OTHERS,
    *_OPS,
)
