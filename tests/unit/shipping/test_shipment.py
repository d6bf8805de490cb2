from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from itertools import permutations

import pytest

from shipping.domain import (
    Address,
    Booking,
    Contents,
    LabelIsOfAnother,
    Line,
    NotByHand,
    NotWithCarrier,
    ParcelCancelled,
    Progress,
    Shipment,
    Status,
    anonymise,
    begin_stop,
    cancel,
    confirm,
    hand_over,
    leave_to_staff,
    mark_paid,
    next_stop,
    note_collected,
    record_progress,
    report_by_hand,
)

HOME = Address("Anna", "1 High Street", None, "Leeds", "LS1 1AA", "GB")
LINES = (Line("product-1", "MUG", "Mug", 2),)
NEW = Shipment("shipment-1", "order-1", "user-1")


def stops(shipment: Shipment) -> list[Status]:
    return [stop.status for stop in shipment.history]


def booked(noon: datetime) -> Shipment:
    return mark_paid(confirm(NEW, Contents(LINES, HOME), noon), noon)


def report(status: Status, reason: str | None = None) -> Progress:
    return Progress("shipment-1", status, "TRACK-1", reason)


def moved(shipment: Shipment, noon: datetime, *statuses: Status) -> Shipment:
    for status in statuses:
        shipment = record_progress(shipment, report(status), "sandbox", noon)
    return shipment


def test_a_confirmed_order_waits_for_its_payment(noon: datetime) -> None:
    found = confirm(NEW, Contents(LINES, HOME), noon)
    assert (found.status, found.lines, found.address) == (Status.PENDING, LINES, HOME)
    assert not found.awaits_carrier


def test_a_payment_waits_for_its_order(noon: datetime) -> None:
    found = mark_paid(NEW, noon)
    assert (found.status, found.paid, stops(found)) == (Status.PENDING, True, [])
    assert not found.awaits_carrier


def test_whichever_comes_first_the_shipment_is_booked_when_both_are_there(noon: datetime) -> None:
    other_way = confirm(mark_paid(NEW, noon), Contents(LINES, HOME), noon)
    assert other_way == booked(noon)
    assert stops(other_way) == [Status.PENDING, Status.BOOKED]
    assert other_way.awaits_carrier


def test_a_fact_that_comes_again_changes_nothing(noon: datetime) -> None:
    found = booked(noon)
    assert confirm(found, Contents((), HOME), noon) is found
    assert mark_paid(found, noon) is found
    handed = hand_over(found, by_hand=False)
    assert not handed.awaits_carrier
    assert hand_over(handed, by_hand=False) is handed


@pytest.mark.parametrize("order", list(permutations(["confirm", "pay", "cancel"])))
def test_a_cancelled_shipment_is_never_booked_in_whatever_order_the_facts_come(
    noon: datetime, order: tuple[str, ...]
) -> None:
    facts: dict[str, Callable[[Shipment], Shipment]] = {
        "confirm": lambda found: confirm(found, Contents(LINES, HOME), noon),
        "pay": lambda found: mark_paid(found, noon),
        "cancel": lambda found: cancel(found, noon),
    }
    found = NEW
    for fact in order:
        found = facts[fact](found)
    assert found.status is Status.CANCELLED
    assert not found.awaits_carrier


def test_what_the_carrier_has_cannot_be_cancelled(noon: datetime) -> None:
    found = moved(booked(noon), noon, Status.DISPATCHED)
    assert cancel(found, noon) is found


def test_a_booked_shipment_can_still_be_cancelled(noon: datetime) -> None:
    found = cancel(hand_over(booked(noon), by_hand=False), noon)
    assert found.status is Status.CANCELLED
    assert moved(found, noon, Status.DISPATCHED) is found, "the carrier's report comes too late"


def test_a_parcel_goes_its_way_and_keeps_its_number(noon: datetime) -> None:
    found = moved(booked(noon), noon, Status.DISPATCHED)
    later = replace(report(Status.IN_TRANSIT), tracking_number="ANOTHER")
    found = record_progress(found, later, "other", noon)
    assert (found.carrier, found.tracking_number, found.status) == ("sandbox", "TRACK-1", Status.IN_TRANSIT)


def test_a_skipped_stop_is_passed_too(noon: datetime) -> None:
    found = moved(booked(noon), noon, Status.DELIVERED)
    assert stops(found)[2:] == [Status.DISPATCHED, Status.IN_TRANSIT, Status.DELIVERED]


