"""POST /api/orders/{order_id}/cancel, and its effect in the saga."""

from __future__ import annotations

import json
from typing import Any

import pytest
from botocore.exceptions import ClientError

from mercato import aws
from orders.domain import OrderNotConfirmable
from orders.order import MAX_ANSWERED
from tests.integration.orders.conftest import Shop

SENT = {"shipment_id": "s", "customer_id": "c", "carrier": "x", "tracking_number": "1"}


def cancel(
    shop: Shop, order_id: str, reason: str = "too_slow", *, key: str | None = "k-1", user: str = "cust-1"
) -> Any:
    return shop.call("POST", f"/api/orders/{order_id}/cancel", {"reason": reason}, key=key, user=user)


def types(shop: Shop, order_id: str) -> list[str]:
    return [event["type"] for event in shop.announced(order_id)]


def test_a_customer_cancels_an_order_and_the_world_hears_of_the_wish(shop: Shop) -> None:
    order_id = shop.place()["order_id"]
    status, answer, headers = cancel(shop, order_id)
    assert (status, answer["status"], answer["version"]) == (202, "cancelling", 2)
    assert headers["Location"] == f"/live/api/orders/{order_id}"
    assert "Idempotent-Replayed" not in headers
    assert shop.announced(order_id)[-1]["data"] == {"order_id": order_id, "customer_id": "cust-1"}
    assert types(shop, order_id) == ["order.created", "order.cancellation_requested"]
    assert shop.call("GET", "/api/orders")[1]["items"][0]["status"] == "cancelling"


def test_the_same_request_again_gets_its_first_answer_though_the_order_has_moved_on(shop: Shop) -> None:
    order_id = shop.place()["order_id"]
    _, first, _ = cancel(shop, order_id)
    shop.task("CancelOrder", order_id=order_id, error={"Error": "CancelledByCustomer"})
    status, again, headers = cancel(shop, order_id)
    assert (status, again, headers["Idempotent-Replayed"]) == (202, first, "true")
    assert shop.order(order_id).version == 3


def test_the_same_key_with_another_body_is_refused(shop: Shop) -> None:
    order_id = shop.place()["order_id"]
    cancel(shop, order_id)
    status, problem, _ = cancel(shop, order_id, "other")
    assert (status, problem["type"]) == (422, "urn:mercato:problem:idempotency-key-reused")


def test_a_second_wish_with_another_key_changes_nothing_and_has_its_own_first_answer(shop: Shop) -> None:
    order_id = shop.place()["order_id"]
    _, first, _ = cancel(shop, order_id)
    status, second, headers = cancel(shop, order_id, key="k-2")
    assert (status, second) == (202, first | {"version": 3, "updated_at": second["updated_at"]})
    assert "Idempotent-Replayed" not in headers
    shop.task("CancelOrder", order_id=order_id, error={"Error": "CancelledByCustomer"})
    for key, answer in (("k-2", second), ("k-1", first)):
        status, again, headers = cancel(shop, order_id, key=key)
        assert (status, again, headers["Idempotent-Replayed"]) == (202, answer, "true")
    status, problem, _ = cancel(shop, order_id, "other", key="k-2")
    assert (status, problem["type"]) == (422, "urn:mercato:problem:idempotency-key-reused")
    assert shop.order(order_id).version == 4
    assert types(shop, order_id) == ["order.created", "order.cancellation_requested", "order.cancelled"]


def test_hundreds_of_wishes_write_a_bounded_number_of_facts_and_the_remembered_ones_are_exact(shop: Shop) -> None:
    order_id = shop.place()["order_id"]
    answers = [cancel(shop, order_id, key=f"k-{number}")[1] for number in range(MAX_ANSWERED)]
    shop.task("CancelOrder", order_id=order_id, error={"Error": "CancelledByCustomer"})
    version, size = shop.order(order_id).version, sum(1 for _ in shop.table.query_all(f"order#{order_id}"))
    for number in range(MAX_ANSWERED, 200):
        status, answer, headers = cancel(shop, order_id, key=f"k-{number}")
        assert (status, answer["status"], answer["version"]) == (202, "cancelled", version)
        assert "Idempotent-Replayed" not in headers
    assert sum(1 for _ in shop.table.query_all(f"order#{order_id}")) == size
    for number in (0, 1, MAX_ANSWERED - 1):
        status, again, headers = cancel(shop, order_id, key=f"k-{number}")
        assert (status, again, headers["Idempotent-Replayed"]) == (202, answers[number], "true")


