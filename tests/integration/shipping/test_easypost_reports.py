"""EasyPost's reports: by signed webhook, in any order, twice, about parcels of others, and asked for where none came.

The events have the shape of EasyPost's published ones: official/docs/responses/events/events-retrieve.json in
github.com/EasyPost/examples, and docs.easypost.com/docs/trackers for the statuses. The signature is that of
`validate_webhook` in EasyPost's own clients.
"""

from __future__ import annotations

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from infra.local.easypost.api import SECRET, Trouble, signature
from mercato.webhooks import InvalidSignature
from shipping import reconciler, wiring
from shipping.domain import Status
from shipping.easypost import reports
from tests.integration.shipping.easypost_desk import WEBHOOK, Desk

STOPS = ["shipment.created", "shipment.dispatched", "shipment.in_transit", "shipment.delivered"]


@pytest.fixture
def sent(desk: Desk) -> Desk:
    assert desk.sell() == []
    return desk


def test_the_signature_of_easyposts_own_clients_is_taken() -> None:
    """The value that its clients test with: tests/conftest.py of easypost-python signs in this form."""
    body = b'{"description":"tracker.updated"}'
    reports.verify(SECRET, {"x-hmac-signature": signature(body)}, body)
    reports.verify(SECRET, {"x-hmac-signature": signature(body).upper()}, body)
    decomposed = "se\u0301cret of the webhook"  # the same text in another form of Unicode
    reports.verify(decomposed, {"x-hmac-signature": signature(body)}, body)


@pytest.mark.parametrize(
    "told", ["", "hmac-sha256-hex=", "x", "hmac-sha256-hex=" + "0" * 64, "hmac-sha256-hex=é", signature(b"{}", "guess")]
)
def test_another_signature_is_refused_before_the_body_is_read(sent: Desk, told: str) -> None:
    body = sent.fake.event(sent.fake.only()["id"], "delivered")
    assert sent.hear(body, told) == 401
    assert sent.hear(b"not json", told) == 401
    assert sent.shipment().status is Status.BOOKED


def test_an_empty_secret_verifies_nothing() -> None:
    with pytest.raises(InvalidSignature):
        reports.verify("", {"x-hmac-signature": signature(b"{}", "")}, b"{}")


def test_a_shop_with_another_carrier_has_no_such_webhook(sent: Desk) -> None:
    vars(wiring.ports())["api_settings"] = wiring.ApiSettings("sandbox", "easypost-webhook")
    assert sent.hear(sent.fake.event(sent.fake.only()["id"], "delivered")) == 404


def test_a_shop_with_easypost_does_not_hear_the_sandbox(sent: Desk) -> None:
    assert sent.shop.webhook("delivered", secret=SECRET)[0] == 404
    assert sent.shipment().status is Status.BOOKED


@pytest.mark.parametrize(
    ("status", "stop"),
    [
        ("unknown", "booked"),
        ("pre_transit", "booked"),
        ("error", "booked"),
        ("a status of next year", "booked"),
        ("in_transit", "in_transit"),
        ("out_for_delivery", "in_transit"),
        ("available_for_pickup", "in_transit"),
        ("delivered", "delivered"),
        ("return_to_sender", "failed"),
        ("failure", "failed"),
        ("cancelled", "failed"),
    ],
)
def test_each_status_of_a_tracker_moves_the_parcel_to_its_stop(sent: Desk, status: str, stop: str) -> None:
    assert sent.scan(status) == 204
    assert sent.shipment().status == stop


def test_the_reason_of_a_parcel_that_is_given_up_names_the_carriers_detail(sent: Desk) -> None:
    sent.scan("return_to_sender", detail="address_incorrect")
    assert sent.shipment().failure == "the parcel comes back to the sender (address_incorrect)"


@pytest.mark.parametrize("order", list(itertools.permutations(["in_transit", "out_for_delivery", "delivered"])))
def test_reports_in_any_order_and_twice_move_the_parcel_forward_only(sent: Desk, order: tuple[str, ...]) -> None:
    parcel_id = sent.fake.only()["id"]
    for number, status in enumerate(order):
        body = sent.fake.event(parcel_id, status, number)
        assert [sent.hear(body), sent.hear(body)] == [204, 204]
    assert sent.shipment().status is Status.DELIVERED
    assert sent.shop.told == STOPS


def test_the_dispatch_is_told_with_the_label_s_carrier_and_number(sent: Desk) -> None:
    sent.scan("in_transit")
    (told,) = (data for kind, data in sent.shop.announced() if kind == "shipment.dispatched")
    assert (told["carrier"], told["tracking_number"]) == ("USPS", sent.fake.only()["tracking_code"])
    assert told["tracking_url"] == sent.fake.only()["tracker"]["public_url"]


