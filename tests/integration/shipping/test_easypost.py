"""EasyPost as the carrier: one label for a parcel, whatever is lost on the wire.

The fake answers as EasyPost's published examples do; infra/local/easypost/api.py names them.
"""

from __future__ import annotations

import json
import traceback
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest

from infra.local.easypost.api import WAREHOUSE, Trouble
from mercato.breaker import shared
from mercato.errors import TransientError
from mercato.invocation import deadline
from mercato.peers.transport import Answer
from shipping.bookings import Bookings
from shipping.domain import Shipment, Status
from shipping.easypost.api import CarrierTimeout, CarrierUnavailable, EasyPostApi
from shipping.guarded import CIRCUIT, POLICY
from shipping.usecases import booking_key_of
from tests.integration.shipping.conftest import ADDRESS
from tests.integration.shipping.easypost_desk import SHIPMENT, Desk
from tests.kit.overtaking import overtake

KEY = booking_key_of(SHIPMENT)


def test_a_paid_order_gets_one_label_with_its_address_weight_and_service(desk: Desk) -> None:
    assert desk.sell() == []
    (wanted,) = desk.fake.asked
    assert wanted["to_address"] == {
        "name": "Anna",
        "company": "Looms Ltd",
        "street1": "1 High Street",
        "street2": None,
        "city": "Leeds",
        "state": "West Yorkshire",
        "zip": "LS1 1AA",
        "country": "GB",
        "phone": "+44 113 496 0000",
    }
    assert (wanted["from_address"], wanted["parcel"]) == ({"id": WAREHOUSE}, {"weight": 17.7})  # 500 g are 17.64 oz
    assert (wanted["reference"], wanted["options"]) == (KEY, {"invoice_number": "order-1"})
    made, found = desk.fake.only(), desk.shipment()
    assert made["selected_rate"]["service"] == "GroundAdvantage"
    assert (found.carrier, found.tracking_number) == ("USPS", made["tracking_code"])
    assert (found.label_url, found.tracking_url) == (
        made["postage_label"]["label_url"],
        made["tracker"]["public_url"],
    )
    assert (found.status, found.awaits, desk.to_send()) == (Status.BOOKED, ("dispatch",), [SHIPMENT])


def test_the_next_service_of_the_list_is_taken_where_the_first_is_not_offered(desk: Desk) -> None:
    desk.sell(delivery={"service": "express", "weight_grams": 500})
    assert desk.fake.only()["selected_rate"]["service"] == "Express"


@pytest.mark.parametrize(
    ("here", "there", "is_sold"),
    [("GB", "GB", True), ("GB", "US", False), ("DE", "FR", True), ("DE", "GB", False), ("US", "DE", False)],
)
def test_a_parcel_that_needs_a_customs_form_is_left_to_staff_and_no_label_is_bought(
    desk: Desk, here: str, there: str, is_sold: bool
) -> None:
    desk.fake.country, desk.fake.countries = here, {"GB", "US", "DE", "FR"}
    assert desk.sell(shipping_address=ADDRESS | {"country": there}) == []
    found = desk.shipment()
    assert (found.label_url is not None, len(desk.fake.bought)) == (is_sold, int(is_sold))
    assert (found.refusal or "").startswith(f"A parcel from {here} to {there} needs a customs form") is not is_sold
    assert desk.to_send() == [SHIPMENT]


def test_a_label_is_bought_where_easypost_does_not_say_the_warehouse_s_country(desk: Desk) -> None:
    desk.fake.country = None
    assert desk.sell() == []
    assert desk.shipment().label_url is not None


@pytest.mark.parametrize("page", ["http://track.example/1", "javascript:alert(1)", "https://x.example/a b", "", None])
def test_a_tracker_s_page_that_is_no_https_link_is_not_taken_over(desk: Desk, page: str | None) -> None:
    desk.fake.page = page
    assert desk.sell() == []
    assert desk.shipment().tracking_url is None
    assert desk.shipment().label_url is not None


