"""A shop whose parcels go by EasyPost, with the stand-in in its place: labels, signed reports, cancellations, and an
EasyPost that is away.

It was never compared with EasyPost itself. Run it with `make chaos`.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, expect
from rich.console import Console

from infra.demo.stage import ADDRESS, TOKEN, Stage
from infra.local.easypost.api import Wish, signature
from infra.local.easypost.process import LocalEasyPost
from infra.local.processes import free_port
from infra.local.stack import STACK, Stack
from infra.local.up import LocalShop
from infra.operator import target
from infra.operator.client import Json, Shop, poll
from tests.e2e.test_stories import MERCATO
from tests.e2e.web.conftest import Desk, browser  # noqa: F401 - a fixture

pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]

PATIENCE = 240.0  # seconds; a message that failed comes again after two minutes
BUYERS = 6  # more than the failures that open the circuit


@dataclass
class Counter:
    """Where orders are placed. `secret` signs the carrier's webhooks."""

    running: LocalShop
    stage: Stage
    easypost: LocalEasyPost
    secret: str

    def sell(self, wish: Wish | None = None) -> str:
        """An order over the checkout, which chooses the service. Returns its id."""
        found = target.load()
        buyer = self.stage.shop.login(found.customer.email, found.customer.password)
        address: Mapping[str, Any] = ADDRESS | ({"line2": wish} if wish else {})
        lines = [{"product_id": self.running.goods[0].product_id, "quantity": 1}]
        wanted = {"lines": lines, "shipping_address": address, "service": "standard"}
        shown = buyer.post("/checkouts", wanted, key=self.stage.new_key())
        quote = {"quote": shown["quote"]["token"], "payment_token": TOKEN}
        return str(buyer.post("/orders/quoted", quote)["order_id"])

    def order(self, order_id: str, is_so: Callable[[Json], bool], what: str) -> Json:
        return self.stage.admin.wait_for_order(order_id, is_so, what=what, within=PATIENCE)

    def parcel(self, order_id: str, is_so: Callable[[Json], bool], what: str) -> Json:
        """The shop's parcel of the order, once it is so."""

        def look() -> Json | None:
            rows = self.stage.admin.get("/shipments", order_id=order_id)["items"]
            found: Json | None = self.stage.admin.get(f"/shipments/{rows[0]['shipment_id']}") if rows else None
            return found

        found = poll(look, lambda seen: bool(seen and is_so(seen)), what=f"the parcel {what}", within=PATIENCE)
        assert found
        return found

    def at_easypost(self, tracking_number: str) -> Json:
        [found] = [one for one in self.easypost.shipments() if one["tracking_code"] == tracking_number]
        return found

    def hear(self, parcel: Json, status: str, secret: str) -> int:
        """A webhook about the parcel, signed with this secret. Returns the answer's status."""
        tracker = self.at_easypost(parcel["tracking_number"])["tracker"] | {"status": status}
        event = {"id": "evt_1", "object": "Event", "description": "tracker.updated", "result": tracker}
        body = json.dumps(event).encode()
        url = f"{self.running.base_url}/api/shipments/webhooks/easypost"
        return httpx.post(
            url, content=body, headers={"X-Hmac-Signature": signature(body, secret)}, timeout=60
        ).status_code


def is_labelled(parcel: Json) -> bool:
    return parcel["label_url"] is not None


@pytest.fixture(scope="module")
def counter(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counter]:
    os.environ["MERCATO_STATE"] = str(tmp_path_factory.mktemp("shop") / "state.json")
    easypost = LocalEasyPost(free_port())
    shop = LocalShop(Console(stderr=True), free_port(), free_port(), easypost=easypost)
    try:
        shop.start()
        found = target.load()
        client = Shop(found.base_url)
        stage = Stage(client, client.login(found.admin.email, found.admin.password), found.endpoint, PATIENCE)
        yield Counter(shop, stage, easypost, Stack.read(shop.cloud).secret("CarrierWebhookSecret"))
        client.close()
    finally:
        shop.stop()
        del os.environ["MERCATO_STATE"]


