"""What the tests of all services try with shipping. tests/kit/cases.py says what each list is for."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from infra.local.easypost import api as fake_easypost
from mercato.http import View
from shipping import wiring
from shipping.api import ShipmentRow
from shipping.bookings import Bookings
from shipping.domain import Booking
from tests.integration.shipping.conftest import SECRET, SHIPMENT
from tests.integration.shipping.test_rates import ZONE, put
from tests.kit.asked import Asked, asking, signed
from tests.kit.cases import Accepted, Data, Given, Heard, Largest, OwnQueue, Refused
from tests.kit.given import WIDE

# ---- requests that succeed


def _with_the_carrier(service: Any) -> Asked:
    service.confirm()
    service.pay()
    assert service.carry(service.waiting()[0]) == []
    report = {"shipment_id": SHIPMENT, "tracking_number": "TRACK-1", "status": "dispatched"}
    return signed("/api/shipments/webhooks/sandbox", report, SECRET, service.now)


def _scanned_by_easypost(service: Any) -> Asked:
    vars(wiring.ports())["api_settings"] = wiring.ApiSettings("easypost", "carrier-secret")
    service.confirm()
    service.pay()
    Bookings(service.table).begin("booking-1", SHIPMENT, "shp_1")
    tracker = {"object": "Tracker", "shipment_id": "shp_1", "status": "in_transit", "tracking_code": "9400"}
    body = json.dumps({"id": "evt_1", "description": "tracker.updated", "result": tracker})
    headers = {"X-Hmac-Signature": fake_easypost.signature(body.encode(), SECRET)}
    return Asked("/api/shipments/webhooks/easypost", body, user="", headers=headers)


def _sent_by_hand(service: Any) -> Asked:
    vars(wiring.ports())["carrier_settings"] = wiring.CarrierSettings("manual", service.queue_url, 0)
    service.confirm()
    service.pay()
    report = {"stop": "dispatched", "carrier": "Royal Mail", "tracking_number": "RM-1"}
    return Asked(f"/api/shipments/{SHIPMENT}/reports", report, role="admin")


_PARCEL = {"country": "GB", "items": 3}
_RATE_TABLE = {"version": 0, "currency": "GBP", "zones": [ZONE]}
ACCEPTED = (
    Accepted("POST /api/shipments/quotes", asking("/api/shipments/quotes", _PARCEL)),
    Accepted("PUT /api/shipments/rates", asking("/api/shipments/rates", _RATE_TABLE, role="admin")),
    Accepted("POST /api/shipments/webhooks/sandbox", _with_the_carrier),
    Accepted("POST /api/shipments/webhooks/easypost", _scanned_by_easypost),
    Accepted("POST /api/shipments/{shipment_id}/reports", _sent_by_hand),
)

# ---- requests that are refused


def _reporting(status: str, **changes: str) -> Given:
    def given(service: Any) -> Asked:
        service.confirm()
        report = {"shipment_id": SHIPMENT, "tracking_number": "TRACK-1", "status": status} | changes
        return signed("/api/shipments/webhooks/sandbox", report, SECRET, service.now)

    return given


def _sending(port: str, *before: str, **told: str | None) -> Given:
    """A report of staff on a parcel of that carrier, after what is named has happened to it. A None is left out."""

    def given(service: Any) -> Asked:
        settings = wiring.CarrierSettings(port, service.queue_url, 0)
        vars(wiring.ports())["carrier_settings"] = settings
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


def _quoting(**parcel: Any) -> Given:
    """A quote of a parcel, in a shop that sends at most 20 kg to GB and IE."""

    def given(service: Any) -> Asked:
        assert put(service, 0, ZONE)[0] == 200
        return Asked("/api/shipments/quotes", {"country": "GB", "items": 1} | parcel)

    return given


def _rating(*zones: Any, version: int = 0) -> Given:
    body = {"version": version, "currency": "GBP", "zones": zones or [ZONE]}
    return asking("/api/shipments/rates", body, role="admin")


_QUOTES = "POST /api/shipments/quotes"
_RATES = "PUT /api/shipments/rates"
_REPORT = "POST /api/shipments/webhooks/sandbox"
_BY_HAND = "POST /api/shipments/{shipment_id}/reports"
REFUSED = (
    Refused(_REPORT, "shipment-not-found", _reporting("dispatched", shipment_id="nothing")),
    Refused(_REPORT, "not-with-carrier", _reporting("dispatched")),
    Refused(_BY_HAND, "shipment-not-found", _sending("manual")),
    Refused(_BY_HAND, "not-with-carrier", _sending("manual", "confirm")),
    Refused(_BY_HAND, "not-by-hand", _sending("sandbox", "confirm", "pay")),
    Refused(_BY_HAND, "parcel-cancelled", _sending("manual", "confirm", "pay", "stop")),
    Refused(_BY_HAND, "parcel-left", _sent_already),
    Refused(_QUOTES, "no-rate-for-destination", _quoting(country="FR")),
    Refused(_QUOTES, "parcel-too-heavy", _quoting(weight_grams=20_001)),
    Refused(_QUOTES, "other-currency", _quoting(goods={"amount": 1, "currency": "EUR"})),
    Refused(_RATES, "rate-table-changed", _rating(version=3)),
    Refused(_RATES, "invalid-rate-table", _rating(ZONE, ZONE)),
    Refused(_BY_HAND, "label-is-of-another", _with_a_label),
    Refused(_BY_HAND, "no-carrier", _sending("manual", "confirm", "pay", carrier=None)),
)

# ---- events


def _shipment(service: Any) -> Data:
    service.confirm()
    return {"order_id": "order-1", "customer_id": "user-1"}


def _guests_shipment(service: Any) -> Data:
    service.confirm(customer_id="guest:1")
    return {"order_id": "order-1", "customer_id": "user-1"}


HEARD = (
    Heard("shipping", "order.confirmed"),
    Heard("shipping", "payment.completed", _shipment),
    Heard("shipping", "order.cancelled", _shipment),
    Heard("shipping", "order.return_accepted", _shipment),
    Heard("shipping", "order.return_received", _shipment),
    Heard("shipping", "order.anonymised", _shipment),
    Heard("shipping", "order.claimed", _guests_shipment),
)

# ---- messages of its own queues


def _booked(service: Any) -> Any:
    service.confirm()
    service.pay()
    (due,) = service.waiting()
    return due["body"]


def _dispatched(service: Any) -> Any:
    service.confirm()
    service.pay()
    assert service.carry(*service.waiting()) == []
    (due,) = service.waiting()
    return due["body"]


OWN_QUEUES = (
    OwnQueue("shipping.carrier", "carrier", _booked),
    OwnQueue("shipping.carrier", "carrier", _dispatched),
)

# ---- items of lists


def _largest_shipment() -> View:
    about = dict.fromkeys(
        ("shipment_id", "order_id", "order_number", "status", "carrier", "tracking_number"), WIDE * 64
    )
    since = datetime(2026, 11, 28, tzinfo=UTC)
    return ShipmentRow(awaits=["confirmation", "payment"], failure=WIDE * 500, since=since, has_left=True, **about)


LARGEST = (Largest("GET /api/shipments", _largest_shipment),)