def test_staff_sees_the_label_and_the_customer_the_tracking_page(desk: Desk) -> None:
    desk.sell()
    made = desk.fake.only()
    path = f"/api/shipments/{SHIPMENT}"
    _, ours = desk.shop.call("GET", path, user="staff-1", role="admin")
    _, theirs = desk.shop.call("GET", path, user="user-1")
    assert (ours["label_url"], theirs["label_url"]) == (made["postage_label"]["label_url"], None)
    assert ours["tracking_url"] == theirs["tracking_url"] == made["tracker"]["public_url"]
    assert ours["tracking_number"] == theirs["tracking_number"] == made["tracking_code"]


@pytest.mark.parametrize("trouble", [Trouble.LOST, Trouble.BROKEN, Trouble.ODD])
def test_a_label_whose_answer_was_lost_is_looked_up_and_not_bought_again(desk: Desk, trouble: Trouble) -> None:
    desk.fake.fail("/buy", trouble)
    assert desk.sell() == []
    assert len(desk.fake.bought) == 1
    assert desk.shipment().tracking_number == desk.fake.only()["tracking_code"]


@pytest.mark.parametrize("trouble", [Trouble.LOST, Trouble.BROKEN, Trouble.ODD, Trouble.AWAY, Trouble.BUSY])
@pytest.mark.parametrize("path", ["/v2/shipments", "/buy"])
def test_a_booking_that_fails_anywhere_is_repeated_to_one_label(desk: Desk, path: str, trouble: Trouble) -> None:
    """The look-up fails, too, so that the queue delivers the message again."""
    desk.fake.fail(path, trouble)
    parcel = f"shp_{1:032x}"
    desk.fake.fail(parcel, trouble)
    desk.sell()
    desk.fake.troubles.clear()
    assert desk.shop.pay() == []
    assert len(desk.fake.bought) == len(desk.fake.labels()) == 1
    assert desk.shipment().label_url == desk.fake.only()["postage_label"]["label_url"]


def test_a_carrier_that_hangs_is_left_within_the_time_of_the_invocation(desk: Desk) -> None:
    desk.confirm()
    desk.fake.fail("/v2/shipments", Trouble.HANGS)
    with deadline.at_most(0.8):
        assert desk.shop.pay() == ["m-paid-1"]
    assert desk.shop.pay() == []
    assert len(desk.fake.bought) == 1


def test_bookings_at_the_same_time_buy_one_label(desk: Desk) -> None:
    """Each creates a Shipment, and the first one that is stored is bought by all."""
    desk.confirm()
    shipment = Shipment(
        SHIPMENT,
        "order-1",
        "user-1",
        Status.BOOKED,
        address=desk.shipment().address,
        service="standard",
        weight_grams=1,
    )
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda _: desk.carrier().book(shipment, KEY), range(4)))
    assert len(desk.fake.bought) == 1
    assert {booking.tracking_number for booking in made if booking} == {desk.fake.only()["tracking_code"]}


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"delivery": {"service": "standard", "weight_grams": 0}}, "does not state its weight"),
        ({"delivery": None}, "does not state its weight"),
        ({"delivery": {"service": "pigeon", "weight_grams": 9}}, "names no service of EasyPost for pigeon"),
    ],
)
def test_a_parcel_that_cannot_be_booked_is_left_to_staff_with_the_reason(
    desk: Desk, changes: dict[str, Any], told: str
) -> None:
    assert desk.sell(**changes) == []
    found = desk.shipment()
    assert told in (found.refusal or "")
    assert (found.by_hand, desk.to_send(), desk.fake.calls) == (True, [SHIPMENT], [])


def test_an_address_that_the_carrier_refuses_is_told_to_staff_who_sends_the_parcel_another_way(desk: Desk) -> None:
    desk.fake.bad_streets = {"1 High Street"}
    assert desk.sell() == []
    refusal = "EasyPost refuses the parcel: Unable to verify address.; House number is missing"
    assert desk.shipment().refusal == refusal
    _, seen = desk.shop.call("GET", f"/api/shipments/{SHIPMENT}", user="user-1")
    assert seen["refusal"] is None
    status, sent = desk.report(stop="dispatched", carrier="Royal Mail", tracking_number="RM1")
    assert (status, sent["status"], sent["refusal"]) == (200, "dispatched", refusal)


