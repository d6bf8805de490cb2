import json
from datetime import datetime, timedelta
from typing import Any

import boto3
import pytest

from mercato.store.cursor import encode_cursor
from mercato.webhooks import sign
from shipping.domain import Line, Shipment, Status, Stop
from shipping.store import Loaded
from shipping.usecases import shipment_id_of

SHIPMENT = shipment_id_of("order-1")
PATH = f"/api/shipments/{SHIPMENT}"


@pytest.fixture
def booked(service: Any) -> Any:
    service.confirm()
    service.pay()
    service.waiting()
    return service


def test_anyone_may_ask_what_sending_costs(service: Any) -> None:
    status, body = service.call("POST", "/api/shipments/quotes", body='{"country": "GB", "items": 2}')
    assert status == 200
    assert body == {
        "quotes": [
            {
                "carrier": "sandbox",
                "service": "standard",
                "name": "Standard",
                "price": {"amount": 445, "currency": "GBP"},
                "days_from": 2,
                "days": 3,
            },
            {
                "carrier": "sandbox",
                "service": "express",
                "name": "Express",
                "price": {"amount": 775, "currency": "GBP"},
                "days_from": 1,
                "days": 1,
            },
        ],
        "version": 0,
    }


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ('{"country": "gb", "items": 2}', 422),
        ('{"country": "GBR", "items": 2}', 422),
        ('{"country": "GB\\n", "items": 2}', 422),
        ('{"country": "GB", "items": 0}', 422),
        ('{"country": "GB", "items": 100001}', 422),
        ('{"country": "GB", "items": 1.5}', 422),
        ('{"country": "GB", "items": "2"}', 422),
        ('{"country": "GB", "items": true}', 422),
        ('{"country": "GB"}', 422),
        ('{"country": "GB", "items": 2, "express": true}', 422),
        ('{"country": "GB", "items": ', 400),
        ("", 400),
        (None, 400),
    ],
)
def test_a_quote_for_nonsense_is_refused(service: Any, body: str | None, expected: int) -> None:
    assert service.call("POST", "/api/shipments/quotes", body=body)[0] == expected


def test_the_owner_and_an_admin_see_the_shipment(booked: Any) -> None:
    booked.webhook("dispatched")
    status, body = booked.call("GET", PATH, user="user-1")
    assert status == 200
    assert body == {
        "shipment_id": SHIPMENT,
        "order_id": "order-1",
        "order_number": None,
        "status": "dispatched",
        "carrier": "sandbox",
        "tracking_number": "TRACK-1",
        "failure": None,
        "tracking_url": None,
        "label_url": None,
        "refusal": None,
        "lines": [{"product_id": "product-1", "sku": "MUG", "name": "Mug", "quantity": 2}],
        "shipping_address": {
            "name": "Anna",
            "line1": "1 High Street",
            "line2": None,
            "city": "Leeds",
            "postcode": "LS1 1AA",
            "country": "GB",
            "company": "Looms Ltd",
            "region": "West Yorkshire",
            "phone": "+44 113 496 0000",
        },
        "timeline": [
            {"at": "2026-11-22T12:00:00.000Z", "status": "pending"},
            {"at": "2026-11-22T12:00:00.000Z", "status": "booked"},
            {"at": "2026-11-22T12:00:00.000Z", "status": "dispatched"},
        ],
    }
    assert booked.call("GET", PATH, user="boss", role="admin") == (200, body)


def test_nobody_else_sees_it(booked: Any) -> None:
    assert booked.call("GET", PATH, user="user-2")[0] == 404
    assert booked.call("GET", PATH)[0] == 401
    assert booked.call("GET", "/api/shipments/unknown", user="user-1")[0] == 404


def test_what_is_not_confirmed_is_no_shipment_yet(service: Any) -> None:
    service.pay()
    assert service.call("GET", PATH, user="user-1")[0] == 404
    service.cancel()
    assert service.call("GET", PATH, user="user-1")[0] == 404


def test_the_carriers_webhook_moves_the_parcel(booked: Any) -> None:
    for status in ("dispatched", "in_transit", "delivered"):
        assert booked.webhook(status) == (200, {"shipment_id": SHIPMENT, "status": status})
    assert booked.told == ["shipment.created", "shipment.dispatched", "shipment.in_transit", "shipment.delivered"]


