"""Reading orders, lists and histories."""

from __future__ import annotations

import json
from datetime import datetime, timedelta

import pytest

from mercato.clock import rfc3339
from mercato.store import dynamo
from orders import api, saga
from tests.integration.orders.conftest import Shop, body

SOON = "2999-01-01T00:00:00Z"


def place_five(shop: Shop, monkeypatch: pytest.MonkeyPatch, noon: datetime) -> list[str]:
    """Places five orders. Returns their ids, the newest first."""
    found = []
    for n in range(5):
        monkeypatch.setattr(api, "utc_now", lambda n=n: noon + timedelta(minutes=n))
        found.append(shop.place(key=f"key-{n}")["order_id"])
    return found[::-1]


def test_a_customer_reads_the_order_as_it_stands(shop: Shop) -> None:
    placed = shop.place()
    shop.task("ConfirmOrder", order_id=placed["order_id"], payment_id="pay-1")
    status, answer, _ = shop.call("GET", f"/api/orders/{placed['order_id']}")
    assert status == 200
    assert (answer["status"], answer["payment_status"], answer["version"]) == ("confirmed", "authorized", 2)
    assert answer["placed_at"] == placed["placed_at"]


@pytest.mark.parametrize("path", ["", "/history"])
def test_another_s_order_does_not_exist(shop: Shop, path: str) -> None:
    order_id = shop.place()["order_id"]
    status, problem, _ = shop.call("GET", f"/api/orders/{order_id}{path}", user="cust-2")
    assert (status, problem["type"]) == (404, "urn:mercato:problem:order-not-found")


@pytest.mark.parametrize("path", ["/api/orders/nothing", "/api/orders/nothing/history", "/api/orders/a%23b"])
def test_an_order_that_does_not_exist_is_404(shop: Shop, path: str) -> None:
    assert shop.call("GET", path)[0] == 404


def test_an_admin_reads_every_order(shop: Shop) -> None:
    order_id = shop.place()["order_id"]
    assert shop.call("GET", f"/api/orders/{order_id}", user="boss", role="admin")[0] == 200


def test_a_list_has_one_s_own_orders_the_newest_first(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, noon: datetime
) -> None:
    ids = place_five(shop, monkeypatch, noon)
    shop.place(user="cust-2")
    status, page, _ = shop.call("GET", "/api/orders")
    assert status == 200
    assert [item["order_id"] for item in page["items"]] == ids
    assert page["next_cursor"] is None
    assert page["items"][0] == {
        "order_id": ids[0],
        "number": shop.order(ids[0]).number,
        "status": "pending",
        "payment_status": "none",
        "reason": None,
        "total": {"amount": 4500, "currency": "GBP"},
        "line_count": 2,
        "placed_at": "2026-11-22T12:04:00.000Z",
        "updated_at": "2026-11-22T12:04:00.000Z",
        "version": 1,
    }


@pytest.mark.parametrize("limit", [1, 2, 3, 5])
def test_pages_cover_the_list_without_gap_or_repetition(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, noon: datetime, limit: int
) -> None:
    ids = place_five(shop, monkeypatch, noon)
    seen: list[str] = []
    query = {"limit": str(limit)}
    while True:
        _, page, _ = shop.call("GET", "/api/orders", query=query)
        assert len(page["items"]) <= limit
        seen += [item["order_id"] for item in page["items"]]
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert seen == ids


def test_a_list_by_status_pages_too(shop: Shop, monkeypatch: pytest.MonkeyPatch, noon: datetime) -> None:
    ids = place_five(shop, monkeypatch, noon)
    for order_id in (ids[0], ids[2], ids[3]):
        shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    _, first, _ = shop.call("GET", "/api/orders", query={"status": "confirmed", "limit": "2"})
    assert [item["order_id"] for item in first["items"]] == [ids[0], ids[2]]
    query = {"status": "confirmed", "limit": "2", "cursor": first["next_cursor"]}
    _, second, _ = shop.call("GET", "/api/orders", query=query)
    assert [item["order_id"] for item in second["items"]] == [ids[3]]
    assert second["next_cursor"] is None
    assert shop.call("GET", "/api/orders", query={"status": "shipped"})[1]["items"] == []