def test_a_paid_order_gets_a_label_and_its_parcel_arrives_as_the_shopper_s_page_shows(
    counter: Counter,
    browser: Browser,  # noqa: F811 - the fixture
) -> None:
    """Also where the label's answer is lost, and where reports come twice and late."""
    order_id, *others = [counter.sell(wish) for wish in (None, Wish.LABEL_TIMEOUT, Wish.TOLD_TWICE)]
    for one in (order_id, *others):
        counter.order(one, lambda seen: bool(seen["status"] == "delivered"), "is delivered")
    parcel = counter.parcel(order_id, lambda seen: bool(seen["status"] == "delivered"), "is delivered")
    assert [stop["status"] for stop in parcel["timeline"]] == [
        "pending",
        "booked",
        "dispatched",
        "in_transit",
        "delivered",
    ]
    made = counter.at_easypost(parcel["tracking_number"])
    assert (parcel["carrier"], parcel["label_url"]) == ("USPS", made["postage_label"]["label_url"])
    assert made["selected_rate"]["service"] == "GroundAdvantage"
    assert len([one for one in counter.easypost.shipments() if one["postage_label"]]) == 3

    found = target.load()
    context = browser.new_context()
    desk = Desk(context.new_page(), found.base_url)
    desk.log_in(found.customer)
    page = desk.open(f"/orders/{order_id}").locator("main")
    expect(page).to_contain_text(f"{parcel['tracking_number']} with USPS")
    link = page.get_by_role("link", name="Follow it on the carrier's page")
    expect(link).to_have_attribute("href", made["tracker"]["public_url"])
    expect(page).not_to_contain_text(parcel["label_url"])
    context.close()

    def told() -> list[str]:
        mails = counter.stage.mails_to(found.customer.email, "Your order is on its way")
        return [mail["BodyText"] for mail in mails]

    link_in_mail = made["tracker"]["public_url"]
    poll(told, lambda texts: any(link_in_mail in text for text in texts), what="the mail's link", within=PATIENCE)


def test_the_doctor_finds_easypost_s_key_and_webhook(counter: Counter) -> None:
    environment = os.environ | counter.running.cloud.environment | {"COLUMNS": "200"}
    command = [MERCATO, "--stack", STACK, "--url", counter.running.base_url, "doctor"]
    looked = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    for found in ("● EasyPostKey", "● EasyPost's webhook"):
        assert found in looked.stdout, looked.stdout + looked.stderr


def test_a_parcel_that_easypost_refuses_is_left_to_staff_with_the_reason(counter: Counter) -> None:
    order_id = counter.sell(Wish.LABEL_REFUSED)
    parcel = counter.parcel(order_id, lambda seen: seen["refusal"] is not None, "is refused")
    assert "Unable to verify address" in parcel["refusal"]
    assert (parcel["status"], parcel["label_url"]) == ("booked", None)


def test_a_forged_report_is_refused_and_the_same_one_with_the_right_signature_is_taken(counter: Counter) -> None:
    parcel = counter.parcel(counter.sell(Wish.STAYS), is_labelled, "has a label")
    assert counter.hear(parcel, "delivered", "a guess") == 401
    path = f"/shipments/{parcel['shipment_id']}"
    assert counter.stage.admin.get(path)["status"] == "booked"
    assert counter.hear(parcel, "delivered", counter.secret) == 204
    assert counter.stage.admin.get(path)["status"] == "delivered"


def test_a_cancellation_before_the_carrier_has_the_parcel_voids_its_label(counter: Counter) -> None:
    order_id = counter.sell(Wish.STAYS)
    parcel = counter.parcel(order_id, is_labelled, "has a label")
    found = target.load()
    buyer = counter.stage.shop.login(found.customer.email, found.customer.password)
    buyer.post(f"/orders/{order_id}/cancel", {}, key=counter.stage.new_key())
    counter.order(order_id, lambda seen: bool(seen["status"] == "cancelled"), "is cancelled")
    # The order learns by an event what its payment came to.
    counter.order(order_id, lambda seen: seen["payment_status"] in ("refunded", "voided"), "is paid back")
    assert counter.at_easypost(parcel["tracking_number"])["refund_status"] == "submitted"
    assert counter.stage.admin.get(f"/shipments/{parcel['shipment_id']}")["status"] == "cancelled"


def test_orders_wait_while_easypost_is_away_and_their_parcels_arrive_when_it_is_back(counter: Counter) -> None:
    def circuit() -> str:
        return str(counter.stage.admin.get("/ops/circuits/carrier")["state"])

    counter.easypost.set_deaf(True)
    try:
        orders = [counter.sell() for _ in range(BUYERS)]
        poll(circuit, lambda state: state == "open", what="the carrier's circuit is open", within=PATIENCE)
        for one in orders:
            waiting = counter.parcel(one, lambda seen: bool(seen["status"] == "booked"), "waits for its label")
            assert (waiting["label_url"], waiting["refusal"]) == (None, None)
    finally:
        counter.easypost.set_deaf(False)
    for one in orders:
        counter.order(one, lambda seen: bool(seen["status"] == "delivered"), "is delivered")
    poll(circuit, lambda state: state == "closed", what="the carrier's circuit is closed", within=PATIENCE)
    made = [one["reference"] for one in counter.easypost.shipments() if one["postage_label"]]
    assert len(made) == len(set(made))
