"""The list of all products' stock, the filter for low stock, and the threshold that defines it."""

from __future__ import annotations

from typing import Any

import pytest

from inventory import listing, wiring
from inventory.domain import OutOfStock
from mercato.store.cursor import encode_cursor
from tests.integration.inventory.conftest import balanced, take
from tests.integration.inventory.test_levels import low, restocked


def listed(shop: Any, query: str = "") -> list[str]:
    """The ids on all pages."""
    found: list[str] = []
    cursor = ""
    while True:
        status, page = shop.call("GET", f"/inventory?limit=2{query}{cursor}")
        assert status == 200, page
        assert len(page["items"]) <= 2
        found += [one["product_id"] for one in page["items"]]
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


def set_threshold(shop: Any, low_at: int | None, version: int, product_id: str = "a") -> tuple[int, Any]:
    body = {"low_at": low_at, "version": version}
    return shop.call("PUT", f"/inventory/{product_id}/threshold", body)  # type: ignore[no-any-return]


def test_all_products_are_listed_by_id_page_by_page(shop: Any) -> None:
    shop.stocked(**dict.fromkeys("gcebadf", 20))
    assert listed(shop) == list("abcdefg")


def test_what_is_out_of_stock_comes_first_then_what_is_low(shop: Any) -> None:
    shop.stocked(a=20, b=5, c=0, d=1, e=20, f=0)
    assert listed(shop, "&low=true") == ["c", "f", "b", "d"]
    assert listed(shop, "&sort=level") == ["c", "f", "b", "d", "a", "e"]


def test_a_product_leaves_the_low_ones_when_it_is_restocked_and_comes_back_when_it_is_sold(shop: Any) -> None:
    shop.stocked(a=2)
    shop.adjust("a", 20)
    assert listed(shop, "&low=true") == []
    shop.reserve("o-1", a=22)
    assert listed(shop, "&low=true") == ["a"]
    shop.release("o-1")
    assert listed(shop, "&low=true") == []


def test_a_hot_product_is_listed_once_with_its_whole_stock(hot: Any) -> None:
    status, page = hot.call("GET", "/inventory")
    row = {"product_id": "a", "on_hand": 100, "reserved": 0, "available": 100, "shards": 4}
    assert (status, page["items"]) == (
        200,
        [row | {"level": "ok", "low_at": 5, "is_default": True, "threshold_version": 0}],
    )


def test_some_products_are_asked_by_id(shop: Any) -> None:
    shop.stocked(a=1, b=2, c=3)
    status, page = shop.call("GET", "/inventory?product_ids=c,a,unknown,c")
    assert status == 200
    assert [(one["product_id"], one["available"]) for one in page["items"]] == [("a", 1), ("c", 3)]


@pytest.mark.parametrize("ids", [",".join(f"p-{number}" for number in range(101)), "x" * 65])
def test_too_many_products_or_too_long_an_id_are_refused(shop: Any, ids: str) -> None:
    status, problem = shop.call("GET", f"/inventory?product_ids={ids}")
    assert (status, problem["type"]) == (422, "urn:mercato:problem:too-many-products")


@pytest.mark.parametrize("place", ["x", "1", "2#" + "x" * 65])
def test_a_cursor_that_the_list_did_not_issue_is_refused(shop: Any, place: str) -> None:
    cursor = encode_cursor({"pk": "STOCKS-PRODUCT", "sk": place})
    assert shop.call("GET", f"/inventory?cursor={cursor}")[0] == 400


@pytest.mark.parametrize("path", ["/inventory", "/inventory/a/ledger", "/inventory/a/ledger/audit"])
@pytest.mark.parametrize(("role", "status"), [(None, 401), ("customer", 403)])
def test_only_staff_lists(shop: Any, path: str, role: str | None, status: int) -> None:
    shop.stocked(a=1)
    assert shop.call("GET", path, role=role)[0] == status
    assert shop.call("PUT", "/inventory/a/threshold", {"low_at": 1, "version": 0}, role=role)[0] == status


