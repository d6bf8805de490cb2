"""For each writing route: the state that its request needs to succeed, and that request.

A new route raises KeyError here. `fixture` names the fixture of a route that needs another one than its service's.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
import stripe

from infra.local.easypost import wire as fake_easypost
from mercato.aws.secret import StoredSecret
from mercato.breaker import Circuits, Policy
from mercato.breaker.store import DynamoStore
from mercato.guests import guest_of
from mercato.http.auth import Role
from mercato.ids import derived_id
from mercato.webhooks import sign
from notifications.stops import Reason, Stop, Stops
from payments import wiring
from payments.providers.sandbox import charge_id_of
from shipping import wiring as shipping_wiring
from shipping.bookings import Bookings
from tests.conftest import NOON
from tests.integration.checkout.conftest import GUEST_CART
from tests.integration.idempotency.givens import GIVEN as KEYED
from tests.integration.idempotency.givens import Given as KeyedGiven
from tests.integration.ops.conftest import MACHINE, message
from tests.integration.ops.post_office import PostOffice
from tests.integration.payments.stripe_till import VISA
from tests.integration.payments.till import PAYMENT
from tests.integration.promotions.conftest import GOODS
from tests.integration.shipping.conftest import SECRET, SHIPMENT
from tests.integration.shipping.test_rates import ZONE
from tests.integration.users.conftest import ADA, PASSWORD
from tests.kit.asked import Asked
from tests.kit.routes import all_routes

Given = Callable[[Any], Asked]
_GUEST = {"lantern": 2}
_NUMBERING = {
    "version": 0,
    "numbering": {"invoice_prefix": "RE", "credit_note_prefix": "GU", "counting": "continuous"},
}
_SELLER = {"version": 0, "seller": {"name": "Mercato Ltd", "address": ["1 Quay", "Leith"]}}


@dataclass(frozen=True)
class Accepted:
    route: str
    given: Given
    fixture: str = ""

    def __str__(self) -> str:
        return f"{self.route} {self.given.__name__.strip('_')}"


def _nothing(path: str, body: Any = None, **more: Any) -> Given:
    def nothing(_: Any) -> Asked:
        return Asked(path, body, **more)

    return nothing


# ---- users


def _account(path: str, body: Any = None, *, stranger: bool = False) -> Given:
    """A request about a verified account whose mails have all been sent."""

    def account(service: Any) -> Asked:
        user_id = service.join()
        service.deliver()
        return Asked(path, body, user="" if stranger else user_id)

    return account


def _known_address(service: Any) -> Asked:
    service.join()
    return Asked("/api/users/lookup", _EMAIL, role="peer")


def _session(path: str) -> Given:
    def session(service: Any) -> Asked:
        service.join()
        return Asked(path, {"refresh_token": service.log_in().body["refresh_token"]}, user="")

    return session


def _after_failures(service: Any) -> Asked:
    service.join()
    for _ in range(2):
        service.log_in(password="wrong")
    return Asked("/api/users/login", {"email": ADA["email"], "password": PASSWORD}, user="")


def _registered(service: Any) -> Asked:
    service.join()
    service.deliver()
    return Asked("/api/users/verify-email", {"token": service.mailer.token()}, user="")


def _reset_asked(service: Any) -> Asked:
    service.join()
    service.deliver()
    assert service.call("POST", "/api/users/password-reset", {"email": ADA["email"]}).status == 202
    service.deliver()
    body = {"token": service.mailer.token(), "new_password": "a much better secret"}
    return Asked("/api/users/password-reset/confirm", body, user="")


_LOG_IN = {"email": ADA["email"], "password": PASSWORD}
_CHANGE = {"current_password": PASSWORD, "new_password": "a much better secret"}

# ---- products


def _product(body: Any) -> Given:
    def product(service: Any) -> Asked:
        return Asked(f"/api/products/{service.add()['product_id']}", body, role="admin")

    return product


def _picture(body: Any = None) -> Given:
    def picture(service: Any) -> Asked:
        product_id = str(service.add()["product_id"])
        return Asked(f"/api/products/images/{product_id}/{service.await_image(product_id)}", body, role="admin")

    return picture


# ---- carts


def _cart(path: str, body: Any = None) -> Given:
    def cart(service: Any) -> Asked:
        service.put("lantern", 2)
        return Asked(path, body)

    return cart


def _guest_cart(path: str, body: Any = None, role: str = "customer") -> Given:
    """`*` is the id of a guest's cart."""

    def guest_cart(service: Any) -> Asked:
        service.put("mug", 1)
        guest = service.open_guest_cart(**_GUEST)
        user = "" if "guests" in path else "ada"
        return Asked(path.replace("*", guest), json.loads(json.dumps(body).replace("*", guest)), user=user, role=role)

    return guest_cart


