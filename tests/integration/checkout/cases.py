"""What the tests of all services try with checkout. tests/kit/cases.py says what each list is for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from checkout.domain import CheckoutChanged, Line, Session
from checkout.store import Checkouts
from mercato.store.dynamo import Table
from tests.integration.checkout.conftest import ADDRESS, CART, GUEST_CART, POST
from tests.integration.checkout.conftest import TEN as ALL_OFF
from tests.kit.asked import Asked, asking
from tests.kit.cases import Accepted, Expiring, Given, Keyed, KeyedRequest, MayGo, Refused
from tests.kit.given import money

# ---- requests that succeed


def _open_checkout(desk: Any) -> Asked:
    return Asked(f"/api/checkouts/{desk.open()['checkout_id']}", {"version": 1, "service": "express"})


def _goods(_: Any) -> Asked:
    line = {"product_id": "mug", "quantity": 2}
    home = {"name": "Ada", "line1": "1 Quay", "city": "Leith", "postcode": "EH6 6QQ", "country": "GB"}
    return Asked("/api/checkouts/prices", {"lines": [line], "shipping_address": home}, role="peer")


def _quote(desk: Any) -> Asked:
    return Asked(
        "/api/checkouts/verifications",
        {"quote": desk.open()["quote"]["token"]},
        role="peer",
        headers={"X-User-Id": "ada"},
    )


def _open_guests_checkout(desk: Any) -> Asked:
    path = f"/api/checkouts/guests/{GUEST_CART}/{desk.open_guests()['checkout_id']}"
    return Asked(path, {"version": 1, "service": "express"}, user="")


ACCEPTED = (
    Accepted("PATCH /api/checkouts/{checkout_id}", _open_checkout),
    Accepted("PATCH /api/checkouts/guests/{cart_id}/{checkout_id}", _open_guests_checkout),
    Accepted("PUT /api/checkouts/taxes", asking("/api/checkouts/taxes", {"version": 0, "rates": []}, role="admin")),
    Accepted("POST /api/checkouts/prices", _goods),
    Accepted("POST /api/checkouts/verifications", _quote),
)

# ---- requests with an Idempotency-Key


def _opening(_: Any) -> KeyedRequest:
    body = {"lines": [{"product_id": "mug", "quantity": 1}]}
    return KeyedRequest("/api/checkouts", body, body | {"service": "standard"})


def _opening_as_guest(_: Any) -> KeyedRequest:
    body = {"cart_version": CART["version"]}
    return KeyedRequest(f"/api/checkouts/guests/{GUEST_CART}", body, body | {"contact": {"email": "ada@example.com"}})


KEYED = (
    Keyed("POST /api/checkouts", _opening),
    Keyed("POST /api/checkouts/guests/{cart_id}", _opening_as_guest),
)

# ---- requests that are refused


_CHECKOUTS = "POST /api/checkouts"
_CHECKOUT = "PATCH /api/checkouts/{checkout_id}"


def _opening_where(prepare: Callable[[Any], object] = lambda _: None, **given: Any) -> Given:
    """A checkout of the cart, opened after a change of the peers."""

    def asked(desk: Any) -> Asked:
        prepare(desk)
        return Asked("/api/checkouts", {"cart": CART, "shipping_address": ADDRESS, "service": "standard"} | given)

    return asked


def _changing_where(prepare: Callable[[Any], object] = lambda _: None, user: str = "ada", **given: Any) -> Given:
    """A change of an open checkout, after a change of the peers."""

    def asked(desk: Any) -> Asked:
        checkout_id = desk.open()["checkout_id"]
        prepare(desk)
        return Asked(f"/api/checkouts/{checkout_id}", {"version": 1, "service": "express"} | given, user=user)

    return asked


def _opening_as_guest_where(
    prepare: Callable[[Any], object] = lambda _: None, cart_id: str = GUEST_CART, **given: Any
) -> Given:
    def asked(desk: Any) -> Asked:
        prepare(desk)
        wanted = {"cart_version": CART["version"], "shipping_address": ADDRESS, "service": "standard"}
        return Asked(f"/api/checkouts/guests/{cart_id}", wanted | given, user="")

    return asked


def _changing_as_guest_where(
    prepare: Callable[[Any], object] = lambda _: None, cart_id: str = GUEST_CART, **given: Any
) -> Given:
    def asked(desk: Any) -> Asked:
        path = f"/api/checkouts/guests/{cart_id}/{desk.open_guests()['checkout_id']}"
        prepare(desk)
        return Asked(path, {"version": 1, "service": "express"} | given, user="")

    return asked


def _impossible(given_where: Callable[..., Given], route: str) -> tuple[Refused, ...]:
    """What makes the checkout impossible, whichever request finds it."""
    to_france = {"shipping_address": ADDRESS | {"country": "FR", "postcode": "75001"}, "service": "standard"}
    to_nowhere = {"shipping_address": ADDRESS | {"country": "AQ"}, "service": None}
    euros = {"price": money(1250, "EUR")}
    return (
        Refused(
            route,
            "product-not-for-sale",
            given_where(lambda desk: desk.peers.sells("mug", 1250, status="discontinued")),
        ),
        Refused(route, "short-of-stock", given_where(lambda desk: desk.peers.sells("mug", 1250, available=1))),
        Refused(route, "mixed-currencies", given_where(lambda desk: desk.peers.products["mug"].update(euros))),
        Refused(route, "no-rate-for-destination", given_where(**to_nowhere)),
        Refused(route, "parcel-too-heavy", given_where(lambda desk: vars(desk.peers).update(max_grams=1499))),
        Refused(route, "mixed-currencies", given_where(lambda desk: vars(desk.peers).update(rates_currency="EUR"))),
        Refused(route, "invalid-address", given_where(shipping_address=ADDRESS | {"country": "US"})),
        Refused(route, "service-not-offered", given_where(**to_france | {"service": "express"})),
        Refused(route, "code-rejected", given_where(codes=["NOBODY"])),
        Refused(route, "codes-unavailable", given_where(lambda desk: desk.peers.down.add("promotions"), codes=["TEN"])),
        Refused(route, "nothing-to-pay", given_where(_give_all, codes=["TEN", "POST"])),
        Refused(route, "too-many-codes", given_where(lambda desk: setattr(desk.peers, "guessed", True), codes=["TEN"])),
        Refused(route, "no-tax-rate", given_where(lambda desk: desk.peers.sells("mug", 1250, tax_class="wine"))),
    )


def _give_all(desk: Any) -> None:
    desk.peers.gives(replace(ALL_OFF, basis_points=10_000, combines=True))
    desk.peers.gives(replace(POST, combines=True))


def _empty_cart(desk: Any) -> None:
    desk.peers.cart["lines"] = []


def _full_cart(desk: Any) -> None:
    desk.peers.cart["lines"] = [{"product_id": f"p{number}", "quantity": 1} for number in range(251)]


def _taxes(version: int = 0, *, doubled: bool = False) -> Given:
    rate = {"country": "GB", "tax_class": "standard", "rate": "0.2000", "valid_from": "2026-01-01"}
    body = {"version": version, "rates": [rate, rate] if doubled else [rate]}
    return asking("/api/checkouts/taxes", body, role="admin")


_GUESTS_OPEN = "POST /api/checkouts/guests/{cart_id}"
_GUESTS_CHANGE = "PATCH /api/checkouts/guests/{cart_id}/{checkout_id}"
_NO_EMAIL = {"email": "ada at example"}
_WITH_CONTACT: dict[str, Callable[..., Given]] = {
    _CHECKOUTS: _opening_where,
    _CHECKOUT: _changing_where,
    _GUESTS_OPEN: _opening_as_guest_where,
    _GUESTS_CHANGE: _changing_as_guest_where,
}
REFUSED = (
    *_impossible(_opening_where, _CHECKOUTS),
    *_impossible(_changing_where, _CHECKOUT),
    Refused(_CHECKOUTS, "cart-changed", _opening_where(cart=CART | {"version": 6})),
    Refused(_CHECKOUTS, "cart-empty", _opening_where(_empty_cart)),
    Refused(_CHECKOUTS, "goods-not-named", _opening_where(cart=None)),
    Refused(_CHECKOUTS, "goods-not-named", _opening_where(lines=[{"product_id": "mug", "quantity": 1}])),
    Refused(_CHECKOUTS, "too-many-lines", _opening_where(_full_cart)),
    Refused(_CHECKOUT, "checkout-changed", _changing_where(version=2)),
    Refused(_CHECKOUT, "checkout-not-found", _changing_where(user="eve")),
    *(Refused(route, "invalid-email", given_where(contact=_NO_EMAIL)) for route, given_where in _WITH_CONTACT.items()),
    *_impossible(_opening_as_guest_where, _GUESTS_OPEN),
    *_impossible(_changing_as_guest_where, _GUESTS_CHANGE),
    Refused(_GUESTS_OPEN, "cart-changed", _opening_as_guest_where(cart_version=6)),
    Refused(_GUESTS_OPEN, "cart-empty", _opening_as_guest_where(_empty_cart)),
    Refused(_GUESTS_OPEN, "cart-not-found", _opening_as_guest_where(cart_id="guest-unknown")),
    Refused(_GUESTS_OPEN, "too-many-lines", _opening_as_guest_where(_full_cart)),
    Refused(_GUESTS_CHANGE, "checkout-changed", _changing_as_guest_where(version=2)),
    Refused(_GUESTS_CHANGE, "checkout-not-found", _changing_as_guest_where(cart_id="guest-unknown")),
    Refused("PUT /api/checkouts/taxes", "tax-table-changed", _taxes(version=3)),
    Refused("PUT /api/checkouts/taxes", "invalid-tax-table", _taxes(doubled=True)),
)

# ---- items that expire


_SESSION = Session(id="chk-1", customer_id="ada", lines=(Line(product_id="mug", quantity=1),))


def _check_out(table: Table, now: datetime) -> None:
    Checkouts(table).add(_SESSION, now)


def _choose_delivery(table: Table, now: datetime) -> Any:
    """What is found of the checkout, and whether its next version can be written."""
    found = Checkouts(table).find(_SESSION.id, now)
    try:
        Checkouts(table).save(replace(_SESSION, version=2, service="express"), now)
    except CheckoutChanged:
        return found, False
    return found, True


EXPIRING = (Expiring("checkout", "CheckoutTable", ("checkout.store:_item",), _check_out, _choose_delivery),)
MAY_GO = (
    MayGo(
        "functions/checkout/checkout/store.py",
        "a checkout, a day after its last change; its order keeps what was charged",
    ),
)
