"""Checkouts over HTTP: sessions for buyers, the check of a quote for orders, tax rates for staff."""

from __future__ import annotations

from dataclasses import replace

from checkout import usecases
from checkout.domain import KEPT_FOR, Cart, GoodsNotNamed, Line, Session, merge
from checkout.views import (
    ChangeCheckout,
    ChangeTaxes,
    CheckoutView,
    GoodsToPrice,
    OpenCheckout,
    OpenGuestCheckout,
    PricedView,
    QuoteToVerify,
    TaxesQuery,
    TaxTableView,
    VerifiedView,
)
from checkout.wiring import ports
from mercato.clock import utc_now
from mercato.guests import guest_of
from mercato.http import (
    ADMIN,
    CUSTOMER,
    PEER,
    PUBLIC,
    WATCH,
    App,
    Body,
    Created,
    IdempotencyKey,
    SourceAddress,
    located,
)
from mercato.http.auth import Caller
from mercato.http.health import table_and_queue
from mercato.http.idempotency import Keyed, answer_once

app = App("checkout", health=table_and_queue)
handler = app.handler


def _keyed(route: str, caller: Caller, key: str, wanted: Body) -> Keyed:
    """The answer has the buyer's addresses, so it is gone when the checkout is."""
    return replace(Keyed.read(route, caller, key, wanted), kept=KEPT_FOR)


@app.post("/api/checkouts", role=CUSTOMER)
def open_checkout(
    wanted: OpenCheckout, caller: Caller, key: IdempotencyKey, source: SourceAddress
) -> Created[CheckoutView]:
    """Opens a checkout for a cart or for lines. It is kept for a day after its last change."""
    now, asked = utc_now(), _keyed("POST /api/checkouts", caller, key, wanted)

    def write() -> Created[CheckoutView]:
        cart = wanted.as_cart()
        if (cart is None) == (wanted.lines is None):
            raise GoodsNotNamed("A checkout has either a cart or lines.")
        if cart:
            lines = usecases.lines_of(caller.user_id, cart, ports().carts)
        else:
            lines = merge([Line(**line.model_dump()) for line in wanted.lines or []])
        session = Session(id=asked.id, customer_id=caller.user_id, lines=lines, cart=cart, **wanted.given())
        shown = usecases.start(session, source, ports().checkouts, ports().till, now)
        return Created(CheckoutView.of(shown), f"/api/checkouts/{session.id}")

    return answer_once(asked, ports().table, now, write)


@app.post("/api/checkouts/guests/{cart_id}", role=PUBLIC, capability="cart_id")
def open_guest_checkout(
    cart_id: str, wanted: OpenGuestCheckout, caller: Caller, key: IdempotencyKey, source: SourceAddress
) -> Created[CheckoutView]:
    """Opens a checkout for a guest's cart. The order needs the guest's e-mail address as its contact."""
    now, guest_id = utc_now(), guest_of(cart_id)
    asked = _keyed(f"POST /api/checkouts/guests/{cart_id}", caller, key, wanted)

    def write() -> Created[CheckoutView]:
        lines = usecases.lines_of_guest(cart_id, wanted.cart_version, ports().carts)
        cart = Cart(id=guest_id, version=wanted.cart_version)
        session = Session(id=asked.id, customer_id=guest_id, lines=lines, cart=cart, **wanted.given())
        shown = usecases.start(session, source, ports().checkouts, ports().till, now)
        return Created(CheckoutView.of(shown), location="")  # it holds the cart's secret id, which is not to be stored

    return located(answer_once(asked, ports().table, now, write), f"/api/checkouts/guests/{cart_id}/{asked.id}")


@app.get("/api/checkouts/guests/{cart_id}/{checkout_id}", role=PUBLIC, capability="cart_id", limit=WATCH)
def show_guest_checkout(cart_id: str, checkout_id: str) -> CheckoutView:
    return _show(checkout_id, guest_of(cart_id))


@app.patch("/api/checkouts/guests/{cart_id}/{checkout_id}", role=PUBLIC, capability="cart_id")
def change_guest_checkout(
    cart_id: str, checkout_id: str, changes: ChangeCheckout, source: SourceAddress
) -> CheckoutView:
    return _change(checkout_id, guest_of(cart_id), changes, source)


@app.post("/api/checkouts/verifications", role=PEER)
def verify_quote(asked: QuoteToVerify, caller: Caller) -> VerifiedView:
    """Checks the quote of the user in X-User-Id: signature, expiry, and each difference from what it costs now."""
    verified = usecases.verify(
        asked.quote,
        caller.user_id,
        ports().checkouts,
        ports().till,
        utc_now(),
    )
    return VerifiedView.of(verified)


@app.post("/api/checkouts/prices", role=PEER)
def price_goods(asked: GoodsToPrice, caller: Caller) -> PricedView:
    """What goods cost now with delivery and tax, for an order that names no quote."""
    return PricedView.of(usecases.price_goods(asked.as_goods(caller.user_id), ports().till, utc_now()))


@app.get("/api/checkouts/taxes", role=ADMIN, limit=WATCH)
def show_taxes(query: TaxesQuery) -> TaxTableView:
    table = usecases.find_taxes(query.version, ports().taxes)
    return TaxTableView.of(table, ports().settings.country, utc_now().date())


@app.put("/api/checkouts/taxes", role=ADMIN)
def change_taxes(table: ChangeTaxes) -> TaxTableView:
    """Replaces all tax rates. Quotes that have other rates are refused from now on."""
    now = utc_now()
    changed = usecases.change_taxes(table.rates, table.version, ports().taxes, now)
    return TaxTableView.of(changed, ports().settings.country, now.date())


@app.get("/api/checkouts/{checkout_id}", role=CUSTOMER, limit=WATCH)
def show_checkout(checkout_id: str, caller: Caller) -> CheckoutView:
    """Shows the checkout at the prices of now, with a new quote."""
    return _show(checkout_id, caller.user_id)


@app.patch("/api/checkouts/{checkout_id}", role=CUSTOMER)
def change_checkout(checkout_id: str, changes: ChangeCheckout, caller: Caller, source: SourceAddress) -> CheckoutView:
    return _change(checkout_id, caller.user_id, changes, source)


def _show(checkout_id: str, customer_id: str) -> CheckoutView:
    now = utc_now()
    session = ports().checkouts.load(checkout_id, customer_id, now)
    return CheckoutView.of(usecases.show(session, ports().till, now))


def _change(checkout_id: str, customer_id: str, changes: ChangeCheckout, source: str) -> CheckoutView:
    now = utc_now()
    session = ports().checkouts.load(checkout_id, customer_id, now)
    wanted = usecases.Change(changes.version, changes.given(), source)
    return CheckoutView.of(usecases.change(session, wanted, ports().checkouts, ports().till, now))
