"""The orders service keeps the orders of a closed account, without personal data."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import boto3
import pytest

from mercato import aws
from mercato.events import dead_letters
from mercato.ids import derived_id
from mercato.store.event_store import EventStore
from orders import consumers, usecases
from orders.order import Order
from orders.store import OrderStore
from tests.integration.orders.conftest import ADDRESS, Shop, body

ORDER = derived_id("cust-1", "key-1")
PERSONAL = [value for name, value in ADDRESS.items() if value and name != "country"]


class Machine:
    def start_execution(self, **call: Any) -> None:
        self.name = call["name"]


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found, client = Machine(), aws.client
    monkeypatch.setattr(aws, "client", lambda service: found if service == "stepfunctions" else client(service))
    return found


def stored() -> str:
    """Every attribute of every item, as text."""
    return json.dumps(boto3.client("dynamodb", "us-east-1").scan(TableName="OrdersTable")["Items"])


def close_account(shop: Shop, user: str = "cust-1") -> None:
    assert shop.hear("user.closed", {"user_id": user}) == []


def deliver(shop: Shop) -> None:
    shop.task("ConfirmOrder", order_id=ORDER, payment_id="pay-1")
    sent = {"order_id": ORDER, "shipment_id": "shp-1", "carrier": "sandbox", "tracking_number": "SBX1"}
    assert shop.hear("shipment.dispatched", sent) == []
    assert shop.hear("shipment.delivered", {"order_id": ORDER, "shipment_id": "shp-1"}) == []


def is_anonymous() -> bool:
    return not any(word in stored() for word in PERSONAL)


def test_a_finished_order_loses_its_address_and_keeps_all_else(shop: Shop) -> None:
    shop.place()
    deliver(shop)
    before = shop.call("GET", f"/api/orders/{ORDER}", user="boss", role="admin")[1]
    assert before["shipping_address"] == ADDRESS

    close_account(shop)

    assert is_anonymous()
    after = shop.call("GET", f"/api/orders/{ORDER}", user="boss", role="admin")[1]
    changes = {name for name in before if before[name] != after[name]}
    assert changes == {"shipping_address", "version", "updated_at"}
    assert after["shipping_address"] is None


def test_the_facts_stay_as_they_were_and_a_last_one_says_what_was_erased(shop: Shop) -> None:
    shop.place()
    deliver(shop)
    path = f"/api/orders/{ORDER}/history"
    before = shop.call("GET", path, user="boss", role="admin")[1]["facts"]

    close_account(shop)

    after = shop.call("GET", path, user="boss", role="admin")[1]["facts"]
    assert after[:-1] == before
    assert after[-1]["type"] == "OrderAnonymised"


def test_the_world_hears_of_it_once(shop: Shop) -> None:
    shop.place()
    deliver(shop)

    close_account(shop)
    close_account(shop)

    told = [event for event in shop.announced(ORDER) if event["type"] == "order.anonymised"]
    assert [event["data"] for event in told] == [{"order_id": ORDER, "customer_id": "cust-1", "guest_id": None}]


def test_a_parcel_that_is_still_to_come_keeps_its_address_until_it_has_come(shop: Shop) -> None:
    shop.place()

    close_account(shop)
    assert not is_anonymous()
    assert shop.call("GET", f"/api/orders/{ORDER}")[1]["shipping_address"] == ADDRESS

    deliver(shop)
    assert is_anonymous()


def test_an_order_that_is_undone_loses_its_address_too(shop: Shop) -> None:
    shop.place()
    close_account(shop)

    shop.task("CancelOrder", order_id=ORDER, step="ReserveInventory", error={"Error": "OutOfStock", "Cause": "{}"})

    assert shop.order(ORDER).status == "cancelled"
    assert is_anonymous()


def test_an_access_token_that_outlived_its_account_places_no_order(shop: Shop) -> None:
    first = shop.place(key="key-0")
    close_account(shop)
    before = stored()

    status, refused, _ = shop.call("POST", "/api/orders", body(), key="key-1")

    assert (status, refused["type"]) == (401, "urn:mercato:problem:account-closed")
    assert stored() == before
    assert shop.call("POST", "/api/orders", body(), key="key-0")[1]["order_id"] == first["order_id"]


def test_an_account_that_is_closed_while_its_order_is_placed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    append = EventStore.append

    def close_first(self: EventStore, *how: Any, **more: Any) -> int:
        with monkeypatch.context() as once:
            once.setattr(EventStore, "append", append)
            close_account(shop)
        return append(self, *how, **more)

    monkeypatch.setattr(EventStore, "append", close_first)
    status, refused, _ = shop.call("POST", "/api/orders", body(), key="key-1")
    monkeypatch.setattr(EventStore, "append", append)

    assert (status, refused["type"]) == (401, "urn:mercato:problem:account-closed")
    assert is_anonymous()


def test_an_order_that_the_list_did_not_show_when_its_account_was_closed_is_found(
    shop: Shop, machine: Machine, noon: datetime
) -> None:
    shop.place()
    OrderStore(shop.table).note_departure("cust-1", noon)
    assert shop.hear("order.created", {"order_id": ORDER}) == []
    assert machine.name == ORDER

    deliver(shop)

    assert is_anonymous()


def test_the_orders_of_others_are_left_alone(shop: Shop) -> None:
    shop.place()
    deliver(shop)

    close_account(shop, "cust-2")

    assert shop.call("GET", f"/api/orders/{ORDER}")[1]["shipping_address"] == ADDRESS


def test_every_one_of_many_orders_is_found(shop: Shop) -> None:
    for number in range(30):
        placed = shop.place(key=f"key-{number}")
        error = {"Error": "OutOfStock", "Cause": "{}"}
        shop.task("CancelOrder", order_id=placed["order_id"], step="ReserveInventory", error=error)

    close_account(shop)

    assert is_anonymous()


QUEUE = "mercato-orders"


@pytest.fixture
def queue(cloud: None) -> Iterator[str]:
    """The URL of the orders' queue."""
    dead_letters._dlq_url.cache_clear()
    boto3.client("sqs").create_queue(QueueName=f"{QUEUE}-dlq")
    yield boto3.client("sqs").create_queue(QueueName=QUEUE)["QueueUrl"]
    dead_letters._dlq_url.cache_clear()