def test_a_page_ends_after_so_many_entries_that_are_stale(shop: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The list by level skips stale entries, so a page may be short and have a next page."""
    monkeypatch.setattr(listing, "_MOST_READ", 3)
    shop.stocked(**dict.fromkeys("abcde", 0))
    status, page = shop.call("GET", "/inventory?sort=level&limit=100")
    assert (status, len(page["items"])) == (200, 3)
    assert listed(shop, "&sort=level") == list("abcde")


# ---- the threshold


def test_the_own_threshold_says_what_is_low_and_the_crossing_is_published(shop: Any) -> None:
    shop.stocked(a=20)
    status, shown = set_threshold(shop, 30, 0)
    assert (status, shown["level"], shown["low_at"], shown["is_default"]) == (200, "low", 30, False)
    assert shown["threshold_version"] == 1
    assert listed(shop, "&low=true") == ["a"]
    assert set_threshold(shop, None, 1)[1]["level"] == "ok"
    assert listed(shop, "&low=true") == []
    assert shop.events("a") == [restocked(20), low(20, "low"), restocked(20)]


def test_orders_cross_the_own_threshold_and_no_other(shop: Any) -> None:
    shop.stocked(a=20)
    set_threshold(shop, 10, 0)
    for number in range(4):
        shop.reserve(f"o-{number}", a=4)
    assert shop.events("a") == [restocked(20), low(8, "low")]
    assert shop.counts("a") == (20, 16, 4)


def test_a_threshold_of_zero_is_low_only_when_nothing_is_left(shop: Any) -> None:
    shop.stocked(a=3)
    assert set_threshold(shop, 0, 0)[1]["level"] == "ok"
    shop.reserve("o-1", a=3)
    assert shop.events("a") == [low(3, "low"), restocked(3), low(0, "out")]


def test_a_threshold_that_another_has_changed_is_refused(shop: Any) -> None:
    shop.stocked(a=20)
    assert set_threshold(shop, 10, 0)[0] == 200
    status, problem = set_threshold(shop, 15, 0)
    assert (status, problem["type"], problem["version"]) == (409, "urn:mercato:problem:stale-threshold", 1)
    assert shop.items("a")[0]["low_at"] == 10


def test_the_same_change_again_is_done_already(shop: Any) -> None:
    shop.stocked(a=20)
    assert set_threshold(shop, 30, 0) == set_threshold(shop, 30, 0)
    assert shop.events("a") == [restocked(20), low(20, "low")]


def test_an_order_that_comes_between_the_read_and_the_write_of_a_threshold_counts(shop: Any, faults: Any) -> None:
    shop.stocked(a=20)
    faults.count, faults.die_at, faults.meanwhile = 0, 0, lambda: shop.reserve("o-1", a=12)
    assert set_threshold(shop, 10, 0)[1]["level"] == "low"
    assert shop.events("a") == [restocked(20), low(8, "low")]


def test_a_threshold_that_comes_between_an_orders_read_and_its_write_counts(shop: Any, faults: Any) -> None:
    """The order assumes the shop's threshold and plenty of stock. The condition on the threshold refuses it."""
    shop.stocked(a=20)
    faults.count, faults.die_at, faults.meanwhile = 0, 0, lambda: set_threshold(shop, 15, 0)
    shop.reserve("o-1", a=8)
    assert shop.events("a") == [restocked(20), low(12, "low")]


def test_a_few_units_move_below_a_threshold_that_changes(shop: Any, faults: Any) -> None:
    """The second order has read a low stock. Then the threshold falls below that stock."""
    shop.stocked(a=5)
    shop.reserve("o-1", a=1)
    faults.count, faults.die_at, faults.meanwhile = 0, 1, lambda: set_threshold(shop, 3, 0)
    shop.reserve("o-2", a=1)
    assert shop.events("a") == [low(5, "low"), restocked(4), low(3, "low")]


def test_all_shards_of_a_hot_product_take_its_threshold_and_new_ones_too(hot: Any) -> None:
    assert set_threshold(hot, 30, 0)[1]["level"] == "ok"
    assert {item["low_at"] for item in hot.items("a").values()} == {30}
    assert [item["level"] for shard, item in hot.items("a").items() if shard] == ["low"] * 4
    hot.set_shards("a", 6)
    assert {item["low_at"] for item in hot.items("a").values()} == {30}
    for number in range(8):
        take(f"o-{number}", 9, shard=number % 4 + 1)
    assert hot.counts("a") == (100, 72, 28)
    assert hot.events("a") == [restocked(100), low(28, "low")]
    assert set_threshold(hot, None, 1)[1]["level"] == "ok"
    assert not any("low_at" in item for item in hot.items("a").values())
    assert hot.events("a")[2:] == [restocked(28)]
    balanced(hot)


def test_an_order_on_a_shard_between_the_read_and_the_write_of_a_threshold_counts(hot: Any, faults: Any) -> None:
    """The shards hold 25 each. Under a threshold of 24 every shard stays above it until the order takes one below."""
    faults.count, faults.die_at, faults.meanwhile = 0, 0, lambda: take("o-1", 10, shard=1)
    assert set_threshold(hot, 24, 0)[1]["level"] == "ok"
    assert {shard: item["level"] for shard, item in hot.items("a").items() if shard} == {
        1: "low",
        2: "ok",
        3: "ok",
        4: "ok",
    }


def test_an_order_on_a_shard_that_the_threshold_makes_low_counts_in_the_sum(hot: Any, faults: Any) -> None:
    """The order leaves 98 units, below the threshold of 99. The counts that were read before it say 100."""
    faults.count, faults.die_at, faults.meanwhile = 0, 0, lambda: take("o-1", 2, shard=1)
    assert set_threshold(hot, 99, 0)[1]["level"] == "low"
    assert hot.items("a")[0]["level"] == "low"
    assert hot.events("a")[-1] == low(98, "low")


def test_a_process_remembers_a_products_own_threshold(shop: Any, faults: Any) -> None:
    shop.stocked(a=200)
    set_threshold(shop, 50, 0)
    shop.reserve("o-1", a=1)
    faults.count = 0
    shop.reserve("o-2", a=1)
    assert faults.count == 1, "refused once more for a threshold that was known"


def test_the_threshold_of_an_unknown_product_is_not_found(shop: Any) -> None:
    assert set_threshold(shop, 3, 0)[0] == 404
    assert wiring.ports().store.stock("a") is None


def test_out_of_stock_names_the_count_below_an_own_threshold(shop: Any) -> None:
    shop.stocked(a=20)
    set_threshold(shop, 19, 0)
    shop.reserve("o-1", a=15)
    with pytest.raises(OutOfStock):
        shop.reserve("o-2", a=6)
    assert shop.counts("a") == (20, 15, 5)
