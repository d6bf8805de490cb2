"""`mercato products reindex`: a catalogue that was indexed by the first search rules is indexed by today's rules."""

from __future__ import annotations

from collections import Counter
from datetime import datetime
from typing import Any

import pytest
from click.testing import CliRunner

from infra.operator.products import outdated, products
from mercato.errors import TransientError
from mercato.store import dynamo
from products import layout
from products.store import Products
from products.words import RULES

NAMES = {"A1": "दान पात्र", "A2": "दिन", "J1": "青い茶碗セット", "T1": "T-Shirt, white", "C1": "Crème brûlée dish"}
CATEGORIES = {"A1": "バス", "A2": "ハス", "T1": "clothes"}


@pytest.fixture
def old(service: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Products as the first rules wrote them, without the number of those rules."""
    with monkeypatch.context() as before:
        before.setattr("products.store.RULES", 1)
        for sku, name in NAMES.items():
            made = service.add(sku=sku, name=name, category=CATEGORIES.get(sku))
            key = layout.product_key(made["product_id"])
            service.table.write(dynamo.update(*key, "REMOVE index_rules"))
    assert ("WORD#द", "द") in {(pk, sk.partition("#")[0]) for pk, sk in service.keys("WORD#")}
    return service


def run() -> tuple[int, list[str], str]:
    """Returns the exit status, the figures (reindexed, failed) and the output."""
    done = CliRunner().invoke(products, ["reindex", "--table", "ProductsTable"], env={"COLUMNS": "200"})
    figures = next(line for line in done.output.splitlines() if line.startswith("│"))
    return done.exit_code, [cell.strip() for cell in figures.strip("│").split("│")], done.output


def product_ids(service: Any) -> list[str]:
    return [pk.removeprefix("PRODUCT#") for pk, sk in service.keys("PRODUCT#") if sk == "PRODUCT"]


def check_index(service: Any) -> None:
    """Each index entry follows from its product by the rules, and none is missing."""
    found = list(Products(service.table).get_many(product_ids(service)).values())
    entries = {(item["pk"], item["sk"]) for product in found for item in layout.word_items(product)}
    assert service.keys("WORD#") == entries
    lists = {item["pk"]: item for product in found if (item := layout.category_item(product))}
    assert {pk for pk, sk in service.keys("PRODUCT#") if sk == "CATEGORY"} == lists.keys()
    assert all(service.table.get(pk, "CATEGORY") == item for pk, item in lists.items())
    assert Products(service.table).count_by_category() == Counter(item["gsi1pk"][9:] for item in lists.values())
    assert {sk.rpartition("#")[0] for _, sk in service.keys("FACETS")} == {item["gsi1pk"] for item in lists.values()}


def test_an_old_catalogue_is_searched_and_counted_as_before_until_it_is_reindexed(old: Any) -> None:
    assert old.skus(q="shirt white") == old.skus(q="t-shirt") == ["T1"]
    assert old.skus(q="creme") == ["C1"]
    assert old.skus(category="clothes") == ["T1"]
    assert {"value": "clothes", "count": 1} in old.call("GET", "")[1]["facets"]["category"]


def test_a_reindexed_catalogue_is_as_if_it_was_made_today(old: Any) -> None:
    assert run()[:2] == (0, ["5", "0"])
    check_index(old)
    assert {item["index_rules"] for item in old.table.get_many(map(layout.product_key, product_ids(old)))} == {RULES}
    assert old.skus(q="दान") == ["A1"]
    assert old.skus(q="दिन") == ["A2"]
    assert old.skus(q="茶碗") == ["J1"]
    assert old.skus(q="tshirt") == ["T1"]
    assert old.skus(category="バス") == ["A1"]
    assert old.skus(category="ハス") == ["A2"]


def test_reindexing_changes_no_version_and_publishes_nothing(old: Any) -> None:
    before = {product_id: old.events(product_id) for product_id in product_ids(old)}
    run()
    assert {product_id: old.events(product_id) for product_id in before} == before
    assert {product["version"] for product in old.call("GET", "")[1]["items"]} == {1}


def test_a_second_run_finds_nothing_to_do(old: Any) -> None:
    run()
    items = old.items()
    assert run()[:2] == (0, ["0", "0"])
    assert old.items() == items


def test_two_runs_at_once_count_each_product_once(old: Any, noon: datetime) -> None:
    seen = [product for page in outdated("ProductsTable") for product in page]
    store = Products(old.table)
    assert store.reindex(seen, noon) == []
    assert store.reindex(seen, noon) == []
    check_index(old)


def test_a_run_that_was_interrupted_is_finished_by_the_next(old: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    transact = Products._transact
    calls: list[int] = []

    def dies(self: Products, *arguments: Any) -> None:
        calls.append(1)
        if len(calls) > 1:
            raise TransientError("throttled")
        transact(self, *arguments)

    with monkeypatch.context() as throttled:
        throttled.setattr(Products, "_transact", dies)
        throttled.setattr("products.store.MAX_TRANSACTION", 20)
        status, _, output = run()
    assert (status, "not done, run it again (throttled): product " in output) == (1, True)
    assert 0 < len(next(outdated("ProductsTable"))) < len(NAMES)
    assert run()[0] == 0
    check_index(old)


def test_a_product_that_changes_meanwhile_is_read_again(old: Any, noon: datetime) -> None:
    seen = [product for page in outdated("ProductsTable") for product in page]
    bowl = next(product for product in seen if product.sku == "J1")
    old.table.write(dynamo.update(*layout.product_key(bowl.product_id), "SET version = :two", values={":two": 2}))
    assert Products(old.table).reindex(seen, noon) == []
    check_index(old)


@pytest.mark.parametrize("change", [{"name": "काला दिन"}, {"category": "गृह"}, {"category": None}, {"price": 100}])
def test_a_change_removes_what_the_old_rules_made(old: Any, change: dict[str, Any]) -> None:
    if "price" in change:
        change = {"price": {"amount": 100, "currency": "GBP"}}
    for product in old.call("GET", "")[1]["items"]:
        status, answer = old.call("PATCH", f"/{product['product_id']}", {"version": 1} | change)
        assert status == 200, answer
    check_index(old)


def test_a_discontinued_product_leaves_no_entry_of_the_old_rules(old: Any) -> None:
    for product in old.call("GET", "")[1]["items"]:
        assert old.call("DELETE", f"/{product['product_id']}")[0] == 204
    assert old.keys("WORD#") == old.keys("FACETS") == set()
    assert run()[:2] == (0, ["0", "0"])
