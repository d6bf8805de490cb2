"""What the tests of all services try with carts. tests/kit/cases.py says what each list is for."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from typing import Any

from carts import usecases as carts
from carts.domain import Cart, CartNotFound, Offer
from carts.store import Carts
from carts.usecases import cart_of
from mercato.errors import AccountClosed
from mercato.guests import guest_of
from mercato.money import MAX_AMOUNT, Money
from mercato.store import dynamo
from mercato.store.dynamo import Table
from tests.kit.asked import Asked, asking
from tests.kit.cases import Accepted, Data, Expiring, Given, Heard, Keyed, KeyedRequest, MayGo, Refused

# ---- requests that succeed


def _cart(path: str, body: Any = None) -> Given:
    def cart(service: Any) -> Asked:
        service.put("lantern", 2)
        return Asked(path, body)

    return cart


def _guest_cart(path: str, body: Any = None, role: str = "customer") -> Given:
    """`*` is the id of a guest's cart."""

    def guest_cart(service: Any) -> Asked:
        service.put("mug", 1)
        guest = service.open_guest_cart(lantern=2)
        user = "" if "guests" in path else "ada"
        return Asked(path.replace("*", guest), json.loads(json.dumps(body).replace("*", guest)), user=user, role=role)

    return guest_cart


_LINES = "/api/carts/mine/items"
_GUESTS = "/api/carts/guests/*/items"
ACCEPTED = (
    Accepted("PUT /api/carts/{cart_id}/items/{product_id}", _cart(f"{_LINES}/mug", {"quantity": 2})),
    Accepted("PUT /api/carts/{cart_id}/items/{product_id}", _cart(f"{_LINES}/lantern", {"quantity": 3})),
    Accepted("POST /api/carts/{cart_id}/items/{product_id}", _cart(f"{_LINES}/mug", {"quantity": 2})),
    Accepted("POST /api/carts/{cart_id}/items/{product_id}", _cart(f"{_LINES}/lantern", {"quantity": 3})),
    Accepted("DELETE /api/carts/{cart_id}/items/{product_id}", _cart(f"{_LINES}/lantern")),
    Accepted("POST /api/carts/merge", _guest_cart("/api/carts/merge", {"guest_cart_id": "*"})),
    Accepted("POST /api/carts/guests", asking("/api/carts/guests", user="")),
    Accepted("PUT /api/carts/guests/{cart_id}/watch", _guest_cart("/api/carts/guests/*/watch", role="peer")),
    Accepted("PUT /api/carts/guests/{cart_id}/items/{product_id}", _guest_cart(f"{_GUESTS}/mug", {"quantity": 2})),
    Accepted("POST /api/carts/guests/{cart_id}/items/{product_id}", _guest_cart(f"{_GUESTS}/lantern", {"quantity": 2})),
    Accepted("DELETE /api/carts/guests/{cart_id}/items/{product_id}", _guest_cart(f"{_GUESTS}/lantern")),
)

# ---- requests with an Idempotency-Key


def _adding_to_cart(_: Any) -> KeyedRequest:
    return KeyedRequest("/api/carts/mine/items/lantern", {"quantity": 2}, {"quantity": 3})


def _adding_to_guests_cart(service: Any) -> KeyedRequest:
    guest = service.open_guest_cart(mug=1)
    return KeyedRequest(f"/api/carts/guests/{guest}/items/mug", {"quantity": 2}, {"quantity": 3})


KEYED = (
    Keyed("POST /api/carts/guests/{cart_id}/items/{product_id}", _adding_to_guests_cart),
    Keyed("POST /api/carts/{cart_id}/items/{product_id}", _adding_to_cart),
)

# ---- requests that are refused


def _carts_mug(prepare: Callable[[Any], object], path: str = "/api/carts/mine/items/yacht") -> Given:
    """A request to put another product beside a mug."""

    def given(service: Any) -> Asked:
        service.put("mug", 1)
        service.sells("yacht", 5)
        prepare(service)
        return Asked(path, {"quantity": 2})

    return given


def _guests_mug(prepare: Callable[[Any], object]) -> Given:
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


def _merged(path: str, body: Any = None) -> Given:
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


def _of_a_closed_account(path: str, body: Any = None) -> Given:
    """`*` is a guest's cart."""

    def given(service: Any) -> Asked:
        service.put("mug", 1)
        guest = service.open_guest_cart(mug=1)
        service.deliver("user.closed", "ada", {"user_id": "ada"})
        return Asked(path, body and json.loads(json.dumps(body).replace("*", guest)))

    return given