# ---- the others


_OF_CUSTOMERS = {served.name for served in all_routes() if Role.CUSTOMER in served.route.roles}


def _keyed(route: str, given: KeyedGiven) -> Given:
    def keyed(service: Any) -> Asked:
        asked, role = given(service), "customer" if route in _OF_CUSTOMERS else "admin"
        return Asked(asked.path, asked.body, user="cust-1", role=role)

    keyed.__name__ = given.__name__
    return keyed


def _signed(path: str, body: Any) -> Asked:
    stamp, text = str(int(NOON.timestamp())), json.dumps(body)
    headers = {"X-Webhook-Timestamp": stamp, "X-Webhook-Signature": sign(SECRET, stamp, text.encode())}
    return Asked(path, text, user="", headers=headers)


def _trust() -> None:
    """Makes payments accept webhooks signed with SECRET."""
    secret = boto3.client("secretsmanager", "us-east-1").create_secret(Name="hook", SecretString=SECRET)
    vars(wiring.ports()).update(webhook_secret=StoredSecret(secret["ARN"]))


def _asked_by_the_bank(till: Any) -> Asked:
    till.attempt("tok_confirm_ok")
    return Asked(f"/api/payments/sandbox/challenges/{charge_id_of(PAYMENT)}", {"outcome": "confirmed"}, user="u-1")


def _guest_asked_by_the_bank(till: Any) -> Asked:
    till.customer = "guest:1"
    till.attempt("tok_confirm_ok")
    path = f"/api/payments/guests/sandbox/challenges/{charge_id_of(PAYMENT)}"
    return Asked(path, {"outcome": "confirmed"}, user="")


def _captured_unheard(till: Any) -> Asked:
    _trust()
    till.authorize()
    till.provider.capture(charge_id_of(PAYMENT), derived_id("o-1", "capture"))
    told = {"id": "evt-1", "type": "charge", "data": {"reference": PAYMENT}}
    return _signed("/api/payments/webhooks/sandbox", told)


def _captured_at_stripe(till: Any) -> Asked:
    _trust()
    till.authorize(VISA)
    intent = till.charge()["id"]
    till.wire.post(f"/v1/payment_intents/{intent}/capture")
    told = {"id": "ch_1", "object": "charge", "payment_intent": intent}
    text = json.dumps({"id": "evt_1", "object": "event", "type": "charge.captured", "data": {"object": told}})
    signature = stripe.WebhookSignature.generate_signature_header(text, SECRET, timestamp=int(NOON.timestamp()))
    return Asked("/api/payments/webhooks/stripe", text, user="", headers={"Stripe-Signature": signature})


def _stocked(shop: Any) -> Asked:
    shop.stocked(a=20)
    return Asked("/api/inventory/a/shards", {"shards": 4}, role="admin")


def _threshold(shop: Any) -> Asked:
    """Makes the product's stock low, so that the crossing is published, too."""
    shop.stocked(a=20)
    return Asked("/api/inventory/a/threshold", {"low_at": 30, "version": 0}, role="admin")


def _notified(service: Any) -> Asked:
    service.register("ada")
    service.receive(service.receipt(user_id="ada"))
    notification_id = service.listed("ada")["items"][0]["notification_id"]
    return Asked(f"/api/notifications/{notification_id}/read")