def test_a_webhook_that_comes_twice_is_announced_once(booked: Any) -> None:
    for _ in range(3):
        assert booked.webhook("dispatched")[0] == 200
    assert booked.told == ["shipment.created", "shipment.dispatched"]


def test_a_webhook_that_comes_late_is_taken_and_moves_nothing(booked: Any) -> None:
    booked.webhook("delivered")
    assert booked.webhook("in_transit") == (200, {"shipment_id": SHIPMENT, "status": "delivered"})
    assert booked.webhook("failed", reason="lost") == (200, {"shipment_id": SHIPMENT, "status": "delivered"})
    assert booked.told == ["shipment.created", "shipment.dispatched", "shipment.in_transit", "shipment.delivered"]


def test_a_lost_parcel_is_announced_with_its_reason(booked: Any) -> None:
    assert booked.webhook("failed", reason="lost at sea")[0] == 200
    kind, data = booked.announced()[-1]
    assert (kind, data["reason"]) == ("shipment.failed", "lost at sea")


def test_webhook_and_sandbox_carrier_together_announce_each_stop_once(service: Any) -> None:
    service.confirm()
    service.pay()
    records = service.waiting()
    service.webhook("dispatched")
    service.carry(*records)
    service.carry_to_the_end()
    assert service.told == ["shipment.created", "shipment.dispatched", "shipment.in_transit", "shipment.delivered"]


def test_a_webhook_that_is_not_signed_by_the_carrier_now_changes_nothing(booked: Any) -> None:
    assert booked.webhook("delivered", secret="guess")[0] == 401
    assert booked.webhook("delivered", age=301)[0] == 401
    assert booked.call("POST", "/api/shipments/webhooks/sandbox", body="{}")[0] == 401
    assert booked.status == "booked"


def test_what_is_not_signed_is_not_even_read(booked: Any) -> None:
    assert booked.call("POST", "/api/shipments/webhooks/sandbox", body="not json")[0] == 401


@pytest.mark.parametrize(
    "changes", [{"status": "booked"}, {"status": "lost"}, {"tracking_number": ""}, {"shipment_id": 7}, {"extra": 1}]
)
def test_a_signed_webhook_that_makes_no_sense_is_422(booked: Any, changes: dict[str, Any]) -> None:
    status = changes.pop("status", "delivered")
    assert booked.webhook(status, **changes)[0] == 422
    assert booked.status == "booked"


def test_a_signed_webhook_that_is_not_json_is_400(booked: Any) -> None:
    timestamp = str(int(booked.now.timestamp()))
    headers = {
        "X-Webhook-Timestamp": timestamp,
        "X-Webhook-Signature": sign("the-carriers-secret", timestamp, b"{"),
    }
    assert booked.call("POST", "/api/shipments/webhooks/sandbox", body="{", headers=headers)[0] == 400


def test_a_webhook_for_a_parcel_that_was_never_booked_is_refused(service: Any) -> None:
    assert service.webhook("dispatched")[0] == 404
    service.confirm()
    status, problem = service.webhook("dispatched")
    assert (status, problem["type"]) == (409, "urn:mercato:problem:not-with-carrier")
    assert service.told == ["shipment.created"]


def test_a_rotated_secret_is_picked_up_after_five_minutes(booked: Any, noon: datetime) -> None:
    assert booked.webhook("dispatched")[0] == 200
    boto3.client("secretsmanager", "us-east-1").put_secret_value(SecretId="carrier-secret", SecretString="new")
    booked.pass_time(301)
    assert booked.webhook("in_transit", secret="new")[0] == 200
    assert booked.webhook("delivered")[0] == 401


def test_a_secret_that_cannot_be_read_is_a_503_and_not_an_open_ingress(booked: Any) -> None:
    boto3.client("secretsmanager", "us-east-1").delete_secret(
        SecretId="carrier-secret", ForceDeleteWithoutRecovery=True
    )
    status, problem = booked.webhook("delivered", secret="")
    assert (status, problem["type"]) == (503, "urn:mercato:problem:temporarily-unavailable")
    assert json.dumps(problem).find("secret") == -1


