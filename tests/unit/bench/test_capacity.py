"""Request units, by the rules of DynamoDB's developer guide."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from tests.bench import capacity

KEY = {"pk": {"S": "o"}, "sk": {"S": "o"}}  # six bytes


def item_of(size: int) -> dict[str, Any]:
    """An item of this many bytes."""
    return KEY | {"a": {"S": "x" * (size - capacity.size_of_item(KEY) - 1)}}


@pytest.mark.parametrize(
    ("value", "size"),
    [
        ({"S": "Größe"}, 7),
        ({"N": "12345"}, 4),
        ({"N": "-12345"}, 5),
        ({"N": "1000"}, 2),
        ({"B": "AAECAw=="}, 4),
        ({"BOOL": True}, 1),
        ({"NULL": True}, 1),
        ({"SS": ["ab", "c"]}, 3),
        ({"L": [{"S": "ab"}, {"BOOL": False}]}, 3 + 3 + 2),
        ({"M": {"ab": {"S": "c"}}}, 3 + 1 + 2 + 1),
    ],
)
def test_a_values_size(value: dict[str, Any], size: int) -> None:
    assert capacity.size_of_value(value) == size


@pytest.mark.parametrize(
    ("size", "consistent", "units"),
    [(4096, True, "1"), (4097, True, "2"), (4096, False, "0.5"), (12_289, False, "2")],
)
def test_a_read_of_one_item_is_rounded_up_to_four_kilobytes(size: int, consistent: bool, units: str) -> None:
    found = capacity.units_of_read("GetItem", {"ConsistentRead": consistent}, {"Item": item_of(size)})

    assert found == Decimal(units)


def test_reading_what_is_not_there_is_one_unit() -> None:
    assert capacity.units_of_read("GetItem", {"ConsistentRead": True}, {}) == 1
    assert capacity.units_of_read("Query", {}, {"Items": []}) == Decimal("0.5")


def test_a_query_is_rounded_up_once_and_a_batch_for_each_item() -> None:
    items = [item_of(1000)] * 5
    asked = {"Keys": [KEY] * 6, "ConsistentRead": True}

    query = capacity.units_of_read("Query", {"ConsistentRead": True}, {"Items": items})
    batch = capacity.units_of_read("BatchGetItem", {"RequestItems": {"t": asked}}, {"Responses": {"t": items}})

    assert query == 2
    assert batch == 6  # one key was not found


def test_keys_that_were_left_unread_cost_nothing() -> None:
    asked = {"Keys": [KEY] * 3, "ConsistentRead": True}
    answer = {"Responses": {"t": [item_of(10)]}, "UnprocessedKeys": {"t": {"Keys": [KEY] * 2}}}

    assert capacity.units_of_read("BatchGetItem", {"RequestItems": {"t": asked}}, answer) == 1


@pytest.mark.parametrize("name", ["FilterExpression", "ProjectionExpression", "Select"])
def test_a_read_whose_answer_does_not_tell_what_was_read_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=name):
        capacity.units_of_read("Query", {name: "x"}, {"Items": []})


def test_a_writes_units_are_those_of_all_tables_and_apart_of_their_indexes() -> None:
    one = {"TableName": "a", "CapacityUnits": 5.0, "GlobalSecondaryIndexes": {"gsi1": {"CapacityUnits": 2.0}}}
    two = {"TableName": "b", "CapacityUnits": 2.0}

    assert capacity.units_of_write({"ConsumedCapacity": one}) == (Decimal(3), Decimal(2))
    assert capacity.units_of_write({"ConsumedCapacity": [one, two]}) == (Decimal(5), Decimal(2))


def test_a_refused_write_is_paid_by_the_item_that_was_there() -> None:
    assert capacity.units_of_refused_write("PutItem", {}, {}) == 1
    assert capacity.units_of_refused_write("UpdateItem", {}, {"Item": item_of(1025)}) == 2


def test_a_refused_transaction_is_paid_twice_for_each_action() -> None:
    request = {"TransactItems": [{"Put": {"Item": item_of(2000)}}, {"Update": {"Key": KEY}}, {"Delete": {"Key": KEY}}]}
    reasons = [{"Code": "None"}, {"Code": "ConditionalCheckFailed", "Item": item_of(3000)}, {"Code": "None"}]

    found = capacity.units_of_refused_write("TransactWriteItems", request, {"CancellationReasons": reasons})

    assert found == 2 * 2 + 2 * 3 + 2 * 1
