"""A shop that is deployed with Stripe: every end of an order, with equal books in the shop and at localstripe.

A proxy between the functions and localstripe records Stripe's idempotency keys, and drops responses on request.
Run it with `make chaos`.
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import stripe
from playwright.sync_api import Browser, expect
from rich.console import Console

from infra.demo.stage import Product, Stage, is_delivered, is_paid
from infra.local.localstripe import LocalStripe
from infra.local.processes import free_port
from infra.local.stack import Stack
from infra.local.up import LocalShop
from infra.operator import target
from infra.operator.client import Json, Session, Shop, poll
from infra.operator.target import Account
from infra.replay.parallel import each
from mercato.ids import derived_id
from mercato.store.attributes import Item, from_item
from tests.e2e.web.conftest import Desk, browser  # noqa: F401 - a fixture
from tests.e2e.web.test_storefront import go_to_totals
from tests.integration.payments.localstripe import Trouble, Wire, in_front_of
from tests.kit import stripe_js

pytestmark = [pytest.mark.long, pytest.mark.e2e, pytest.mark.timeout(1200)]

VISA, DECLINED, UNKNOWN = "pm_card_visa", "pm_card_chargeCustomerFail", "pm_nobodys"
PENCE = 1250
PATIENCE = 120.0
# The reconciler leaves a payment to its saga for the first two minutes.
RECONCILED_WITHIN = 240.0
STEPS = ("prepare", "authorize", "capture")
CONFIRM, CAPTURE, REFUND = "/confirm", "/capture", "/refunds"


@dataclass(frozen=True)
class Checkout:
    """The shop as its customers, its own tables and Stripe see it."""

    running: LocalShop
    stage: Stage
    stripe: LocalStripe
    wire: Wire

    def sell(self, token: str = VISA, quantity: int = 2) -> tuple[Session, Product, Json]:
        """Makes a product and a customer, and places an order."""
        product, customer = self.stage.new_product("Stool", PENCE, stock=10), self.stage.new_customer("Sue")
        return customer, product, self.stage.order(customer, product, quantity, token=token)

    def sold(self, quantity: int = 2) -> tuple[Session, Product, Json]:
        customer, product, order = self.sell(quantity=quantity)
        return customer, product, self.follow(customer, order, is_paid, "paid")

    def follow(self, customer: Session, order: Json, until: Callable[[Json], bool], what: str) -> Json:
        return customer.wait_for_order(order["order_id"], until, what=what, within=PATIENCE)

    def intents(self) -> list[Json]:
        found: list[Json] = self.wire.get("/v1/payment_intents?limit=1000")["data"]
        return found

    def intents_of(self, order: Json) -> list[Json]:
        ours = {"payment_id": derived_id("payment", order["order_id"])}
        return [intent for intent in self.intents() if intent["metadata"] == ours]

    def at_stripe(self, order: Json) -> tuple[str, int, int]:
        """The status, the captured and the refunded amount of the order's only intent, in minor units."""
        (intent,) = self.intents_of(order)
        return intent["status"], *money_of(intent)

    def refunds_of(self, order: Json) -> list[Json]:
        (intent,) = self.intents_of(order)
        made = self.wire.get("/v1/refunds?limit=1000")["data"]
        return [refund for refund in made if refund["payment_intent"] == intent["id"]]

    def keys(self) -> Counter[str]:
        return Counter(key for method, _, key in self.wire.calls if method == "POST")

    def payment(self, order: Json) -> Json:
        found: Json = self.stage.admin.get(f"/payments/{derived_id('payment', order['order_id'])}")
        return found

    def refund(self, order: Json, amount: int) -> int:
        """Requests a refund as an admin, without a retry. Returns the response's status."""
        found = target.load()
        who = {"email": found.admin.email, "password": found.admin.password}
        token = self.stage.shop.call("POST", "/users/login", who, safe=True)["access_token"]
        answer = httpx.post(
            f"{found.base_url}/api/payments/{derived_id('payment', order['order_id'])}/refunds",
            json={"amount": {"amount": amount, "currency": "GBP"}, "reason": "a scratch"},
            headers={"Authorization": f"Bearer {token}", "Idempotency-Key": str(uuid.uuid4())},
            timeout=30,
        )
        return answer.status_code

    def items(self, sort_key: str) -> list[Item]:
        """All items with this sort key in the payments table. A scan, which only an audit may do."""
        found = target.load()
        pages = target.client(found, "dynamodb").get_paginator("scan")
        return [
            from_item(item)
            for page in pages.paginate(TableName=found.tables["payments"])
            for item in page["Items"]
            if item["sk"]["S"] == sort_key
        ]

    def hear(self, body: str, header: str) -> int:
        """Sends a webhook to the shop."""
        url = f"{self.running.base_url}/api/payments/webhooks/stripe"
        return httpx.post(url, content=body, headers={"Stripe-Signature": header}, timeout=30).status_code

    def reconcile(self) -> Json:
        outcome: Json = Stack.read(self.running.cloud).invoke("PaymentsReconciler", {})
        return outcome