def _preferring(service: Any) -> Asked:
    service.register("ada")
    kinds = [{"kind": "order_shipped", "email": False, "sms": True}]
    return Asked("/api/notifications/preferences", {"email": False, "kinds": kinds, "phone": "+44 20 7946 0958"})


def _preferring_as_guest(service: Any) -> Asked:
    kinds = [{"kind": "order_shipped", "sms": True}]
    return Asked(service.know_link(), {"kinds": kinds, "phone": "+44 20 7946 0958"}, user="")


def _reminding(service: Any) -> Asked:
    service.shoppers.carts[guest_of(GUEST_CART)] = {"version": 7, "lines": [{"product_id": "mug", "name": "A mug"}]}
    return Asked(f"/api/notifications/guests/{GUEST_CART}/reminder", {"email": "gita@example.com"}, user="")


def _reminded(service: Any) -> Asked:
    asked = _reminding(service)
    assert service.call("PUT", asked.path, user="", role="", body=asked.body)[0] == 204
    return Asked(asked.path, user="")


def _way_back(service: Any) -> Asked:
    _reminded(service)
    guest_id = guest_of(GUEST_CART)
    event = service.event("cart.abandoned", "left-7", {"cart_id": guest_id, "customer_id": guest_id}, sequence=7)
    assert service.receive(event) == []
    token = service.mailer.sent[-1][2].partition("/cart/back/")[2].partition("\n")[0]
    return Asked(f"/api/notifications/guest-reminders/{token}", user="")


def _wording(_: Any) -> Asked:
    words = {"subject": "A receipt", "body": "{{ amount }}", "version": 0}
    return Asked("/api/notifications/texts/receipt/en", words, role="admin")


def _previewing(_: Any) -> Asked:
    words = {"subject": "A receipt", "body": "{{ amount }}"}
    return Asked("/api/notifications/texts/receipt/en/previews", words, role="admin")


def _stopped_address(service: Any) -> Asked:
    Stops(service.table).stop(Stop("ada@example.com", Reason.BOUNCE, "NoEmail", service.now))
    [stop], _ = Stops(service.table).list_page(limit=1, cursor=None, now=service.now)
    return Asked(f"/api/notifications/stops/{stop.stop_id}", role="admin")


def _unsubscribing(service: Any) -> Asked:
    service.register("ada")
    link = service.link("ada", "order_shipped")
    return Asked(f"/api/notifications/unsubscriptions/{link.rpartition('/')[2]}", user="")


def _asking_as_guest(service: Any) -> Asked:
    service.sells("mug")
    return Asked("/api/notifications/guest-wishes", {"product_id": "mug", "email": "ada@example.com"}, user="")


def _asked_as_guest(service: Any) -> Asked:
    service.sells("mug")
    return Asked(f"/api/notifications/guest-wishes/{service.asked_by('ada@example.com')}", user="")


def _wishing(service: Any) -> Asked:
    service.register("ada")
    service.sells("mug")
    return Asked("/api/notifications/wishes/mug")


def _wished(service: Any) -> Asked:
    asked = _wishing(service)
    assert service.call("PUT", asked.path, user="ada")[0] == 200
    return asked


def _with_the_carrier(service: Any) -> Asked:
    service.confirm()
    service.pay()
    assert service.carry(service.waiting()[0]) == []
    report = {"shipment_id": SHIPMENT, "tracking_number": "TRACK-1", "status": "dispatched"}
    return _signed("/api/shipments/webhooks/sandbox", report)


def _scanned_by_easypost(service: Any) -> Asked:
    vars(shipping_wiring.ports())["api_settings"] = shipping_wiring.ApiSettings("easypost", "carrier-secret")
    service.confirm()
    service.pay()
    Bookings(service.table).begin("booking-1", SHIPMENT, "shp_1")
    tracker = {"object": "Tracker", "shipment_id": "shp_1", "status": "in_transit", "tracking_code": "9400"}
    body = json.dumps({"id": "evt_1", "description": "tracker.updated", "result": tracker})
    headers = {"X-Hmac-Signature": fake_easypost.signature(body.encode(), SECRET)}
    return Asked("/api/shipments/webhooks/easypost", body, user="", headers=headers)