@pytest.mark.parametrize("late", [Status.DISPATCHED, Status.IN_TRANSIT, Status.DELIVERED, Status.FAILED])
def test_a_delivered_parcel_stays_delivered(noon: datetime, late: Status) -> None:
    found = moved(booked(noon), noon, Status.DELIVERED)
    assert moved(found, noon, late) is found


def test_a_report_of_an_earlier_stop_is_late_news(noon: datetime) -> None:
    found = moved(booked(noon), noon, Status.IN_TRANSIT)
    assert moved(found, noon, Status.DISPATCHED) is found
    assert moved(found, noon, Status.IN_TRANSIT) is found


def lost(noon: datetime) -> Shipment:
    return record_progress(moved(booked(noon), noon, Status.DISPATCHED), report(Status.FAILED, "lost"), "sandbox", noon)


def test_a_lost_parcel_fails_with_its_reason(noon: datetime) -> None:
    found = lost(noon)
    assert (found.status, found.failure) == (Status.FAILED, "lost")
    assert stops(found)[2:] == [Status.DISPATCHED, Status.FAILED]


@pytest.mark.parametrize("late", [Status.DISPATCHED, Status.IN_TRANSIT, Status.FAILED])
def test_late_news_of_a_lost_parcel_changes_nothing(noon: datetime, late: Status) -> None:
    found = lost(noon)
    assert moved(found, noon, late) is found


def test_a_lost_parcel_may_arrive_all_the_same(noon: datetime) -> None:
    found = moved(lost(noon), noon, Status.DELIVERED)
    assert (found.status, found.failure) == (Status.DELIVERED, None)
    assert stops(found)[2:] == [Status.DISPATCHED, Status.FAILED, Status.IN_TRANSIT, Status.DELIVERED]
    assert moved(found, noon, Status.FAILED) is found


def test_a_parcel_that_failed_before_it_left_can_be_stopped_and_stays_so(noon: datetime) -> None:
    failed = moved(booked(noon), noon, Status.FAILED)
    assert not failed.has_left
    found = cancel(failed, noon)
    assert found.status is Status.CANCELLED
    for late in (Status.DISPATCHED, Status.DELIVERED, Status.FAILED):
        assert moved(found, noon, late) is found
    assert cancel(lost(noon), noon).status is Status.FAILED, "its goods are gone"


@pytest.mark.parametrize(
    ("late", "passed"),
    [
        (Status.DISPATCHED, [Status.DISPATCHED, Status.FAILED]),
        (Status.IN_TRANSIT, [Status.DISPATCHED, Status.IN_TRANSIT, Status.FAILED]),
        (Status.DELIVERED, [Status.DISPATCHED, Status.IN_TRANSIT, Status.DELIVERED]),
    ],
)
def test_that_a_failed_parcel_had_left_may_be_told_late(noon: datetime, late: Status, passed: list[Status]) -> None:
    found = moved(booked(noon), noon, Status.FAILED, late)
    assert stops(found)[2:] == [Status.FAILED, *passed]
    assert found.has_left


def test_a_parcel_that_the_carrier_would_not_cancel_has_left_when_it_fails(noon: datetime) -> None:
    collected = note_collected(booked(noon), noon)
    assert note_collected(collected, noon) is collected
    found = moved(collected, noon, Status.FAILED)
    assert (stops(found)[2:], found.tracking_number) == ([Status.DISPATCHED, Status.FAILED], "TRACK-1")
    late = note_collected(moved(booked(noon), noon, Status.FAILED), noon)
    assert stops(late)[2:] == [Status.FAILED, Status.DISPATCHED, Status.FAILED]
    assert note_collected(late, noon) is late


@pytest.mark.parametrize("paid", [True, False])
def test_a_parcel_that_was_never_booked_cannot_move(noon: datetime, paid: bool) -> None:
    with pytest.raises(NotWithCarrier):
        moved(replace(NEW, paid=paid), noon, Status.DISPATCHED)


def test_the_way_ends_at_the_ingress() -> None:
    assert [next_stop(status) for status in Status] == [
        None,
        Status.DISPATCHED,
        Status.IN_TRANSIT,
        Status.DELIVERED,
        None,
        None,
        None,
    ]