def test_a_peer_reads_orders_on_behalf_of_a_user(shop: Shop) -> None:
    order_id = shop.place()["order_id"]
    status, page, _ = shop.call_as_peer("/api/orders", "limit=5", user="cust-1")
    assert (status, [item["order_id"] for item in page["items"]]) == (200, [order_id])
    assert shop.call_as_peer("/api/orders", "limit=5")[0] == 422
    assert shop.call_as_peer(f"/api/orders/{order_id}", "", user="cust-1")[1]["order_id"] == order_id
    assert shop.call_as_peer(f"/api/orders/{order_id}", "", user="cust-2")[0] == 404
    assert shop.call_as_peer(f"/api/orders/{order_id}", "")[0] == 200, "a peer's own question"
    assert shop.call_as_peer(f"/api/orders/{order_id}/history", "", user="cust-1")[0] == 403


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ({"limit": "0"}, 422),
        ({"limit": "101"}, 422),
        ({"limit": "two"}, 422),
        ({"status": "lost"}, 422),
        ({"page": "2"}, 422),
        ({"cursor": "!!!"}, 422),
        ({"cursor": "AAAA"}, 400),
    ],
)
def test_a_bad_list_query_is_refused(shop: Shop, query: dict[str, str], status: int) -> None:
    assert shop.call("GET", "/api/orders", query=query)[0] == status


def test_a_cursor_does_not_open_another_s_list(shop: Shop, monkeypatch: pytest.MonkeyPatch, noon: datetime) -> None:
    place_five(shop, monkeypatch, noon)
    cursor = shop.call("GET", "/api/orders", query={"limit": "1"})[1]["next_cursor"]
    assert shop.call("GET", "/api/orders", query={"cursor": cursor}, user="cust-2")[0] == 400


def test_a_history_has_every_fact_and_hides_the_token(shop: Shop) -> None:
    order_id = shop.place()["order_id"]
    shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    status, history, _ = shop.call("GET", f"/api/orders/{order_id}/history")
    assert status == 200
    assert [(fact["version"], fact["type"]) for fact in history["facts"]] == [(1, "OrderPlaced"), (2, "OrderConfirmed")]
    assert history["facts"][1]["data"] == {"payment_id": "pay-1"}
    assert history["facts"][1]["correlation_id"] == "req-12345678"
    assert history["order"]["status"] == "confirmed"
    assert "tok_ok" not in json.dumps(history)


def test_a_history_as_of_a_time_ends_there(shop: Shop, monkeypatch: pytest.MonkeyPatch, noon: datetime) -> None:
    monkeypatch.setattr(api, "utc_now", lambda: noon)
    monkeypatch.setattr(saga, "utc_now", lambda: noon + timedelta(minutes=1))
    order_id = shop.place()["order_id"]
    shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    path = f"/api/orders/{order_id}/history"
    _, history, _ = shop.call("GET", path, query={"as_of": rfc3339(noon)})
    assert ([fact["version"] for fact in history["facts"]], history["order"]["status"]) == ([1], "pending")
    assert shop.call("GET", path, query={"as_of": SOON})[1]["order"]["status"] == "confirmed"
    assert shop.call("GET", path, query={"as_of": rfc3339(noon - timedelta(seconds=1))})[0] == 404
    assert shop.call("GET", path, query={"as_of": "2026-11-22T12:00:00"})[0] == 422
    assert shop.call("GET", path, query={"as_of": "9999-12-31T23:59:59Z"})[1]["order"]["status"] == "confirmed"
    assert shop.call("GET", path, query={"as_of": "9999-12-31T23:59:59-05:00"})[0] == 422


def test_a_writer_whose_clock_is_behind_does_not_turn_the_story_back(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, noon: datetime
) -> None:
    monkeypatch.setattr(api, "utc_now", lambda: noon)
    monkeypatch.setattr(saga, "utc_now", lambda: noon - timedelta(seconds=3))
    order_id = shop.place()["order_id"]
    shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    _, history, _ = shop.call("GET", f"/api/orders/{order_id}/history")
    assert [fact["at"] for fact in history["facts"]] == [rfc3339(noon)] * 2