def test_the_log_has_nothing_of_an_address_that_the_carrier_refuses(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """EasyPost's message may name the street, so it is told to staff alone."""
    desk.fake.bad_streets = {"1 High Street"}
    desk.sell()
    assert "House number is missing" in (desk.shipment().refusal or "")
    (found,) = (record for record in caplog.records if record.message == "the carrier refuses a parcel")
    assert "House number" not in str(vars(found))


def test_an_answer_that_cannot_be_read_is_told_by_its_fields_and_not_by_the_address_in_it() -> None:
    body = json.dumps({"reference": KEY, "to_address": {"name": "Anna Looms", "street1": "1 High Street"}})

    class Wire:
        def send(self, *_: Any, **__: Any) -> Answer:
            return Answer(200, {}, body.encode())

    api = EasyPostApi(lambda: "key", lambda: None, Wire(), "https://easypost.example")
    with pytest.raises(CarrierTimeout, match="id") as told:
        api.find("shp_1")
    shown = "".join(traceback.format_exception(told.value))
    assert "Looms" not in shown
    assert "High Street" not in shown


@pytest.mark.parametrize("path", ["", "/rerate"])
def test_a_parcel_that_easypost_does_not_know_for_a_moment_is_booked_later(desk: Desk, path: str) -> None:
    parcel = f"shp_{1:032x}"
    desk.fake.fail("/buy", Trouble.AWAY)
    desk.fake.fail(parcel, Trouble.AWAY)
    assert desk.sell() == ["m-paid-1"]
    desk.fake.fail(f"{parcel}{path}", Trouble.GONE)
    with pytest.raises(CarrierTimeout):
        desk.carrier().book(desk.shipment(), KEY)
    assert desk.shop.pay() == []
    assert len(desk.fake.bought) == 1


def unknown_at_easypost(desk: Desk) -> str:
    """A parcel whose label was not bought, and that EasyPost does not know: it is of another account, or deleted."""
    desk.fake.fail("/buy", Trouble.AWAY)
    desk.fake.fail(f"shp_{1:032x}", Trouble.AWAY)
    assert desk.sell() == ["m-paid-1"]
    (parcel_id,) = desk.fake.shipments
    desk.fake.shipments.clear()
    assert desk.shop.pay() == ["m-paid-1"]
    return parcel_id


def test_a_parcel_that_easypost_refuses_for_good_is_told_to_staff_once(desk: Desk) -> None:
    parcel_id = unknown_at_easypost(desk)
    desk.wait(timedelta(minutes=4))
    assert (desk.shop.pay(), desk.shipment().refusal) == (["m-paid-1"], None)
    desk.wait(timedelta(minutes=1))
    assert desk.shop.pay() == []
    told = "Look for its label in EasyPost's dashboard, or send it another way."
    assert desk.shipment().refusal == f"EasyPost does not show {parcel_id}: NOT_FOUND. {told}"
    assert desk.to_send() == [SHIPMENT]
    asked = len(desk.fake.calls)
    assert desk.shop.pay() == []
    assert len(desk.fake.calls) == asked, "nothing is asked for again"
    assert desk.report(stop="dispatched", carrier="Royal Mail", tracking_number="RM1")[0] == 200


def test_an_offer_that_easypost_refuses_for_good_is_told_to_staff(desk: Desk) -> None:
    desk.fake.fail("/buy", Trouble.AWAY)
    desk.fake.fail(f"shp_{1:032x}", Trouble.AWAY)
    desk.sell()
    for minutes, failed in ((0, ["m-paid-1"]), (5, [])):
        desk.wait(timedelta(minutes=minutes))
        desk.fake.fail("/rerate", Trouble.GONE)
        assert desk.shop.pay() == failed
    assert (desk.shipment().refusal or "").startswith("EasyPost does not rate shp_")


def test_two_bookings_at_once_of_a_parcel_that_is_refused_for_good_tell_staff_once(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    unknown_at_easypost(desk)
    desk.wait(timedelta(minutes=5))
    inner = overtake(monkeypatch, Bookings, "note_unknown", desk.shop.pay)
    assert (desk.shop.pay(), inner) == ([], [[]])
    assert (desk.shipment().refusal or "").startswith("EasyPost does not show")
    assert desk.to_send() == [SHIPMENT]


def test_an_order_whose_parcel_easypost_refuses_for_good_can_be_cancelled(desk: Desk) -> None:
    unknown_at_easypost(desk)
    with pytest.raises(TransientError):
        desk.shop.stop()
    desk.wait(timedelta(minutes=5))
    desk.shop.stop()
    assert desk.shipment().status is Status.CANCELLED
    assert desk.shop.pay() == []


def test_a_label_that_the_shop_has_is_not_taken_for_void_where_easypost_does_not_show_it(desk: Desk) -> None:
    """Somebody may have printed it, so an operator decides."""
    desk.sell()
    desk.fake.shipments.clear()
    for _ in range(2):
        with pytest.raises(TransientError):
            desk.shop.stop()
        desk.wait(timedelta(minutes=10))


def test_a_cancellation_waits_while_easypost_does_not_know_the_parcel(desk: Desk) -> None:
    desk.sell()
    desk.fake.fail(desk.fake.only()["id"], Trouble.GONE)
    with pytest.raises(CarrierTimeout):
        desk.carrier().cancel(desk.shipment(), KEY)
    desk.carrier().cancel(desk.shipment(), KEY)
    assert desk.fake.labels() == []


def test_a_country_that_no_carrier_serves_is_told_with_the_carriers_reasons(desk: Desk) -> None:
    desk.fake.countries = {"US"}
    assert desk.sell() == []
    assert desk.shipment().refusal == (
        "EasyPost does not offer USPS/GroundAdvantage for this parcel. DhlEcs: shipment.customs_info: field required"
    )
    assert desk.fake.bought == []


@pytest.mark.parametrize("trouble", [Trouble.BUSY, Trouble.POOR])
def test_a_carrier_that_sells_nothing_now_keeps_the_parcel_waiting(desk: Desk, trouble: Trouble) -> None:
    desk.confirm()
    desk.fake.fail("/v2/shipments", trouble)
    assert desk.shop.pay() == ["m-paid-1"]
    assert desk.shipment().awaits_carrier
    assert desk.shop.pay() == []
    assert len(desk.fake.bought) == 1


def test_too_many_requests_are_told_with_the_wait(desk: Desk) -> None:
    desk.sell()
    desk.fake.fail(desk.fake.only()["id"], Trouble.BUSY)
    with pytest.raises(CarrierUnavailable) as failed:
        desk.carrier().book(desk.shipment(), KEY)
    assert failed.value.retry_after == 7.0


def test_a_key_that_is_refused_is_read_again(desk: Desk) -> None:
    desk.fake.key = "EZTK_another"
    desk.confirm()
    assert desk.shop.pay() == ["m-paid-1"]
    desk.fake.key = "EZTK_of_this_shop"
    assert desk.shop.pay() == []


def test_the_circuit_opens_at_failures_of_several_parcels_and_bookings_wait(desk: Desk) -> None:
    desk.confirm()
    desk.fake.deaf = True
    carrier, parcel = desk.shop_carrier(), desk.shipment()
    for number in range(5):
        with pytest.raises(CarrierTimeout):
            carrier.book(
                Shipment(f"s-{number}", "o", "u", address=parcel.address, service="standard", weight_grams=1), "k"
            )
    assert shared.breaker_for(CIRCUIT, POLICY).view.state.st == "O"
    calls = len(desk.fake.calls)
    assert desk.shop.pay() == ["m-paid-1"]
    assert len(desk.fake.calls) == calls


def test_one_parcel_that_always_fails_opens_no_circuit(desk: Desk) -> None:
    desk.confirm()
    desk.fake.deaf = True
    for _ in range(8):
        assert desk.shop.pay() == ["m-paid-1"]
    assert shared.breaker_for(CIRCUIT, POLICY).view.state.st == "C"


def test_a_cancelled_order_voids_its_label_once(desk: Desk) -> None:
    desk.sell()
    desk.shop.stop()
    desk.shop.stop()
    assert desk.fake.refunds == [desk.fake.only()["id"]]
    assert (desk.shipment().status, desk.to_send()) == (Status.CANCELLED, [])


@pytest.mark.parametrize("trouble", [Trouble.LOST, Trouble.BROKEN, Trouble.ODD, Trouble.AWAY, Trouble.BUSY])
def test_a_void_whose_answer_was_lost_is_looked_up(desk: Desk, trouble: Trouble) -> None:
    desk.sell()
    desk.fake.fail("/refund", trouble)
    with pytest.raises(TransientError):
        desk.shop.stop()
    assert desk.shipment().status is Status.BOOKED
    desk.shop.stop()
    assert desk.shipment().status is Status.CANCELLED
    assert len(desk.fake.refunds) == 1


def test_nothing_is_bought_after_a_cancellation(desk: Desk) -> None:
    desk.confirm()
    desk.carrier().cancel(desk.shipment(), KEY)
    assert desk.carrier().book(desk.shipment(), KEY) is None
    assert desk.fake.bought == []


def test_a_label_that_is_bought_while_the_order_is_cancelled_is_voided_by_the_booking(desk: Desk) -> None:
    desk.confirm()
    buy = desk.fake._buy

    def cancel_first(shipment: dict[str, Any], rate_id: str) -> Any:
        desk.fake._buy = buy  # type: ignore[method-assign]
        desk.fake.lock.release()
        try:
            desk.shop.stop()
        finally:
            desk.fake.lock.acquire()
        return buy(shipment, rate_id)

    desk.fake._buy = cancel_first  # type: ignore[method-assign]
    assert desk.shop.pay() == []
    assert desk.shipment().status is Status.CANCELLED
    assert (len(desk.fake.bought), desk.fake.labels()) == (1, [])


@pytest.mark.parametrize("status", ["in_transit", "delivered", "return_to_sender"])
def test_a_void_that_comes_too_late_leaves_the_order_alone(desk: Desk, status: str) -> None:
    desk.sell()
    desk.fake.move(desk.fake.only()["id"], status)
    with pytest.raises(Exception, match="The carrier has the parcel of order order-1"):
        desk.shop.stop()
    assert desk.fake.refunds == []
    assert (desk.shipment().status, desk.shipment().stopping) == (Status.BOOKED, False)


def test_a_label_that_the_carrier_does_not_take_back_counts_as_used(desk: Desk) -> None:
    desk.sell()
    desk.fake.refund_status = "rejected"
    for _ in range(2):
        with pytest.raises(Exception, match="The carrier has the parcel"):
            desk.shop.stop()
    assert desk.fake.refunds == [desk.fake.only()["id"]]


def test_a_carrier_that_charges_scanned_parcels_alone_agrees_to_a_cancellation(desk: Desk) -> None:
    desk.sell()
    desk.fake.refund_status = "not_applicable"
    desk.shop.stop()
    assert desk.shipment().status is Status.CANCELLED


def test_staff_hands_over_no_parcel_while_its_label_is_voided(desk: Desk) -> None:
    desk.sell()
    desk.fake.fail("/refund", Trouble.AWAY)
    with pytest.raises(TransientError):
        desk.shop.stop()
    status, problem = desk.report(stop="dispatched")
    assert (status, problem["type"].rpartition(":")[2]) == (409, "parcel-cancelled")
    desk.shop.stop()
    assert desk.shipment().status is Status.CANCELLED


def test_staff_dispatches_with_the_label_s_carrier_and_number_and_no_other(desk: Desk) -> None:
    desk.sell()
    status, problem = desk.report(stop="dispatched", carrier="Royal Mail", tracking_number="RM1")
    assert (status, problem["type"].rpartition(":")[2]) == (409, "label-is-of-another")
    for _ in range(2):
        status, sent = desk.report(stop="dispatched")
        assert (status, sent["carrier"], sent["tracking_number"]) == (200, "USPS", desk.fake.only()["tracking_code"])
    (told,) = (data for kind, data in desk.shop.announced() if kind == "shipment.dispatched")
    assert (told["carrier"], told["tracking_number"]) == ("USPS", desk.fake.only()["tracking_code"])


def test_a_closed_account_leaves_no_link_to_its_label(desk: Desk) -> None:
    desk.sell()
    desk.shop.receive("order.anonymised", "anonymised-1", {})
    item = desk.shop.table.get(f"SHIPMENT#{SHIPMENT}", "SHIPMENT")
    assert item is not None
    assert "easypost" not in json.dumps(item, default=str)