def total_of(order: Json, quantity: int = 2) -> int:
    """What the order costs, in minor units: the stools and their delivery."""
    charged = {one["kind"]: one["amount"]["amount"] for one in order["charges"]}
    assert charged["goods"] == quantity * PENCE
    assert charged["shipping"] > 0
    total: int = order["total"]["amount"]
    assert total == charged["goods"] + charged["shipping"]
    return total


def money_of(intent: Json) -> tuple[int, int]:
    charge = intent["latest_charge"]
    return (charge["amount"], charge["amount_refunded"]) if charge and charge["captured"] else (0, 0)


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Checkout]:
    os.environ["MERCATO_STATE"] = str(tmp_path_factory.mktemp("shop") / "state.json")
    localstripe = LocalStripe(free_port())
    with in_front_of(localstripe.url) as wire:
        # A parcel leaves after eight seconds. Until then a customer can cancel.
        shop = LocalShop(
            Console(stderr=True),
            free_port(),
            free_port(),
            stripe=localstripe,
            stripe_api=wire.url,
            parameters={"CarrierStepSeconds": "8", "StripePublishableKey": "pk_test_1"},
        )
        try:
            shop.start()
            found = target.load()
            client = Shop(found.base_url)
            stage = Stage(client, client.login(found.admin.email, found.admin.password), found.endpoint, PATIENCE)
            yield Checkout(shop, stage, localstripe, wire)
            client.close()
        finally:
            shop.stop()
            del os.environ["MERCATO_STATE"]


@pytest.fixture(autouse=True)
def no_trouble_is_left(checkout: Checkout) -> Iterator[None]:
    yield
    assert checkout.wire.troubles == []


def test_a_good_order_is_captured_at_stripe_once_with_the_keys_of_its_steps(checkout: Checkout) -> None:
    _, _, order = checkout.sold(quantity=3)
    (intent,) = checkout.intents_of(order)
    total = total_of(order, 3)
    assert (intent["status"], intent["amount"], intent["currency"]) == ("succeeded", total, "gbp")
    assert money_of(intent) == (total, 0)
    keys = checkout.keys()
    assert [keys[derived_id(order["order_id"], step)] for step in STEPS] == [1, 1, 1]
    payment = checkout.payment(order)
    assert (payment["status"], payment["captured"]["amount"]) == ("captured", total)


@pytest.mark.parametrize("token", [DECLINED, UNKNOWN])
def test_a_card_that_is_declined_cancels_the_order_and_charges_nothing(checkout: Checkout, token: str) -> None:
    customer, product, order = checkout.sell(token)
    order = checkout.follow(customer, order, lambda seen: bool(seen["payment_status"] == "failed"), "known as not paid")
    order = checkout.follow(customer, order, lambda seen: bool(seen["status"] == "cancelled"), "cancelled")
    assert (order["reason"], order["payment_status"]) == ("payment-declined", "failed")
    assert [money_of(intent) for intent in checkout.intents_of(order)] == ([(0, 0)] if token == DECLINED else [])
    assert checkout.payment(order)["status"] == "declined"
    stock = checkout.stage.wait_for(lambda: checkout.stage.stock(product), lambda found: not found["reserved"])
    assert (stock["on_hand"], stock["reserved"]) == (10, 0)


@pytest.mark.parametrize("trouble", [Trouble.LOST, Trouble.BROKEN, Trouble.BUSY])
def test_what_goes_wrong_on_the_wire_is_charged_once(checkout: Checkout, trouble: Trouble) -> None:
    for path in (CONFIRM, CAPTURE):
        checkout.wire.fail(path, trouble)
    _, _, order = checkout.sold()
    assert checkout.at_stripe(order) == ("succeeded", total_of(order), 0)
    assert all(checkout.keys()[derived_id(order["order_id"], step)] for step in STEPS)


