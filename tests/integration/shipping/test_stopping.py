"""An order is undone while its parcel is with the carrier, or after the carrier has given the parcel up."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from mercato.errors import TransientError
from mercato.store.dynamo import Table
from mercato.telemetry import metrics
from shipping.domain import AlreadyDispatched, Shipment
from shipping.sandbox import SandboxCarrier
from shipping.usecases import booking_key_of
from tests.integration.shipping.conftest import SHIPMENT, Service

KEY = booking_key_of(SHIPMENT)
CREATED = ["shipment.created"]


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def booked(service: Service) -> Service:
    service.confirm()
    service.pay()
    return service


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The calls of the carrier in order, each with the booking's key."""
    calls: list[str] = []
    for name in ("book", "cancel"):
        real = getattr(SandboxCarrier, name)

        def call(carrier: Any, shipment: Shipment, key: str, real: Any = real, name: str = name) -> None:
            assert key == KEY
            calls.append(name)
            real(carrier, shipment, key)

        monkeypatch.setattr(SandboxCarrier, name, call)
    return calls


@pytest.fixture
def rings(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The alarm's metrics and their reasons in the log."""
    counted: list[str] = []
    monkeypatch.setattr(metrics, "count", counted.append)

    def read() -> list[str]:
        logged = [vars(record) for record in caplog.records if record.levelname == "ERROR"]
        assert counted == ["CancelledParcelsLeft"] * len(logged)
        assert all((line["shipment_id"], line["order_id"]) == (SHIPMENT, "order-1") for line in logged)
        return [str(line["reason"]) for line in logged]

    return read


def test_the_carrier_is_told_before_the_shipment_is_cancelled(booked: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(SandboxCarrier, "cancel", lambda *_: seen.append(booked.status))
    assert booked.stop() == {"shipment_id": SHIPMENT}
    assert (seen, booked.status) == (["booked"], "cancelled")


def test_a_carrier_that_knows_nothing_of_the_parcel_is_not_told(service: Service, told: list[str]) -> None:
    service.confirm()
    service.stop()
    service.stop()
    service.cancel()
    assert (told, service.status) == ([], "cancelled")


def test_a_carrier_that_cannot_be_asked_stops_nothing_and_is_asked_again(
    booked: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    def be_away(*_: object) -> None:
        raise TransientError("the carrier is away")

    with monkeypatch.context() as patch:
        patch.setattr(SandboxCarrier, "cancel", be_away)
        with pytest.raises(TransientError):
            booked.stop()
        assert booked.cancel() == ["m-cancelled-1"]
    assert booked.status == "booked"
    booked.stop()
    assert booked.status == "cancelled"


def test_killed_after_the_carrier_was_told_it_is_told_again(
    booked: Service, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("shipping.domain.cancel", die)
        with pytest.raises(Killed):
            booked.stop()
    assert booked.status == "booked"
    assert booked.carry_to_the_end() == 1
    assert booked.told == CREATED, "the carrier keeps its word meanwhile"
    booked.stop()
    assert (told, booked.status) == (["cancel", "cancel"], "cancelled")


def test_a_parcel_that_the_carrier_has_collected_is_not_stopped(booked: Service) -> None:
    SandboxCarrier("", 0, booked.table, booked.now).collect(KEY)
    for _ in range(2):
        with pytest.raises(AlreadyDispatched):
            booked.stop()
    assert (booked.status, booked.told) == ("booked", CREATED)
    booked.carry_to_the_end()
    assert booked.status == "delivered"


def test_what_the_carrier_collected_and_lost_unreported_is_announced_as_dispatched_too(booked: Service) -> None:
    SandboxCarrier("", 0, booked.table, booked.now).collect(KEY)
    with pytest.raises(AlreadyDispatched):
        booked.stop()
    booked.webhook("failed", reason="lost")
    assert booked.told == [*CREATED, "shipment.dispatched", "shipment.failed"]
    assert booked.announced()[-1][1]["dispatched"] is True
    assert booked.announced()[-2][1]["tracking_number"] == "TRACK-1"


def test_who_was_about_to_tell_the_carrier_as_it_was_cancelled_takes_it_back(
    service: Service, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    service.confirm()
    book = SandboxCarrier.book

    def book_too_late(carrier: Any, shipment: Shipment, key: str) -> None:
        service.stop()
        book(carrier, shipment, key)

    monkeypatch.setattr(SandboxCarrier, "book", book_too_late)
    assert service.pay() == []
    assert told == ["cancel", "book", "cancel"]
    service.carry_to_the_end()
    assert (service.status, service.told) == ("cancelled", CREATED)


def test_killed_before_it_is_taken_back_the_next_delivery_takes_it_back(
    service: Service, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    service.confirm()
    book = SandboxCarrier.book

    def book_too_late_and_die(carrier: Any, shipment: Shipment, key: str) -> None:
        service.stop()
        book(carrier, shipment, key)
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(SandboxCarrier, "book", book_too_late_and_die)
        with pytest.raises(Killed):
            service.pay()
    assert service.pay() == []
    assert told == ["cancel", "book", "cancel"]


def test_a_parcel_that_failed_before_it_left_is_stopped(booked: Service, told: list[str]) -> None:
    booked.waiting()
    booked.webhook("failed", reason="label unreadable")
    assert booked.announced()[-1] == (
        "shipment.failed",
        {
            "shipment_id": SHIPMENT,
            "order_id": "order-1",
            "customer_id": "user-1",
            "reason": "label unreadable",
            "dispatched": False,
        },
    )
    assert booked.stop() == {"shipment_id": SHIPMENT}
    assert (booked.status, told) == ("cancelled", ["cancel"])


def test_a_parcel_that_failed_on_its_way_is_not_stopped(booked: Service, told: list[str]) -> None:
    booked.webhook("dispatched")
    booked.webhook("failed", reason="lost")
    with pytest.raises(AlreadyDispatched):
        booked.stop()
    assert (booked.status, told) == ("failed", [])


def test_a_parcel_that_failed_and_arrives_is_announced_as_delivered(booked: Service) -> None:
    booked.webhook("dispatched")
    booked.webhook("failed", reason="lost")
    assert booked.webhook("delivered") == (200, {"shipment_id": SHIPMENT, "status": "delivered"})
    way = ["shipment.dispatched", "shipment.failed", "shipment.in_transit", "shipment.delivered"]
    assert booked.told == [*CREATED, *way]


@pytest.mark.parametrize("status", ["dispatched", "in_transit", "delivered"])
def test_a_carrier_that_brings_a_cancelled_parcel_rings(
    booked: Service, rings: Callable[[], list[str]], status: str
) -> None:
    booked.stop()
    assert rings() == []
    assert booked.webhook(status) == (200, {"shipment_id": SHIPMENT, "status": "cancelled"})
    assert rings() == [f"The carrier says {status}."]
    assert booked.told == CREATED


def test_an_order_that_is_cancelled_while_its_parcel_is_on_the_way_rings(
    booked: Service, rings: Callable[[], list[str]]
) -> None:
    booked.webhook("dispatched")
    assert booked.cancel() == []
    assert rings() == ["The parcel of order order-1 is dispatched."]
    assert booked.status == "dispatched"


def test_the_sandbox_and_a_carrier_that_agrees_do_not_ring(booked: Service, rings: Callable[[], list[str]]) -> None:
    booked.stop()
    booked.cancel()
    booked.webhook("failed", reason="cancelled by the sender")
    booked.carry_to_the_end()
    assert rings() == []
    assert booked.told == CREATED


def test_dispatch_and_cancellation_at_once_the_carriers_word_decides(
    booked: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sandbox collects between the read and the write of the stop."""
    write = Table.write
    records = booked.waiting()

    def collect_first(table: Table, *given: Any, **more: Any) -> Any:
        if records:
            booked.carry(records.pop())
        return write(table, *given, **more)

    monkeypatch.setattr(Table, "write", collect_first)
    with pytest.raises(AlreadyDispatched):
        booked.stop()
    assert booked.status == "dispatched"