_PUT = "PUT /api/carts/{cart_id}/items/{product_id}"
_GUESTS_PUT = "PUT /api/carts/guests/{cart_id}/items/{product_id}"
_ADD = _PUT.replace("PUT", "POST")
_GUESTS_ADD = _GUESTS_PUT.replace("PUT", "POST")
_REMOVE = _PUT.replace("PUT", "DELETE")
_GUESTS_REMOVE = _GUESTS_PUT.replace("PUT", "DELETE")
_AGAINST_A_LINE: dict[str, Callable[[Any], object]] = {
    "amount-too-large": _dear,
    "cart-full": _filled,
    "mixed-currencies": _foreign,
    "product-discontinued": _discontinued,
    "unknown-product": _absent,
}
REFUSED = (
    *(Refused(put, problem, _carts_mug(how)) for put in (_PUT, _ADD) for problem, how in _AGAINST_A_LINE.items()),
    *(
        Refused(put, problem, _guests_mug(how))
        for put in (_GUESTS_PUT, _GUESTS_ADD)
        for problem, how in _AGAINST_A_LINE.items()
    ),
    *(
        Refused(put, "cart-not-found", _carts_mug(lambda _: None, f"/api/carts/{cart_of('eve')}/items/yacht"))
        for put in (_PUT, _ADD)
    ),
    *(
        Refused(put, "cart-not-found", _merged("/api/carts/guests/*/items/yacht", {"quantity": 2}))
        for put in (_GUESTS_PUT, _GUESTS_ADD)
    ),
    Refused(_ADD, "account-closed", _of_a_closed_account("/api/carts/mine/items/mug", {"quantity": 2})),
    Refused(_REMOVE, "cart-not-found", asking(f"/api/carts/{cart_of('eve')}/items/mug")),
    Refused(_GUESTS_REMOVE, "cart-not-found", _merged("/api/carts/guests/*/items/mug")),
    Refused("POST /api/carts/merge", "cart-not-found", _merging_again),
    Refused(_PUT, "account-closed", _of_a_closed_account("/api/carts/mine/items/mug", {"quantity": 2})),
    Refused(_REMOVE, "account-closed", _of_a_closed_account("/api/carts/mine/items/mug")),
    Refused(
        "POST /api/carts/merge", "account-closed", _of_a_closed_account("/api/carts/merge", {"guest_cart_id": "*"})
    ),
)

# ---- events


def _cart_of_two(service: Any) -> Data:
    service.put("lantern", 2)
    service.put("mug", 1)
    service.wait(minutes=1)
    return {}


def _held_product(service: Any) -> Data:
    return _cart_of_two(service) | {"product_id": "lantern"}


def _ordered(service: Any) -> Data:
    line = {"sku": "L", "name": "L", "quantity": 2, "unit_price": {"amount": 1, "currency": "GBP"}}
    return _cart_of_two(service) | {"customer_id": "ada", "lines": [line | {"product_id": "lantern"}]}


def _closed_customer(service: Any) -> Data:
    return _cart_of_two(service) | {"user_id": "ada"}


HEARD = (
    Heard("carts", "product.price_changed", _held_product),
    Heard("carts", "product.discontinued", _held_product),
    Heard("carts", "inventory.low_stock", _held_product),
    Heard("carts", "inventory.restocked", _held_product),
    Heard("carts", "order.created", _ordered),
    Heard("carts", "user.closed", _closed_customer),
)

# ---- items that expire


_PRICE = Money(amount=100, currency="GBP")


class _Sells:
    def find(self, product_id: str) -> Offer:
        return Offer(product_id, product_id, _PRICE, 1, is_sold=True)


def _put_item(table: Table, now: datetime, cart: Cart | None = None, *, product: str = "mug") -> Cart:
    store = Carts(table)
    found = cart or carts.load_customers("ada", "mine", store, now)
    return carts.put_item(found, product, 2, store, _Sells(), now)


def _add_item(table: Table, now: datetime, quantity: int = 2) -> object:
    store = Carts(table)
    mine = carts.load_customers("ada", "mine", store, now)
    return _seen(carts.add_item(mine, "mug", carts.Addition(quantity, "request-1"), store, _Sells(), now))


def _add_more(table: Table, now: datetime) -> object:
    return _add_item(table, now, 3)


def _guest(table: Table, now: datetime, name: str = "guest-1") -> Cart:
    return Carts(table).open_guest_cart(name, now)


def _find_of_guest(table: Table, now: datetime) -> object:
    return Carts(table).find_of_guest(guest_of("guest-1"), now)


def _seen(cart: Cart) -> object:
    return [(line.product_id, line.quantity, line.unit_price.amount) for line in cart.lines]


def _merge(table: Table, now: datetime) -> object:
    _put_item(table, now, _guest(table, now, "guest-2"), product="lamp")
    _put_item(table, now, carts.load_guests("guest-2", Carts(table), now))
    mine = carts.load_customers("ada", "mine", Carts(table), now)
    return _seen(mine), _seen(carts.merge_carts("guest-2", mine, Carts(table), now))


def _close(table: Table, now: datetime) -> None:
    carts.forget_customer("ada", Carts(table), now)


def _put_twice(table: Table, now: datetime) -> object:
    try:
        return _seen(_put_item(table, now)), _seen(_put_item(table, now, product="lamp"))
    except AccountClosed:
        return "closed"


def _open_again(table: Table, now: datetime) -> object:
    with suppress(CartNotFound):
        return _seen(_put_item(table, now, carts.load_guests("guest-1", Carts(table), now), product="lamp"))
    _guest(table, now)
    return _seen(carts.load_guests("guest-1", Carts(table), now))


EXPIRING = (
    Expiring("customer's cart", "CartsTable", ("carts.store:_touch", "carts.store:_line_item"), _put_item, _merge),
    Expiring(
        "guest's cart",
        "CartsTable",
        ("carts.store:Carts.open_guest_cart", "carts.store:Carts._renew"),
        _guest,
        _open_again,
    ),
    Expiring("guest's id", "CartsTable", ("carts.store:Carts._note_guest",), _guest, _find_of_guest),
    Expiring("mark of an addition", "CartsTable", ("carts.store:_added_mark",), _add_item, _add_more),
    Expiring("closed account's cart", "CartsTable", ("carts.store:Carts.close",), _close, _put_twice),
)
MAY_GO = (
    MayGo("functions/carts/carts/store.py", "a cart not touched for 90 days, with its guest's id; an addition's mark"),
)