def next_message(queue: str) -> dict[str, Any] | None:
    found = boto3.client("sqs").receive_message(QueueUrl=queue).get("Messages", [])
    for message in found:
        boto3.client("sqs").delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
    return json.loads(found[0]["Body"])["detail"] if found else None


def with_time_for(monkeypatch: pytest.MonkeyPatch, orders: int) -> None:
    """Gives each run from now on time for this many orders."""
    left = iter([True] * orders)
    monkeypatch.setattr(consumers, "_has_time", lambda: next(left, False))


def test_more_orders_than_one_run_can_tell_are_told_run_by_run(
    shop: Shop, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [shop.place(key=f"key-{number}")["order_id"] for number in range(7)]
    told: list[str] = []
    change = usecases.change_order

    def counted(order_id: str, *how: Any, **more: Any) -> Order:
        told.append(order_id)
        return change(order_id, *how, **more)

    monkeypatch.setattr(usecases, "change_order", counted)
    runs = 0
    event: dict[str, Any] | None = {"id": "closed-1", "data": {"user_id": "cust-1"}}
    while event:
        with_time_for(monkeypatch, 2)
        assert shop.hear("user.closed", event["data"], event_id=event["id"]) == []
        runs += 1
        event = next_message(queue)
    assert runs == 4
    assert sorted(told) == sorted(ids), "each once"
    assert all(shop.order(order_id).customer_left for order_id in ids)


def test_a_run_that_dies_and_a_message_that_comes_twice_lose_no_order(
    shop: Shop, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [shop.place(key=f"key-{number}")["order_id"] for number in range(6)]
    monkeypatch.setattr(usecases, "_ORDERS_PER_MARK", 2)
    append, left = OrderStore.append, iter(range(3))

    def die(self: OrderStore, *how: Any) -> Order:
        if next(left, None) is None:
            raise KeyboardInterrupt
        return append(self, *how)

    with monkeypatch.context() as dying:
        dying.setattr(OrderStore, "append", die)
        with pytest.raises(KeyboardInterrupt):
            shop.hear("user.closed", {"user_id": "cust-1"})
    for _ in range(2):
        with_time_for(monkeypatch, 2)
        assert shop.hear("user.closed", {"user_id": "cust-1"}) == []
    with_time_for(monkeypatch, 100)
    assert shop.hear("user.closed", {"user_id": "cust-1"}) == []
    assert [shop.order(order_id).version for order_id in ids] == [2] * 6
    assert all(shop.order(order_id).customer_left for order_id in ids)


def test_a_queue_that_takes_no_message_has_this_one_delivered_again(
    shop: Shop, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.place()
    with_time_for(monkeypatch, 0)
    boto3.client("sqs").delete_queue(QueueUrl=queue)
    assert shop.hear("user.closed", {"user_id": "cust-1"}) == [{"itemIdentifier": "m-1"}]
