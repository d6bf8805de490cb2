"""The ledger for staff: each change of a product's stock, with the count after it if that is proven."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from inventory import usecases, wiring
from inventory.domain import Adjustment, Adjustments
from mercato.store.cursor import encode_cursor
from mercato.store.dynamo import delete
from tests.conftest import NOON


def deliver(count: int, minutes: int) -> None:
    """Delivers units at so many minutes after noon."""
    part, at = Adjustment("a", count, f"delivery {minutes}"), NOON + timedelta(minutes=minutes)
    request = Adjustments(f"adj-{minutes}", f"print-{minutes}", "u-admin", (part,), at)
    usecases.adjust(request, wiring.ports().store)


def pages(shop: Any, limit: int) -> list[list[dict[str, Any]]]:
    found: list[list[dict[str, Any]]] = []
    cursor = ""
    while True:
        status, page = shop.call("GET", f"/inventory/a/ledger?limit={limit}{cursor}")
        assert status == 200, page
        found.append(page["items"])
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


def test_each_change_is_there_with_what_and_why_and_the_balance_after_it(shop: Any) -> None:
    shop.stocked(a=10)
    shop.reserve("o-1", a=3)
    shop.ship("o-1")
    ((shipped, delivered),) = sorted_by_delta(pages(shop, 50))
    about = {"kind": "order", "actor": "order.shipped", "reason": "shipped", "order_id": "o-1", "shard": 0}
    assert shipped | about | {"delta": -3, "balance": 7} == shipped
    about = {"kind": "adjustment", "actor": "u-admin", "reason": "delivery", "order_id": None, "shard": 0}
    assert delivered | about | {"delta": 10} == delivered
    assert all(len(one["request_id"]) >= 8 for one in (shipped, delivered))


def sorted_by_delta(found: list[list[dict[str, Any]]]) -> list[list[dict[str, Any]]]:
    return [sorted(page, key=lambda entry: entry["delta"]) for page in found]


@pytest.mark.parametrize("limit", [1, 2, 3, 7])
def test_the_balances_lead_from_the_stock_back_to_nothing_page_by_page(shop: Any, limit: int) -> None:
    shop.stocked(a=0)
    for minutes in range(7):
        deliver(minutes + 1, minutes)
    entries = [entry for page in pages(shop, limit) for entry in page]
    assert [entry["delta"] for entry in entries] == [7, 6, 5, 4, 3, 2, 1]
    assert [entry["balance"] for entry in entries] == [28, 21, 15, 10, 6, 3, 1]


def test_after_a_new_entry_the_older_pages_claim_no_balance(shop: Any) -> None:
    shop.stocked(a=0)
    for minutes in range(4):
        deliver(5, minutes)
    _, first = shop.call("GET", "/inventory/a/ledger?limit=2")
    deliver(5, 10)
    _, second = shop.call("GET", f"/inventory/a/ledger?limit=2&cursor={first['next_cursor']}")
    assert [entry["balance"] for entry in first["items"]] == [20, 15]
    assert [(entry["delta"], entry["balance"]) for entry in second["items"]] == [(5, None), (5, None)]


@pytest.mark.parametrize("limit", [2, 5, 100])
def test_the_ledgers_of_all_shards_are_one_also_of_those_that_are_closed(shop: Any, limit: int) -> None:
    shop.stocked(a=0)
    deliver(40, 0)
    for count in (4, 1, 2):
        shop.set_shards("a", count)
    entries = [entry for page in pages(shop, limit) for entry in page]
    transfers = [entry for entry in entries if entry["kind"] == "transfer"]
    (delivered,) = [entry for entry in entries if entry["kind"] == "adjustment"]
    assert sum(entry["delta"] for entry in transfers) == 0
    assert {entry["shard"] for entry in transfers} == {0, 1, 2, 3, 4, 5, 6}
    assert {entry["balance"] for entry in transfers} | {delivered["balance"]} == {40}
    assert len(entries) == 1 + 5 + 4 * 2 + 3, "the delivery, one transfer to four shards, four back, one to two"


def test_a_ledger_without_entries_is_empty_and_of_an_unknown_product_not_found(shop: Any) -> None:
    shop.stocked(a=0)
    assert shop.call("GET", "/inventory/a/ledger") == (200, {"items": [], "next_cursor": None})
    assert shop.call("GET", "/inventory/b/ledger")[0] == 404


@pytest.mark.parametrize("place", ["x", "0 5 1 STOCK", "0 5 1 LEDGER#" + "x" * 300, "0 -  1 LEDGER#2026"])
def test_a_cursor_that_the_ledger_did_not_issue_is_refused(shop: Any, place: str) -> None:
    shop.stocked(a=1)
    cursor = encode_cursor({"pk": "LEDGER#a", "sk": place})
    assert shop.call("GET", f"/inventory/a/ledger?cursor={cursor}")[0] == 400
    other = encode_cursor({"pk": "LEDGER#b", "sk": "0 5 1 LEDGER#2026"})
    assert shop.call("GET", f"/inventory/a/ledger?cursor={other}")[0] == 400


def test_an_audit_sums_the_ledger_up(shop: Any) -> None:
    shop.stocked(a=10)
    shop.adjust("a", -4)
    counts = {"product_id": "a", "on_hand": 6, "entries": 2, "ledger_sum": 6, "ledger_entries": 2}
    assert shop.call("GET", "/inventory/a/ledger/audit") == (200, counts | {"balanced": True})


def test_an_audit_finds_an_entry_that_is_missing(shop: Any) -> None:
    shop.stocked(a=10)
    (entry,) = [item for item in shop.table.query_all("STOCK#a") if item["sk"].startswith("LEDGER#")]
    shop.table.write(delete(entry["pk"], entry["sk"]))
    _, found = shop.call("GET", "/inventory/a/ledger/audit")
    assert (found["balanced"], found["ledger_sum"], found["on_hand"]) == (False, 0, 10)


def test_a_ledger_too_long_for_one_request_is_left_to_the_operator(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(usecases, "MOST_AUDITED", 1)
    shop.stocked(a=10)
    shop.adjust("a", 1)
    status, problem = shop.call("GET", "/inventory/a/ledger/audit")
    assert (status, problem["type"]) == (409, "urn:mercato:problem:ledger-too-long")
