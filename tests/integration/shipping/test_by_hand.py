"""Parcels that the shop's own staff sends: the list of those to send, reports, and the race with a cancellation."""

from __future__ import annotations

import json
from typing import Any

import pytest

from shipping import wiring
from shipping.domain import AlreadyDispatched, Shipment
from shipping.store import Loaded, ShipmentStore
from tests.integration.shipping.conftest import SHIPMENT, Service

PATH = f"/api/shipments/{SHIPMENT}/reports"
SENT = {"stop": "dispatched", "carrier": "Royal Mail", "tracking_number": "RM-1"}


@pytest.fixture
def shop(service: Service) -> Service:
    vars(wiring.ports())["carrier_settings"] = wiring.CarrierSettings("manual", service.queue_url, 0)
    return service


@pytest.fixture
def packed(shop: Service) -> Service:
    shop.confirm()
    shop.pay()
    return shop


def report(shop: Service, **told: Any) -> tuple[int, Any]:
    return shop.call("POST", PATH, body=json.dumps(told), user="staff-1", role="admin")


def listed(shop: Service, name: str = "to_send") -> list[tuple[str, list[str]]]:
    status, page = shop.call("GET", "/api/shipments", user="staff-1", role="admin", query={"list": name})
    assert status == 200
    return [(row["order_id"], row["awaits"]) for row in page["items"]]


def test_a_paid_parcel_waits_for_staff_and_no_carrier_is_told(packed: Service) -> None:
    assert listed(packed) == [("order-1", ["dispatch"])]
    assert packed.waiting() == []


def test_staff_sends_it_and_reports_its_delivery(packed: Service) -> None:
    status, body = report(packed, **SENT)

    assert (status, body["status"], body["carrier"], body["tracking_number"]) == (
        200,
        "dispatched",
        "Royal Mail",
        "RM-1",
    )
    assert listed(packed) == []
    assert report(packed, stop="delivered")[1]["status"] == "delivered"
    assert packed.told == ["shipment.created", "shipment.dispatched", "shipment.in_transit", "shipment.delivered"]
    [sent] = [data for kind, data in packed.announced() if kind == "shipment.dispatched"]
    assert (sent["carrier"], sent["tracking_number"]) == ("Royal Mail", "RM-1")


def test_the_carriers_page_goes_to_the_customer_with_the_first_report(packed: Service) -> None:
    page = "https://track.example/RM-1"
    assert report(packed, **SENT, tracking_url=page)[1]["tracking_url"] == page
    assert report(packed, stop="delivered", tracking_url="https://other.example/")[1]["tracking_url"] == page
    [sent] = [data for kind, data in packed.announced() if kind == "shipment.dispatched"]
    assert sent["tracking_url"] == page


@pytest.mark.parametrize("page", ["http://track.example/1", "javascript:alert(1)", "https://a b", "https://x\n", ""])
def test_what_is_no_https_address_is_no_carriers_page(packed: Service, page: str) -> None:
    status, problem = report(packed, **SENT, tracking_url=page)
    assert (status, [error["field"] for error in problem["errors"]]) == (422, ["tracking_url"])
    assert packed.told == ["shipment.created"]


def test_a_report_that_is_sent_twice_changes_nothing_and_another_number_is_refused(packed: Service) -> None:
    first = report(packed, **SENT)
    assert report(packed, **SENT) == first

    status, problem = report(packed, **SENT | {"tracking_number": "RM-2"})
    assert (status, problem["type"]) == (409, "urn:mercato:problem:parcel-left")
    assert (problem["carrier"], problem["tracking_number"]) == ("Royal Mail", "RM-1")
    assert packed.told == ["shipment.created", "shipment.dispatched"]


def test_a_lost_parcel_waits_in_the_other_list_until_its_goods_are_settled(packed: Service) -> None:
    report(packed, **SENT)
    assert report(packed, stop="failed", reason="lost")[1]["failure"] == "lost"

    assert (listed(packed), listed(packed, "given_up")) == ([], [("order-1", [])])
    line = {"product_id": "product-1", "quantity": 2}
    packed.receive("order.return_received", "returned-1", {"return_id": "return-1", "lines": [line]})
    assert listed(packed, "given_up") == []


def test_the_parcel_of_a_cancelled_order_is_not_sent(packed: Service) -> None:
    packed.stop()

    status, problem = report(packed, **SENT)

    assert (status, problem["type"]) == (409, "urn:mercato:problem:parcel-cancelled")
    assert listed(packed) == []
    assert packed.told == ["shipment.created"]