def test_nobody_reads_without_a_token(shop: Shop) -> None:
    assert shop.call("GET", "/api/orders", user="")[0] == 401


def test_a_list_shows_what_a_command_has_just_written(shop: Shop) -> None:
    order_id = shop.place(body(("mug", 1, 1250)))["order_id"]
    shop.task("CancelOrder", order_id=order_id, step="ReserveInventory", error={"Error": "OutOfStock"})
    (item,) = shop.call("GET", "/api/orders")[1]["items"]
    assert (item["status"], item["reason"], item["version"]) == ("cancelled", "out-of-stock", 2)


def test_a_history_ends_at_a_version_also_where_facts_share_a_millisecond(
    shop: Shop, monkeypatch: pytest.MonkeyPatch, noon: datetime
) -> None:
    monkeypatch.setattr(api, "utc_now", lambda: noon)
    monkeypatch.setattr(saga, "utc_now", lambda: noon)
    order_id = shop.place()["order_id"]
    shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    assert shop.call("POST", f"/api/orders/{order_id}/cancel", {}, key="key-2")[0] == 202
    path = f"/api/orders/{order_id}/history"
    for version, status in enumerate(["pending", "confirmed", "cancelling"], 1):
        _, history, _ = shop.call("GET", path, query={"version": str(version)})
        assert [fact["version"] for fact in history["facts"]] == list(range(1, version + 1))
        assert (history["order"]["status"], history["order"]["version"]) == (status, version)
        assert history["last_version"] == 3
    _, history, _ = shop.call("GET", path, query={"version": "2", "as_of": rfc3339(noon)})
    assert [fact["version"] for fact in history["facts"]] == [1, 2]


@pytest.mark.parametrize(("version", "refusal"), [("2", (404, "version-not-found")), ("0", (422, "invalid-request"))])
def test_a_version_that_is_not_there_is_no_history(shop: Shop, version: str, refusal: tuple[int, str]) -> None:
    order_id = shop.place()["order_id"]
    status, problem, _ = shop.call("GET", f"/api/orders/{order_id}/history", query={"version": version})
    assert (status, problem["type"].rpartition(":")[2]) == refusal
    stranger = shop.call("GET", f"/api/orders/{order_id}/history", query={"version": "2"}, user="cust-2")
    assert stranger[1]["type"] == "urn:mercato:problem:order-not-found"


def test_each_fact_names_its_actor_and_its_request(shop: Shop) -> None:
    order_id = shop.place()["order_id"]
    shop.task("ConfirmOrder", order_id=order_id, payment_id="pay-1")
    paid = {"payment_id": "pay-1", "order_id": order_id, "customer_id": "cust-1"}
    assert shop.hear("payment.completed", paid | {"amount": {"amount": 4500, "currency": "GBP"}}) == []
    cancelled = shop.call("POST", f"/api/orders/{order_id}/cancel", {}, key="k", user="boss", role="admin")
    assert cancelled[0] == 202
    path = f"/api/orders/{order_id}/history"
    told = [("customer", "cust-1"), ("saga", "ConfirmOrder"), ("event", "payment.completed")]
    for user, role, admin in (("boss", "admin", "boss"), ("cust-1", "customer", None)):
        facts = shop.call("GET", path, user=user, role=role)[1]["facts"]
        assert [(fact["actor"]["kind"], fact["actor"]["name"]) for fact in facts] == [*told, ("admin", admin)]
        assert {fact["correlation_id"] for fact in facts} == {"req-12345678"}


def test_a_fact_of_before_actors_were_recorded_has_none(shop: Shop) -> None:
    order_id = shop.place()["order_id"]
    item = shop.table.get(f"order#{order_id}", "E#0000000001")
    assert item
    assert item.pop("by") == "customer:cust-1"
    shop.table.write(dynamo.put(item))
    [fact] = shop.call("GET", f"/api/orders/{order_id}/history")[1]["facts"]
    assert fact["actor"] is None