LABEL = Booking("USPS", "9400", "https://labels.example/1.png", "https://track.example/9400")
# Who moves a parcel that has a label: the carrier's scan, and staff who names no carrier and no number.
MOVES: dict[str, Callable[[Shipment, datetime], Shipment]] = {
    "staff hands it over": lambda found, now: report_by_hand(
        found, Progress("shipment-1", Status.DISPATCHED, ""), "", now
    ),
    "a scan": lambda found, now: record_progress(
        found, Progress("shipment-1", Status.IN_TRANSIT, "9400"), "easypost", now
    ),
    "the last scan": lambda found, now: record_progress(
        found, Progress("shipment-1", Status.DELIVERED, "9400"), "easypost", now
    ),
}


def labelled(noon: datetime) -> Shipment:
    return hand_over(booked(noon), by_hand=False, booking=LABEL)


def test_a_parcel_with_a_label_waits_for_staff_to_hand_it_over(noon: datetime) -> None:
    found = labelled(noon)
    assert (found.awaits, found.awaits_dispatch, found.is_under_way) == (("dispatch",), True, False)
    assert (found.carrier, found.tracking_number, found.tracking_url) == ("USPS", "9400", LABEL.tracking_url)
    assert hand_over(found, by_hand=False, booking=replace(LABEL, tracking_number="9401")) is found


@pytest.mark.parametrize("order", list(permutations(MOVES)))
def test_staff_and_the_carrier_s_scans_in_any_order_bring_it_with_its_label_to_the_ingress(
    noon: datetime, order: tuple[str, ...]
) -> None:
    found = labelled(noon)
    for move in order:
        found = MOVES[move](found, noon)
    assert stops(found)[2:] == [Status.DISPATCHED, Status.IN_TRANSIT, Status.DELIVERED]
    assert (found.carrier, found.tracking_number, found.is_under_way) == ("USPS", "9400", False)


def test_a_label_goes_with_its_own_carrier_and_number_only(noon: datetime) -> None:
    other = Progress("shipment-1", Status.DISPATCHED, "9401")
    for progress, carrier in ((other, "USPS"), (replace(other, tracking_number="9400"), "Royal Mail")):
        with pytest.raises(LabelIsOfAnother):
            report_by_hand(labelled(noon), progress, carrier, noon)
    assert MOVES["a scan"](labelled(noon), noon).is_under_way


def test_while_its_label_is_voided_staff_cannot_hand_it_over_and_a_scan_still_counts(noon: datetime) -> None:
    stopping = begin_stop(labelled(noon))
    assert begin_stop(stopping) is stopping
    for number, named in ((None, NEW.order_id), ("K7QF2-M9X40", "K7QF2-M9X40")):
        with pytest.raises(ParcelCancelled, match=f"^Order {named} is being cancelled"):
            MOVES["staff hands it over"](replace(stopping, order_number=number), noon)
    assert MOVES["a scan"](stopping, noon).status is Status.IN_TRANSIT
    assert cancel(MOVES["a scan"](stopping, noon), noon).status is Status.IN_TRANSIT
    assert MOVES["staff hands it over"](note_collected(stopping, noon), noon).status is Status.DISPATCHED
    assert MOVES["a scan"](cancel(stopping, noon), noon).status is Status.CANCELLED


def test_a_parcel_that_easypost_refuses_is_staff_s_with_the_reason_and_gets_no_label_later(noon: datetime) -> None:
    left = leave_to_staff(booked(noon), "No such street.")
    assert (left.awaits, left.refusal, left.is_under_way) == (("dispatch",), "No such street.", False)
    assert leave_to_staff(labelled(noon), "No such street.").refusal is None
    assert hand_over(left, by_hand=False, booking=LABEL) is left
    with pytest.raises(NotByHand):
        MOVES["staff hands it over"](hand_over(booked(noon), by_hand=False), noon)


def test_what_shows_the_recipient_goes_with_the_address(noon: datetime) -> None:
    scanned = MOVES["the last scan"](labelled(noon), noon)
    shown = replace(scanned, tracking_url="https://track.example/9400", refusal="There is no 1 Quay in Leith.")
    assert all((shown.address, shown.label_url, shown.tracking_url, shown.refusal))
    found = anonymise(shown)
    assert (found.address, found.label_url, found.tracking_url, found.refusal) == (None, None, None, None)
    assert found.tracking_number == "9400"