def _sent_by_hand(service: Any) -> Asked:
    vars(shipping_wiring.ports())["carrier_settings"] = shipping_wiring.CarrierSettings("manual", service.queue_url, 0)
    service.confirm()
    service.pay()
    report = {"stop": "dispatched", "carrier": "Royal Mail", "tracking_number": "RM-1"}
    return Asked(f"/api/shipments/{SHIPMENT}/reports", report, role="admin")


def _parked(desk: Any) -> Asked:
    assert desk.park(message()) == []
    body = {"action": "skip", "reason": "table is back", "step": "ReleaseInventory"}
    return Asked("/api/ops/sagas/ord-1/resume", body, role="admin")


def _stopped(desk: Any) -> Asked:
    """A saga that an operator stopped in CapturePayment."""
    arn = f"{MACHINE.replace('stateMachine', 'execution')}:ord-1"
    definition = {"StartAt": "CapturePayment", "States": {"CapturePayment": {"Type": "Task", "End": True}}}
    entered = {"type": "TaskStateEntered", "stateEnteredEventDetails": {"name": "CapturePayment"}}
    events = [entered, {"type": "ExecutionAborted", "executionAbortedEventDetails": {}}]
    machine = desk.machine
    machine.describe_execution = lambda **_: {
        "executionArn": arn,
        "name": "ord-1",
        "status": "ABORTED",
        "startDate": NOON,
        "stopDate": NOON,
        "redriveCount": 0,
    }
    machine.describe_state_machine_for_execution = lambda **_: {"definition": json.dumps(definition)}
    machine.get_execution_history = lambda **_: {
        "events": [event | {"id": n, "timestamp": NOON} for n, event in enumerate(events, start=1)]
    }
    machine.redrive_execution = lambda **_: {"redriveDate": NOON}
    return Asked("/api/ops/sagas/ord-1/redrive", {"reason": "stopped by mistake"}, role="admin")


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


def _coupon(body: Any) -> Given:
    def coupon(desk: Any) -> Asked:
        desk.add()
        return Asked("/api/promotions/coupons/TEN", body, role="admin")

    return coupon


def _codes(desk: Any) -> Asked:
    desk.add()
    body = {"codes": ["TEN", "NOBODY"], "entered": ["TEN", "NOBODY"], "goods": GOODS, "currency": "GBP"}
    return Asked("/api/promotions/evaluations", body, role="peer", headers={"X-User-Id": "ada"})


def _quoted(_: Any) -> Asked:
    return Asked("/api/orders/quoted", {"quote": "quote-1", "payment_token": "tok_ok"}, user="cust-1")


def _giving_link(shop: Any) -> Asked:
    return Asked(f"/api/orders/{shop.place_waiting_for_guest()[0]}/links/{'0' * 64}", role="peer")


def _open_guests_checkout(desk: Any) -> Asked:
    path = f"/api/checkouts/guests/{GUEST_CART}/{desk.open_guests()['checkout_id']}"
    return Asked(path, {"version": 1, "service": "express"}, user="")


def _quoted_for_guest(_: Any) -> Asked:
    body = {"quote": "guest-quote", "payment_token": "tok_ok", "cart_id": GUEST_CART}
    return Asked("/api/orders/guests", body, user="")


def _dead_letters(_: Any) -> Asked:
    office = PostOffice()
    office.open("orders", "carts")
    for _ in range(2):
        office.drop("orders", event="order.created")
    return Asked("/api/ops/dlq/redrive", {"queue": "orders", "dry_run": False, "note": "mended"}, role="admin")


def _used_circuit(_: Any) -> Asked:
    circuits = Circuits(DynamoStore("CircuitsTable"))
    circuits.breaker("payment-provider", Policy(failures=1)).call(lambda: "ok")
    circuits.refresh_due()
    body = {"action": "force_open", "reason": "drill"}
    return Asked("/api/ops/circuits/payment-provider", body, role="admin")