@pytest.mark.parametrize("parcel_id", ["shp_of_another_shop", "x" * 300])
def test_a_parcel_that_is_not_ours_is_answered_and_counted(
    sent: Desk, parcel_id: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert sent.hear(sent.fake.event(parcel_id, "delivered")) == 204
    assert "a report about a parcel that is not this shop's" in caplog.messages
    assert sent.shipment().status is Status.BOOKED


@pytest.mark.parametrize(
    "changes",
    [
        {"description": "batch.updated"},
        {"result": {"object": "Batch", "id": "batch_1"}},
        {"result": {"object": "Tracker", "shipment_id": None, "status": "delivered"}},
        {"result": {"object": "Tracker", "shipment_id": "", "status": "delivered"}},
        {"result": {"object": "Tracker", "shipment_id": "shp_1", "status": 7}},
    ],
)
def test_events_about_anything_else_are_answered(sent: Desk, changes: dict[str, Any]) -> None:
    event = json.loads(sent.fake.event(sent.fake.only()["id"], "delivered")) | changes
    assert sent.hear(json.dumps(event).encode()) == 204
    assert sent.shipment().status is Status.BOOKED


@pytest.mark.parametrize("body", [b"{}", b"[]", b"not json", b'{"id": "evt_1", "description": "tracker.updated"}'])
def test_a_signed_message_that_is_no_event_is_refused(sent: Desk, body: bytes) -> None:
    assert sent.hear(body) in (400, 422)


def test_a_tracking_number_that_the_carrier_changes_is_not_taken_over(sent: Desk) -> None:
    made = sent.fake.only()["tracking_code"]
    sent.hear(sent.fake.event(sent.fake.only()["id"], "delivered", tracking_code="9400_NEW"))
    assert sent.shipment().tracking_number == made


@pytest.mark.parametrize("staff", ["dispatched", "in_transit", "delivered"])
@pytest.mark.parametrize("scanned", ["in_transit", "delivered"])
def test_staff_and_the_webhook_at_the_same_time_agree_on_the_later_stop(sent: Desk, staff: str, scanned: str) -> None:
    body = sent.fake.event(sent.fake.only()["id"], scanned)
    headers = {"X-Hmac-Signature": signature(body)}
    asks = [
        lambda: sent.report(stop=staff)[0],
        lambda: sent.shop.call("POST", WEBHOOK, body=body.decode(), headers=headers)[0],
    ]
    with ThreadPoolExecutor(4) as pool:
        answers = [made.result() for made in [pool.submit(ask) for ask in asks * 2]]
    assert sorted(set(answers)) == [200, 204]
    later = max(staff, scanned, key=["dispatched", "in_transit", "delivered"].index)
    assert sent.shipment().status == later
    assert sent.shop.told == STOPS[: 1 + ["created", "dispatched", "in_transit", "delivered"].index(later)]


def test_a_scan_of_a_parcel_whose_label_was_voided_raises_the_alarm(
    sent: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    sent.shop.stop()
    assert sent.hear(sent.fake.event(sent.fake.only()["id"], "in_transit")) == 204
    assert "a parcel of a cancelled order has left" in caplog.messages
    assert sent.shipment().status is Status.CANCELLED


def reconcile(desk: Desk, hours: int = 5) -> reconciler.Outcome:
    """All runs of some hours, in which each parcel is due once or twice."""
    whole = reconciler.Outcome()
    for _ in range(2 * hours):
        desk.wait(timedelta(minutes=30))
        found = reconciler.reconcile(wiring.ports(), desk.shop.now, lambda: True)
        whole = reconciler.Outcome(whole.asked + found.asked, whole.moved + found.moved, whole.left + found.left)
    return whole


def test_a_parcel_whose_webhook_never_came_is_asked_about(sent: Desk) -> None:
    sent.fake.move(sent.fake.only()["id"], "in_transit")
    assert reconcile(sent).moved == 1
    assert sent.shipment().status is Status.IN_TRANSIT
    sent.fake.move(sent.fake.only()["id"], "delivered")
    assert reconcile(sent).moved == 1
    assert sent.shipment().status is Status.DELIVERED
    assert (reconcile(sent), sent.shop.told) == (reconciler.Outcome(), STOPS)


def test_a_parcel_that_waits_for_staff_is_asked_about_and_one_by_hand_is_not(sent: Desk) -> None:
    found = reconcile(sent)
    assert (found.asked > 0, found.moved, found.left) == (True, 0, 0)


def test_a_parcel_without_a_label_is_not_asked_about(desk: Desk) -> None:
    desk.sell(delivery=None)
    assert (reconcile(desk), desk.fake.calls) == (reconciler.Outcome(), [])


def test_a_carrier_that_does_not_answer_leaves_the_parcel_for_the_next_run(sent: Desk) -> None:
    parcel_id = sent.fake.only()["id"]
    sent.fake.move(parcel_id, "delivered")
    sent.fake.fail(parcel_id, Trouble.AWAY)
    found = reconcile(sent, hours=9)
    assert (found.left, found.moved) == (1, 1)


def test_a_parcel_that_easypost_does_not_know_for_a_moment_stops_no_run(sent: Desk) -> None:
    parcel_id = sent.fake.only()["id"]
    sent.fake.move(parcel_id, "delivered")
    sent.fake.fail(parcel_id, Trouble.GONE)
    found = reconcile(sent, hours=9)
    assert (found.left, found.moved) == (1, 1)


def test_a_run_without_time_leaves_its_parcels(sent: Desk) -> None:
    left = 0
    for _ in range(10):
        sent.wait(timedelta(minutes=30))
        left += reconciler.reconcile(wiring.ports(), sent.shop.now, lambda: False).left
    assert left > 0
    assert all(not path.endswith(sent.fake.only()["id"]) for _, path in sent.fake.calls)


def test_a_parcel_of_two_months_ago_is_not_asked_about_any_more(sent: Desk) -> None:
    sent.wait(timedelta(days=61))
    assert reconcile(sent) == reconciler.Outcome()


def test_the_schedule_runs_the_reconciler(sent: Desk) -> None:
    assert set(reconciler.handler({}, None)) == {"asked", "moved", "left"}
