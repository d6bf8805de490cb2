"""The list of all orders for staff: newest first over all shards, by each filter, and by part of an id."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest

from mercato.ids import derived_id
from mercato.store import dynamo
from mercato.store.dynamo import KeyRange
from orders import api, staff_list, wiring
from orders.store import Rebuilt
from tests.integration.orders.conftest import Shop, body

PATH = "/api/ops/orders"


@dataclass
class Accounts:
    """A fake users service: addresses and ids."""

    ids: dict[str, str] = field(default_factory=dict)

    def find_id(self, email: str) -> str | None:
        return self.ids.get(email)


@pytest.fixture(autouse=True)
def accounts(shop: Shop) -> Accounts:
    found = Accounts({"ada@example.com": "cust-1", "bob@example.com": "cust-2"})
    vars(wiring.ports()).update(customers=found)
    return found


@dataclass
class Clock:
    now: datetime

    def __call__(self) -> datetime:
        self.now += timedelta(milliseconds=1)
        return self.now


@pytest.fixture
def clock(noon: datetime, monkeypatch: pytest.MonkeyPatch) -> Clock:
    found = Clock(noon)
    monkeypatch.setattr(api, "utc_now", found)
    return found


def page(shop: Shop, **query: Any) -> Any:
    texts = {name.rstrip("_"): str(value) for name, value in query.items()}
    status, answer, _ = shop.call("GET", PATH, role="admin", user="boss", query=texts or None)
    assert status == 200, answer
    return answer


def pages(shop: Shop, **query: Any) -> Iterator[list[str]]:
    cursor: dict[str, str] = {}
    while True:
        answer = page(shop, **query, **cursor)
        yield [item["order_id"] for item in answer["items"]]
        if answer["next_cursor"] is None:
            return
        cursor = {"cursor": answer["next_cursor"]}


def ids(shop: Shop, **query: Any) -> list[str]:
    return [order_id for found in pages(shop, **query) for order_id in found]


def placed(shop: Shop, count: int, user: str = "cust-1", *lines: tuple[str, int, int]) -> list[str]:
    return [shop.place(body(*lines), key=f"key-{user}-{number}", user=user)["order_id"] for number in range(count)]


@pytest.mark.parametrize("limit", [1, 7, 24, 25, 100])
def test_all_orders_come_once_and_the_newest_first_however_large_a_page_is(
    shop: Shop, clock: Clock, limit: int
) -> None:
    made = placed(shop, 13, "cust-1") + placed(shop, 12, "cust-2")
    found = list(pages(shop, limit=limit))
    assert [order_id for some in found for order_id in some] == made[::-1]
    assert [len(some) for some in found[:-1]] == [limit] * (len(found) - 1)
    assert found[-1], "no page is empty"
    shards = {item["gsi2pk"] for order_id in made for item in shop.table.query_all(*staff_list.entry_key(order_id)[:1])}
    assert len(shards) > 1, "the orders lie on several shards"


def test_a_row_tells_whose_order_it_is_and_holds_nothing_personal(shop: Shop, clock: Clock) -> None:
    [order_id] = placed(shop, 1)
    [item] = page(shop)["items"]
    assert item == {
        "order_id": order_id,
        "number": shop.order(order_id).number,
        "customer_id": "cust-1",
        "status": "pending",
        "payment_status": "none",
        "reason": None,
        "total": {"amount": 4500, "currency": "GBP"},
        "line_count": 2,
        "placed_at": "2026-11-22T12:00:00.001Z",
        "updated_at": "2026-11-22T12:00:00.001Z",
        "version": 1,
    }
    assert "customer_id" not in shop.call("GET", "/api/orders")[1]["items"][0]


def test_an_order_moves_from_state_to_state(shop: Shop, clock: Clock) -> None:
    first, second = placed(shop, 2)
    assert ids(shop, state="pending") == [second, first]
    shop.task("ConfirmOrder", order_id=first, payment_id="pay-1")
    assert ids(shop, state="pending") == [second]
    assert ids(shop, state="confirmed") == [first]
    assert ids(shop) == [second, first]
    assert page(shop, state="confirmed")["items"][0]["version"] == 2


def test_each_filter_takes_what_it_says(shop: Shop, clock: Clock) -> None:
    day = timedelta(days=1)
    early = placed(shop, 2, "cust-1")
    clock.now += day
    cheap = placed(shop, 2, "cust-2", ("mug", 1, 1250))
    clock.now += day
    late = placed(shop, 3, "cust-3")
    everything = (early + cheap + late)[::-1]
    assert ids(shop, customer_id="cust-2") == cheap[::-1]
    assert ids(shop, email="bob@example.com") == cheap[::-1]
    assert ids(shop, email="bob@example.com", customer_id="cust-2") == cheap[::-1]
    assert ids(shop, email="bob@example.com", customer_id="cust-1") == []
    assert ids(shop, email="eve@example.com") == []
    assert ids(shop, from_="2026-11-22", to="2026-11-22") == early[::-1]
    assert ids(shop, from_="2026-11-23") == (cheap + late)[::-1]
    assert ids(shop, to="2026-11-23") == (early + cheap)[::-1]
    assert ids(shop, to="9999-12-31") == everything
    assert ids(shop, from_="2026-11-24", to="2026-11-23") == []
    assert ids(shop, state="pending", from_="2026-11-23", to="2026-11-23") == cheap[::-1]
    assert ids(shop, customer_id="cust-1", from_="2026-11-23") == []
    assert ids(shop, max_total=1250) == cheap[::-1]
    assert ids(shop, min_total=1251) == (early + late)[::-1]
    assert ids(shop, min_total=1250, max_total=4500, currency="GBP") == everything
    assert ids(shop, currency="EUR") == []


def test_an_order_is_found_by_the_first_part_of_its_id(shop: Shop, clock: Clock) -> None:
    made = placed(shop, 30)
    for order_id in made[:3]:
        for length in (4, 8, 36):
            assert ids(shop, order_id=order_id[:length]) == sorted(x for x in made if x.startswith(order_id[:length]))
        assert ids(shop, order_id=order_id, state="shipped") == []
    assert ids(shop, order_id="0000") == []


def test_ids_that_begin_alike_come_page_by_page(shop: Shop, clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(staff_list, "PREFIX", 1)
    made = placed(shop, 40)
    shown = made[0][0]
    alike = sorted(order_id for order_id in made if order_id.startswith(shown))
    entries = shop.table.query_all(f"ID#{shown}", KeyRange(prefix=shown))
    assert [item["sk"] for item in entries] == alike
    found = staff_list.StaffList(shop.table)
    wanted, cursor, told = staff_list.Wanted(id_prefix=shown), None, list[str]()
    while True:
        rows, cursor = found.find_page(wanted, limit=1, cursor=cursor)
        told += [row["order_id"] for row in rows]
        if cursor is None:
            break
    assert told == alike


def test_a_filter_that_matches_little_ends_a_page_short_and_the_cursor_goes_on(
    shop: Shop, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(staff_list, "_MOST_READ", 4)
    [cheap] = placed(shop, 1, "cust-2", ("mug", 1, 1250))
    placed(shop, 10)
    found = list(pages(shop, max_total=1250))
    assert [len(some) for some in found] == [0, 0, 1]
    assert found[-1] == [cheap]


def test_a_cursor_is_good_for_its_own_filters_alone(shop: Shop, clock: Clock) -> None:
    placed(shop, 3)
    cursor = page(shop, limit=1)["next_cursor"]
    query = {"limit": "1", "cursor": cursor, "state": "pending"}
    status, problem, _ = shop.call("GET", PATH, role="admin", user="boss", query=query)
    assert (status, problem["type"]) == (400, "urn:mercato:problem:invalid-cursor")


@pytest.mark.parametrize(
    "query",
    [
        {"state": "lost"},
        {"from": "yesterday"},
        {"order_id": "abc"},
        {"order_id": "ABCD"},
        {"min_total": "-1"},
        {"currency": "pounds"},
        {"limit": "101"},
        {"status": "pending"},
    ],
)
def test_a_filter_that_cannot_be_read_is_refused_by_name(shop: Shop, query: dict[str, str]) -> None:
    status, problem, _ = shop.call("GET", PATH, role="admin", user="boss", query=query)
    assert status == 422, problem
    assert next(iter(query)) in str(problem)


@pytest.mark.parametrize("path", [PATH, f"{PATH}/days"])
def test_a_customer_may_not_list_the_orders_of_others(shop: Shop, path: str) -> None:
    query = {"from": "2026-11-22", "to": "2026-11-22"}
    assert shop.call("GET", path, query=query)[0] == 403
    assert shop.call("GET", path, query=query, user="")[0] == 401


def test_after_an_account_is_closed_no_address_leads_to_its_orders(
    shop: Shop, clock: Clock, accounts: Accounts
) -> None:
    [order_id] = placed(shop, 1)
    shop.call("POST", f"/api/orders/{order_id}/cancel", {}, key="key-x")
    shop.task("CancelOrder", order_id=order_id, error={"Error": "OutOfStock", "Cause": ""})
    assert shop.hear("user.closed", {"user_id": "cust-1"}) == []
    accounts.ids.clear()  # as the users service deletes it
    assert ids(shop, email="ada@example.com") == []
    assert ids(shop) == [order_id], "the order stays, as one of nobody's"
    rows = [item for key in (f"order#{order_id}", f"ID#{order_id[:4]}") for item in shop.table.query_all(key)]
    assert "Lovelace" not in str(rows)


@pytest.mark.parametrize("lost", ["entry", "summary"])
def test_a_row_that_is_lost_is_made_again(shop: Shop, clock: Clock, noon: datetime, lost: str) -> None:
    [order_id] = placed(shop, 1)
    key = staff_list.entry_key(order_id) if lost == "entry" else (f"order#{order_id}", "SUMMARY")
    shop.table.write(dynamo.delete(*key))
    assert ids(shop) == []
    assert shop.store.rebuild(order_id, noon) == Rebuilt(1, 0, 0, was_right=False, equal=True)
    assert ids(shop) == ids(shop, state="pending") == ids(shop, order_id=order_id[:5]) == [order_id]


def test_an_entry_of_no_order_is_not_shown_and_is_dropped(shop: Shop, clock: Clock, noon: datetime) -> None:
    [order_id] = placed(shop, 1)
    stray = derived_id("stray")
    item = shop.table.get(*staff_list.entry_key(order_id))
    assert item
    pk, sk = staff_list.entry_key(stray)
    shop.table.write(dynamo.put(item | {"pk": pk, "sk": sk, "order_id": stray}))
    assert ids(shop) == [order_id]
    assert shop.store.rebuild(stray, noon) == Rebuilt(0, 0, 0, was_right=False, equal=True)
    assert shop.table.get(pk, sk) is None