def test_an_order_whose_parcel_is_sent_cannot_be_cancelled(packed: Service) -> None:
    report(packed, **SENT)

    with pytest.raises(AlreadyDispatched, match="is dispatched"):
        packed.stop()
    assert packed.status == "dispatched"


@pytest.mark.parametrize("first", ["stop", "send"])
def test_of_a_dispatch_and_a_cancellation_at_once_one_is_refused(
    packed: Service, monkeypatch: pytest.MonkeyPatch, first: str
) -> None:
    """The other comes between the reading of the record and its writing."""
    save, outcomes = ShipmentStore.save, []

    def stop() -> None:
        try:
            packed.stop()
            outcomes.append("stopped")
        except AlreadyDispatched:
            outcomes.append("not stopped")

    def send() -> None:
        outcomes.append("sent" if report(packed, **SENT)[0] == 200 else "not sent")

    begin, other = (stop, send) if first == "stop" else (send, stop)

    def interrupted(store: ShipmentStore, shipment: Shipment, before: Loaded, now: Any) -> None:
        monkeypatch.setattr(ShipmentStore, "save", save)
        other()
        save(store, shipment, before, now)

    monkeypatch.setattr(ShipmentStore, "save", interrupted)
    begin()

    expected = {"stop": ["sent", "not stopped"], "send": ["stopped", "not sent"]}
    assert outcomes == expected[first]
    assert packed.status == ("dispatched" if first == "stop" else "cancelled")
    assert ("shipment.dispatched" in packed.told) is (first == "stop")


@pytest.mark.parametrize("at", [0, 1])
def test_a_booking_that_is_interrupted_is_made_by_the_redelivery(
    shop: Service, monkeypatch: pytest.MonkeyPatch, at: int
) -> None:
    """Before the parcel is booked, and between that and its place in the list."""
    shop.confirm()
    save, calls = ShipmentStore.save, []

    def killed(store: ShipmentStore, shipment: Shipment, before: Loaded, now: Any) -> None:
        calls.append(shipment.status)
        if len(calls) == at + 1:
            raise KeyboardInterrupt
        save(store, shipment, before, now)

    with monkeypatch.context() as patch:
        patch.setattr(ShipmentStore, "save", killed)
        with pytest.raises(KeyboardInterrupt):
            shop.pay()
    assert listed(shop) == []
    status, problem = report(shop, **SENT)
    assert (status, problem["type"]) == (409, "urn:mercato:problem:not-with-carrier")

    assert shop.pay() == []
    assert listed(shop) == [("order-1", ["dispatch"])]


def test_staff_reports_on_no_parcel_of_a_carrier_with_a_system(service: Service) -> None:
    service.confirm()
    service.pay()

    status, problem = report(service, **SENT)
    assert (status, problem["type"]) == (409, "urn:mercato:problem:not-by-hand")


@pytest.mark.parametrize(
    ("told", "status", "slug"),
    [
        ({"stop": "dispatched"}, 422, "no-carrier"),
        ({"stop": "booked"}, 422, "invalid-request"),
        ({"stop": "dispatched", "carrier": "x" * 61}, 422, "invalid-request"),
        ({}, 422, "invalid-request"),
    ],
)
def test_a_report_that_says_too_little_is_refused(
    packed: Service, told: dict[str, Any], status: int, slug: str
) -> None:
    assert report(packed, **told)[0] == status
    assert report(packed, **told)[1]["type"] == f"urn:mercato:problem:{slug}"
    assert listed(packed) == [("order-1", ["dispatch"])]


def test_a_customer_reports_nothing(packed: Service) -> None:
    assert packed.call("POST", PATH, body=json.dumps(SENT), user="user-1")[0] == 403
    assert packed.status == "booked"


def test_a_shipment_that_is_none_is_not_found(shop: Service) -> None:
    assert report(shop, **SENT)[0] == 404


def test_a_carrier_that_is_none_is_told_by_its_name(service: Service) -> None:
    vars(wiring.ports())["carrier_settings"] = wiring.CarrierSettings("pigeon", service.queue_url, 0)

    service.confirm()
    with pytest.raises(RuntimeError, match="'pigeon' is neither sandbox nor manual"):
        wiring.ports().carrier(service.now)