_EMAIL = {"email": ADA["email"]}
_CSV = "sku,name,price,currency\n22752,Nesting boxes,8.50,GBP\n22753,Lamp,9.50,GBP\n"
_QUOTE = {"country": "GB", "items": 3}
_RATES = {"version": 0, "currency": "GBP", "zones": [ZONE]}
_LINES = "/api/carts/mine/items"
_GUESTS = "/api/carts/guests/*/items"
_EACH = (
    Accepted("POST /api/users", _nothing("/api/users", ADA, user="")),
    Accepted("POST /api/users", _account("/api/users", ADA, stranger=True)),
    Accepted("POST /api/users/login", _account("/api/users/login", _LOG_IN, stranger=True)),
    Accepted("POST /api/users/login", _after_failures),
    Accepted("POST /api/users/token/refresh", _session("/api/users/token/refresh")),
    Accepted("POST /api/users/logout", _session("/api/users/logout")),
    Accepted("POST /api/users/verify-email", _registered),
    Accepted("POST /api/users/password-reset", _account("/api/users/password-reset", _EMAIL, stranger=True)),
    Accepted("POST /api/users/password-reset/confirm", _reset_asked),
    Accepted("POST /api/users/lookup", _known_address),
    Accepted("PUT /api/users/me/password", _account("/api/users/me/password", _CHANGE)),
    Accepted("PUT /api/users/me/email-verification", _account("/api/users/me/email-verification")),
    Accepted("DELETE /api/users/me/sessions", _account("/api/users/me/sessions")),
    Accepted("PUT /api/users/me/closure", _account("/api/users/me/closure", {"password": PASSWORD})),
    Accepted("PATCH /api/users/me", _account("/api/users/me", {"name": "Ada King"})),
    Accepted("PATCH /api/products/{product_id}", _product({"version": 1, "name": "Red heart"})),
    Accepted("DELETE /api/products/{product_id}", _product(None)),
    Accepted("PATCH /api/products/images/{product_id}/{image_id}", _picture({"alt": "A red heart", "place": 0})),
    Accepted("DELETE /api/products/images/{product_id}/{image_id}", _picture()),
    Accepted("POST /api/products/lookup", _nothing("/api/products/lookup", {"product_ids": ["x"]}, role="peer")),
    Accepted("PUT /api/carts/{cart_id}/items/{product_id}", _cart(f"{_LINES}/mug", {"quantity": 2})),
    Accepted("PUT /api/carts/{cart_id}/items/{product_id}", _cart(f"{_LINES}/lantern", {"quantity": 3})),
    Accepted("POST /api/carts/{cart_id}/items/{product_id}", _cart(f"{_LINES}/mug", {"quantity": 2})),
    Accepted("POST /api/carts/{cart_id}/items/{product_id}", _cart(f"{_LINES}/lantern", {"quantity": 3})),
    Accepted("DELETE /api/carts/{cart_id}/items/{product_id}", _cart(f"{_LINES}/lantern")),
    Accepted("POST /api/carts/merge", _guest_cart("/api/carts/merge", {"guest_cart_id": "*"})),
    Accepted("POST /api/carts/guests", _nothing("/api/carts/guests", user="")),
    Accepted("PUT /api/carts/guests/{cart_id}/watch", _guest_cart("/api/carts/guests/*/watch", role="peer")),
    Accepted("PUT /api/carts/guests/{cart_id}/items/{product_id}", _guest_cart(f"{_GUESTS}/mug", {"quantity": 2})),
    Accepted("POST /api/carts/guests/{cart_id}/items/{product_id}", _guest_cart(f"{_GUESTS}/lantern", {"quantity": 2})),
    Accepted("DELETE /api/carts/guests/{cart_id}/items/{product_id}", _guest_cart(f"{_GUESTS}/lantern")),
    Accepted("PATCH /api/checkouts/{checkout_id}", _open_checkout),
    Accepted("PATCH /api/checkouts/guests/{cart_id}/{checkout_id}", _open_guests_checkout),
    Accepted("PUT /api/documents/numbering", _nothing("/api/documents/numbering", _NUMBERING, role="admin")),
    Accepted("PUT /api/documents/seller", _nothing("/api/documents/seller", _SELLER, role="admin")),
    Accepted("PUT /api/checkouts/taxes", _nothing("/api/checkouts/taxes", {"version": 0, "rates": []}, role="admin")),
    Accepted("POST /api/checkouts/prices", _goods),
    Accepted("POST /api/checkouts/verifications", _quote),
    Accepted("PATCH /api/promotions/coupons/{code}", _coupon({"version": 1, "basis_points": 2000})),
    Accepted("DELETE /api/promotions/coupons/{code}", _coupon(None)),
    Accepted("POST /api/promotions/evaluations", _codes),
    Accepted("POST /api/orders/quoted", _quoted),
    Accepted("POST /api/orders/guests", _quoted_for_guest),
    Accepted("PUT /api/orders/{order_id}/links/{digest}", _giving_link),
    Accepted(
        "POST /api/orders/lookup",
        _nothing("/api/orders/lookup", {"email": "ada@example.com", "since": "2026-11-22T12:00:00Z"}, role="peer"),
    ),
    Accepted("POST /api/payments/sandbox/challenges/{charge_id}", _asked_by_the_bank),
    Accepted("POST /api/payments/guests/sandbox/challenges/{charge_id}", _guest_asked_by_the_bank),
    Accepted("POST /api/payments/webhooks/sandbox", _captured_unheard),
    Accepted("POST /api/payments/webhooks/stripe", _captured_at_stripe, "stripe_till"),
    Accepted("PUT /api/inventory/{product_id}/shards", _stocked),
    Accepted("PUT /api/inventory/{product_id}/threshold", _threshold),
    Accepted("POST /api/notifications/{notification_id}/read", _notified),
    Accepted("PUT /api/notifications/preferences", _preferring),
    Accepted("PUT /api/notifications/guests/{token}/preferences", _preferring_as_guest),
    Accepted("PUT /api/notifications/guests/{cart_id}/reminder", _reminding),
    Accepted("DELETE /api/notifications/guests/{cart_id}/reminder", _reminded),
    Accepted("DELETE /api/notifications/guest-reminders/{token}", _way_back),
    Accepted("PUT /api/notifications/texts/{name}/{language}", _wording),
    Accepted("POST /api/notifications/texts/{name}/{language}/previews", _previewing),
    Accepted("POST /api/notifications/unsubscriptions/{token}", _unsubscribing),
    Accepted("DELETE /api/notifications/stops/{stop_id}", _stopped_address),
    Accepted("POST /api/notifications/guest-wishes", _asking_as_guest),
    Accepted("POST /api/notifications/guest-wishes/{token}", _asked_as_guest),
    Accepted("DELETE /api/notifications/guest-wishes/{token}", _asked_as_guest),
    Accepted("PUT /api/notifications/wishes/{product_id}", _wishing),
    Accepted("DELETE /api/notifications/wishes/{product_id}", _wished),
    Accepted("POST /api/shipments/quotes", _nothing("/api/shipments/quotes", _QUOTE)),
    Accepted("PUT /api/shipments/rates", _nothing("/api/shipments/rates", _RATES, role="admin")),
    Accepted("POST /api/shipments/webhooks/sandbox", _with_the_carrier),
    Accepted("POST /api/shipments/webhooks/easypost", _scanned_by_easypost),
    Accepted("POST /api/shipments/{shipment_id}/reports", _sent_by_hand),
    Accepted("POST /api/ops/sagas/{order_id}/resume", _parked),
    Accepted("POST /api/ops/sagas/{order_id}/redrive", _stopped),
    Accepted("POST /api/ops/circuits/{name}", _used_circuit),
    Accepted("POST /api/ops/dlq/redrive", _dead_letters),
)
ACCEPTED = (*_EACH, *(Accepted(route, _keyed(route, given)) for route, each in KEYED.items() for given in each))