def test_an_order_that_is_cancelled_after_it_was_paid_is_refunded_at_stripe(checkout: Checkout) -> None:
    customer, _, order = checkout.sold()
    customer.post(f"/orders/{order['order_id']}/cancel", {"reason": "other"}, key=checkout.stage.new_key())
    order = checkout.follow(customer, order, lambda seen: bool(seen["status"] == "cancelled"), "cancelled")
    total = total_of(order)
    assert checkout.at_stripe(order) == ("succeeded", total, total)
    (refund,) = checkout.refunds_of(order)
    assert refund["metadata"] == {"refund_id": derived_id(order["order_id"], "refund")}
    assert checkout.keys()[derived_id(order["order_id"], "refund")] == 1
    payment = checkout.payment(order)
    assert (payment["status"], payment["refunded"]["amount"]) == ("refunded", total)


def test_goods_that_come_back_are_refunded_at_stripe_to_the_penny(checkout: Checkout) -> None:
    customer, product, order = checkout.sell(quantity=3)
    order = checkout.follow(customer, order, is_delivered, "delivered")
    wish = {"lines": [{"product_id": product.product_id, "quantity": 1}], "reason": "damaged"}
    key = checkout.stage.new_key()
    asked = customer.post(f"/orders/{order['order_id']}/returns", wish, key=key)
    received = {"lines": [{"product_id": product.product_id, "restock": 1, "write_off": 0}]}
    for step, body in (("approve", None), ("receive", received)):
        path = f"/orders/{order['order_id']}/returns/{asked['return_id']}/{step}"
        checkout.stage.admin.post(path, body, key=checkout.stage.new_key())
    order = checkout.follow(customer, order, lambda seen: bool(seen["refunded"]["amount"]), "refunded in part")
    assert (order["status"], order["refunded"]["amount"]) == ("delivered", PENCE)
    assert checkout.at_stripe(order) == ("succeeded", total_of(order, 3), PENCE)
    (refund,) = checkout.refunds_of(order)
    assert checkout.keys()[refund["metadata"]["refund_id"]] == 1


