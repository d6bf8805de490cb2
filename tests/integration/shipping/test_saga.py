"""The saga's step on the shipment: after it, the parcel has left, or it never will."""

from __future__ import annotations

from typing import Any

import pytest

from mercato.clock import utc_now
from shipping.domain import AlreadyDispatched, Progress, Status
from shipping.store import ShipmentStore
from shipping.usecases import record_progress
from tests.integration.shipping.conftest import SHIPMENT, Service


@pytest.fixture
def stop(service: Service) -> Any:
    return service.stop


def status(store: ShipmentStore) -> Status | None:
    found = store.load(SHIPMENT).shipment
    return found.status if found else None


def test_a_shipment_that_is_stopped_is_not_booked_by_a_payment_that_comes_late(service: Service, stop: Any) -> None:
    service.confirm()
    assert stop() == {"shipment_id": SHIPMENT}
    service.pay()
    assert status(service.store) is Status.CANCELLED


def test_a_stop_before_all_else_keeps_the_shipment_from_beginning(service: Service, stop: Any) -> None:
    stop()
    stop()
    service.confirm()
    service.pay()
    assert status(service.store) is Status.CANCELLED


def test_a_parcel_that_has_left_is_not_stopped(service: Service, stop: Any) -> None:
    service.confirm()
    service.pay()
    left = Progress(SHIPMENT, Status.DISPATCHED, "SBX1")
    record_progress(left, "sandbox", shipments=service.store, now=utc_now())
    with pytest.raises(AlreadyDispatched):
        stop()
    assert status(service.store) is Status.DISPATCHED