def test_a_second_wish_keeps_its_answer_where_the_parcel_had_left(shop: Shop) -> None:
    order_id = shop.place()["order_id"]
    shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    cancel(shop, order_id)
    _, second, _ = cancel(shop, order_id, key="k-2")
    assert shop.hear("shipment.dispatched", SENT | {"order_id": order_id}) == []
    status, again, headers = cancel(shop, order_id, key="k-2")
    assert (status, again, headers["Idempotent-Replayed"]) == (202, second, "true")
    assert cancel(shop, order_id, key="k-3")[0] == 409


def test_the_history_tells_of_a_wish_that_changed_nothing(shop: Shop) -> None:
    order_id = shop.place()["order_id"]
    cancel(shop, order_id)
    cancel(shop, order_id, "other", key="k-2")
    _, history, _ = shop.call("GET", f"/api/orders/{order_id}/history")
    told = [(fact["type"], fact["data"]) for fact in history["facts"][1:]]
    assert told == [
        ("CancellationRequested", {"reason": "too_slow"}),
        ("CancellationNotNeeded", {"reason": "other"}),
    ]
    assert [step["status"] for step in history["order"]["timeline"]] == ["pending", "cancelling"]


def test_without_a_key_nothing_is_cancelled(shop: Shop) -> None:
    order_id = shop.place()["order_id"]
    status, problem, _ = cancel(shop, order_id, key=None)
    assert (status, problem["type"]) == (400, "urn:mercato:problem:invalid-idempotency-key")
    assert shop.order(order_id).version == 1


def test_another_s_order_is_not_there(shop: Shop) -> None:
    order_id = shop.place()["order_id"]
    assert cancel(shop, order_id, user="mallory")[0] == 404
    assert cancel(shop, "no-such-order")[0] == 404
    assert shop.order(order_id).version == 1


def test_a_parcel_that_has_left_is_409_with_the_current_state(shop: Shop) -> None:
    order_id = shop.place()["order_id"]
    shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    shop.hear("shipment.dispatched", SENT | {"order_id": order_id})
    status, problem, _ = cancel(shop, order_id)
    assert (status, problem["type"], problem["order_status"]) == (
        409,
        "urn:mercato:problem:order-not-cancellable",
        "shipped",
    )


def test_a_saga_that_still_runs_cannot_confirm_a_cancelled_order(shop: Shop) -> None:
    order_id = shop.place()["order_id"]
    cancel(shop, order_id)
    with pytest.raises(OrderNotConfirmable):
        shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    task = {"order_id": order_id, "step": "ConfirmOrder", "error": {"Error": "OrderNotConfirmable"}}
    assert shop.task("CancelOrder", **task)["status"] == "cancelled"
    order = shop.order(order_id)
    assert (order.reason, order.detail) == ("cancelled-by-customer", "You cancelled this order.")


class Machine:
    def __init__(self) -> None:
        self.started: dict[str, Any] = {}

    def start_execution(self, **call: Any) -> None:
        if call["name"] in self.started:
            raise ClientError({"Error": {"Code": "ExecutionAlreadyExists", "Message": "no"}}, "StartExecution")
        self.started[call["name"]] = json.loads(call["input"])


def test_the_wish_starts_the_undoing_once_without_the_payment_token(
    shop: Shop, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine, client = Machine(), aws.client
    monkeypatch.setattr(aws, "client", lambda service: machine if service == "stepfunctions" else client(service))
    order_id = shop.place()["order_id"]
    about = {"order_id": order_id, "customer_id": "cust-1"}
    assert shop.hear("order.cancellation_requested", about) == []
    assert machine.started == {}, "nobody has cancelled"
    cancel(shop, order_id)
    for _ in range(2):
        assert shop.hear("order.cancellation_requested", about) == []
    assert shop.hear("order.created", {"order_id": order_id}) == []
    (content,) = machine.started.values()
    assert list(machine.started) == [f"{order_id}.cancellation"]
    assert content.pop("traceparent").startswith("00-")
    assert content.pop("causation_id")
    assert content == about | {
        "correlation_id": "req-12345678",
        "tracestate": "",
        "failed_step": "Cancellation",
        "error": {"Error": "CancelledByCustomer", "Cause": ""},
    }