def test_no_more_is_refunded_than_was_captured_though_localstripe_would(checkout: Checkout) -> None:
    """Of five concurrent refunds of two fifths each, two succeed."""
    _, _, order = checkout.sold()
    answers = each(lambda _: checkout.refund(order, PENCE * 4 // 5), range(5), concurrency=5)
    assert sorted(answers) == [201, 201, 409, 409, 409]
    assert checkout.at_stripe(order) == ("succeeded", total_of(order), 2 * (PENCE * 4 // 5))
    assert checkout.refund(order, PENCE) == 409
    assert len(checkout.refunds_of(order)) == 2


def test_what_localstripe_tells_by_signed_webhook_is_heard(checkout: Checkout) -> None:
    """The webhooks of all captures and declined cards so far are recorded once, also if Stripe sent them twice."""
    checkout.sold()
    told = {event["id"] for event in checkout.wire.get("/v1/events?limit=1000")["data"] if "payment" in event["type"]}
    assert told

    def heard() -> set[str]:
        return {str(item["pk"]).removeprefix("WEBHOOK#") for item in checkout.items("WEBHOOK")}

    assert poll(heard, lambda found: told <= found, what="all webhooks", within=PATIENCE) == told


def test_a_webhook_that_stripe_did_not_sign_now_is_refused_and_not_heard(checkout: Checkout) -> None:
    def signed(age: int, secret: str) -> tuple[str, int]:
        event_id = f"evt_{uuid.uuid4()}"
        body = json.dumps({"id": event_id, "object": "event", "type": "payment_intent.succeeded", "data": about})
        header: Any = stripe.WebhookSignature.generate_signature_header
        return event_id, checkout.hear(body, header(body, secret, timestamp=int(time.time()) - age))

    _, _, order = checkout.sold()
    about, secret = {"object": checkout.intents_of(order)[0]}, checkout.stripe.webhook_secret
    answers = dict([signed(0, "whsec_guess"), signed(301, secret), signed(-302, secret), signed(0, secret)])
    assert list(answers.values()) == [401, 401, 401, 204]
    heard = {str(item["pk"]).removeprefix("WEBHOOK#") for item in checkout.items("WEBHOOK")}
    assert [event_id for event_id in answers if event_id in heard] == [list(answers)[-1]]


def test_a_shopper_types_the_card_in_stripes_field_and_confirms_another_one_in_the_browser(
    checkout: Checkout,
    browser: Browser,  # noqa: F811
) -> None:
    """The first card is declined, and the bank of the second one asks. Stripe's script is played, its API is
    localstripe.
    """

    def stripes_api(method: str, path: str, fields: dict[str, str]) -> tuple[int, Any]:
        assert fields.pop("key") == "pk_test_1"
        found = checkout.wire.get(path) if method == "GET" else checkout.wire.post(path, **fields)
        return 200, found

    def confirm(secret: str, is_confirmed: bool) -> None:
        path = f"/v1/payment_intents/{secret.partition('_secret_')[0]}/_authenticate"
        checkout.wire.post(path, client_secret=secret, success=str(is_confirmed).lower())

    account = Account(f"{uuid.uuid4()}@example.com", uuid.uuid4().hex)
    checkout.stage.shop.register(account.email, account.password, "Sue Shopper")
    context = browser.new_context()
    stripe_js.serve(context, stripes_api, confirm)
    desk = Desk(context.new_page(), checkout.running.base_url)
    desk.log_in(account)
    page = go_to_totals(desk, "folding", "Folding Chart")
    stripe_js.type_card(page, "4000 0000 0000 0341")
    page.get_by_role("button", name="Place the order").click()
    page.wait_for_url("**/orders/*")
    stripe_js.type_card(page, "4000 0025 0000 3155")
    page.get_by_role("button", name="Pay £").click()
    page.get_by_role("button", name="Confirm with your bank").click()
    stripe_js.answer_bank(page, "Complete")
    expect(page.locator("#status .status").first).to_contain_text("delivered", timeout=PATIENCE * 1000)
    payment = checkout.stage.admin.get("/payments", order_id=page.url.rpartition("/")[2].partition("?")[0])["items"][0]
    assert (payment["status"], payment["attempts"]) == ("captured", 2)
    references = [payment["payment_id"], f"{payment['payment_id']}:2"]
    states = {one["metadata"]["payment_id"]: one["status"] for one in checkout.intents()}
    assert [states[reference] for reference in references] == ["canceled", "succeeded"]
    context.close()


def test_a_refund_whose_answer_was_lost_is_finished_by_the_reconciler(checkout: Checkout) -> None:
    _, _, order = checkout.sold()
    checkout.wire.fail(REFUND, Trouble.LOST)
    assert checkout.refund(order, 100) == 503
    # Stripe has refunded, and the shop does not know.
    assert checkout.at_stripe(order) == ("succeeded", total_of(order), 100)
    assert checkout.payment(order)["refunded"]["amount"] == 0

    def repaired() -> Json:
        checkout.reconcile()
        return checkout.payment(order)

    payment = poll(
        repaired,
        lambda found: bool(found["refunded"]["amount"]),
        what="repaired",
        within=RECONCILED_WITHIN,
        every=5,
    )
    assert (payment["status"], payment["refunded"]["amount"]) == ("partially_refunded", 100)
    assert checkout.at_stripe(order) == ("succeeded", total_of(order), 100)
    assert len(checkout.refunds_of(order)) == 1


def test_our_books_are_localstripes(checkout: Checkout) -> None:
    """After all tests above the books agree for each charge, and nothing is left for the reconciler or the operator."""
    unsettled = poll(
        lambda: [item["order_id"] for item in checkout.items("PAYMENT") if "gsi1pk" in item],
        lambda found: not found,
        what="every payment agrees with its order",
        within=PATIENCE,
    )
    assert unsettled == []
    ours = {item["charge_id"]: (item["captured"], item["refunded"]) for item in checkout.items("PAYMENT")}
    ours.pop("", None)  # Stripe makes no intent for a card that it does not know
    theirs = {intent["id"]: money_of(intent) for intent in checkout.intents() if intent["status"] != "canceled"}
    assert ours == theirs
    kept = sum(captured - refunded for captured, refunded in ours.values())
    print(f"{len(ours)} charges, {kept} pence kept, the same here and at localstripe")  # noqa: T201
    assert kept > 0
    assert "requires_capture" not in [intent["status"] for intent in checkout.intents()]
    assert checkout.items("STRAY") == []
    assert checkout.reconcile() == {"asked": 0, "repaired": 0, "left": 0, "mismatches": 0}
    assert checkout.stage.admin.get("/payments/mismatches") == {"items": [], "more": False, "disputed": []}
