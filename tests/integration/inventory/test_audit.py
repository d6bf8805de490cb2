"""`mercato inventory audit`: the books of a working shop balance, and every manipulation is found."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from click.testing import CliRunner, Result

from infra.operator.inventory import audit_stock, settled
from infra.operator.inventory_audit import ProductBook
from inventory import reservation
from inventory.domain import OutOfStock
from mercato.errors import TransientError
from mercato.store.dynamo import KeyRange, put


def run(*words: str) -> Result:
    return CliRunner().invoke(audit_stock, ["--table", "InventoryTable", *words], env={"COLUMNS": "250"})


@pytest.fixture
def busy(shop: Any, faults: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A stock with every kind of reservation: complete, released, shipped, refused, and two whose process ended
    half-way.
    """
    monkeypatch.setattr(reservation, "LINES_PER_CHUNK", 1)
    shop.stocked(a=20, b=20)
    for order_id in ("o-1", "o-2", "o-3"):
        shop.reserve(order_id, a=3, b=1)
    shop.release("o-2")
    shop.ship("o-3")
    with pytest.raises(OutOfStock):
        shop.reserve("o-4", a=1, b=500)
    faults.count, faults.die_at = 0, 1
    with pytest.raises(TransientError):
        shop.reserve("o-5", a=1, b=1)
    faults.count, faults.die_at = 0, 1
    assert shop.ship("o-1")
    faults.die_at = -1
    return shop


def test_a_shop_that_works_balances_even_in_the_middle_of_things(busy: Any) -> None:
    result = run("--all")
    assert result.exit_code == 0, result.output
    assert "2 products: every ledger proves its stock" in result.output
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in result.output.splitlines() if "│" in line]
    assert rows == [["a", "1", "14", "14", "1", "1", "13", ""], ["b", "1", "19", "19", "1", "1", "18", ""]]


@pytest.mark.parametrize(
    ("pk", "sk", "change", "problem"),
    [
        ("STOCK#a", "LEDGER", {"delta": 19}, "on hand 14, the ledger's sum is"),
        ("STOCK#a", "STOCK", {"reserved": 4, "available": 10}, "reserved 4, but reservations hold 1 (o-5)"),
        ("STOCK#a", "STOCK", {"entries": 9}, "9 ledger entries were written"),
        ("STOCK#a", "STOCK", {"available": 12}, "available 12 is not on hand less reserved"),
        ("STOCK#b", "STOCK", {"on_hand": -1, "available": -2}, "on_hand is -1, below zero"),
        ("RESERVATION#o-5", "RESERVATION", {"state": "released"}, "reserved 1, but reservations hold 0 (none)"),
        ("STOCK#a", "LISTED", {"gsi1sk": "b"}, "its entry in the list of all products is in another place"),
        ("STOCK#a", "STOCK", {"level": "low"}, "its level is low, and it is missing from the list of what is low"),
        ("STOCK#a", "STOCK", {"gsi1pk": "LOW#1", "gsi1sk": "1#a"}, "and it is in the list of what is low"),
    ],
)
def test_whatever_disagrees_is_named_and_ends_the_command_with_1(
    busy: Any, pk: str, sk: str, change: dict[str, Any], problem: str
) -> None:
    item = next(iter(busy.table.query_all(pk, KeyRange(prefix=sk))))
    busy.table.write(put(item | change))
    result = run()
    assert result.exit_code == 1
    assert problem in result.output
    assert "docs/runbook.md" in result.output


def test_a_product_that_no_list_has_is_missed(busy: Any) -> None:
    boto3.client("dynamodb").delete_item(
        TableName="InventoryTable", Key={"pk": {"S": "STOCK#a"}, "sk": {"S": "LISTED"}}
    )
    result = run()
    assert result.exit_code == 1
    assert "it is missing from the list of all products" in result.output


def test_a_stock_item_that_vanished_is_missed(busy: Any) -> None:
    boto3.client("dynamodb").delete_item(TableName="InventoryTable", Key={"pk": {"S": "STOCK#a"}, "sk": {"S": "STOCK"}})
    result = run()
    assert result.exit_code == 1
    assert "14 in the ledger of a stock item that is not there" in result.output


def test_what_is_only_under_way_is_not_wrong() -> None:
    """The first audit reads an order half-way. The next ones find other figures."""
    looks = [["reserved 3, but reservations hold 2 (o-1)"], ["reserved 4, but reservations hold 3 (o-2)"], []]

    def look() -> list[ProductBook]:
        return [ProductBook("a", problems=looks.pop(0))]

    assert [book.balances for book in settled(look)] == [True]


def test_what_is_wrong_at_every_look_is_wrong() -> None:
    def look() -> list[ProductBook]:
        return [ProductBook("a", problems=["x"]), ProductBook("b")]

    assert [(book.product_id, book.problems) for book in settled(look)] == [("a", ["x"]), ("b", [])]