# ---- the list for staff


def listed(service: Any, query: dict[str, str] | None = None) -> Any:
    status, page = service.call("GET", "/api/shipments", role="admin", user="u-admin", query=query)
    assert status == 200, page
    return page


def give_back(service: Any, return_id: str, units: int) -> None:
    data = {"return_id": return_id, "lines": [{"product_id": "product-1", "quantity": units}], "reason": "lost"}
    assert service.receive("order.return_received", f"e-{return_id}", data) == []


def test_a_parcel_given_up_is_listed_until_all_of_its_goods_are_returned_or_written_off(booked: Any) -> None:
    assert listed(booked)["items"] == []
    booked.webhook("dispatched")
    booked.webhook("failed", reason="nobody home")
    (row,) = listed(booked)["items"]
    about = {"shipment_id": SHIPMENT, "order_id": "order-1", "status": "failed", "awaits": [], "has_left": True}
    assert row | about | {"failure": "nobody home", "carrier": "sandbox", "tracking_number": "TRACK-1"} == row
    give_back(booked, "r-1", 1)
    give_back(booked, "r-1", 1)
    assert len(listed(booked)["items"]) == 1
    give_back(booked, "r-2", 1)
    assert listed(booked) == {"items": [], "next_cursor": None}


def test_a_parcel_that_arrives_after_all_or_is_cancelled_is_listed_no_more(booked: Any) -> None:
    booked.webhook("failed")
    assert len(listed(booked)["items"]) == 1
    booked.webhook("delivered")
    assert listed(booked)["items"] == []


def test_a_parcel_that_never_left_is_settled_by_cancelling_its_order(booked: Any) -> None:
    booked.webhook("failed")
    assert [row["has_left"] for row in listed(booked)["items"]] == [False]
    assert booked.cancel() == []
    assert listed(booked)["items"] == []


def test_parcels_given_up_are_listed_page_by_page_the_longest_first(service: Any) -> None:
    for number in range(5):
        shipment = Shipment(
            f"s-{number}", f"o-{number}", "user-1", Status.FAILED, lines=(Line("p", "s", "n", 1),),
            history=(Stop(service.now - timedelta(days=number), Status.FAILED),),
        )  # fmt: skip
        service.store.save(shipment, Loaded(None, 0), service.now)
    found, cursor = [], ""
    while True:
        page = listed(service, {"limit": "2"} | ({"cursor": cursor} if cursor else {}))
        found += [row["shipment_id"] for row in page["items"]]
        if not (cursor := page["next_cursor"]):
            break
    assert found == ["s-4", "s-3", "s-2", "s-1", "s-0"]
    forged = encode_cursor({"pk": "GIVEN_UP", "sk": "x" * 1100})
    assert service.call("GET", "/api/shipments", role="admin", user="u", query={"cursor": forged})[0] == 400


def test_the_parcel_of_an_order_says_what_it_waits_for(service: Any) -> None:
    def awaits() -> Any:
        return [(row["status"], row["awaits"]) for row in listed(service, {"order_id": "order-1"})["items"]]

    assert awaits() == []
    service.pay()
    assert awaits() == [("pending", ["confirmation"])]
    assert service.call("GET", PATH, user="user-1")[0] == 404
    assert service.call("GET", PATH, user="u-admin", role="admin")[0] == 200
    service.confirm()
    assert awaits() == [("booked", ["carrier"])]
    service.webhook("dispatched")
    assert awaits() == [("dispatched", [])]


@pytest.mark.parametrize("stated", [{"number": "K7QF2-M9X40"}, {}], ids=["with a number", "of an earlier release"])
def test_a_parcel_shows_the_number_of_its_order_for_people(service: Any, stated: dict[str, str]) -> None:
    service.pay()
    assert listed(service, {"order_id": "order-1"})["items"][0]["order_number"] is None
    service.confirm(**stated)
    number = stated.get("number")
    assert listed(service, {"order_id": "order-1"})["items"][0]["order_number"] == number
    assert service.call("GET", PATH, user="user-1")[1]["order_number"] == number


def test_customers_do_not_list_parcels(service: Any) -> None:
    assert service.call("GET", "/api/shipments", user="user-1")[0] == 403
