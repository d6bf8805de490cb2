"""The tests' own moto keeps the promise of a transaction, as moto's whole copies do: all of it or nothing."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable

import boto3
import pytest
from botocore.exceptions import ClientError
from moto.dynamodb import models

from mercato.store import dynamo
from mercato.store.attributes import Item
from mercato.store.dynamo import Table, Write


def some_writes(chance: random.Random) -> list[Write]:
    """Over different items of four partitions, with conditions of which about one in eight fails."""
    writes = []
    for number in chance.sample(range(12), chance.randint(1, 6)):
        pk, sk = f"p{number % 4}", f"s{number}"
        condition = chance.choice(["attribute_not_exists(gone)"] * 7 + ["attribute_exists(gone)"])
        match chance.randrange(4):
            case 0:
                writes.append(dynamo.put({"pk": pk, "sk": sk, "list": [chance.randrange(9)]}, condition))
            case 1:
                values = {":one": [1], ":none": []}
                sets = "SET #list = list_append(if_not_exists(#list, :none), :one)"
                writes.append(dynamo.update(pk, sk, sets, condition, values=values, names={"#list": "list"}))
            case 2:
                writes.append(dynamo.delete(pk, sk, condition))
            case _:
                writes.append(dynamo.check(pk, sk, condition))
    return writes


def story(table: Table, seed: int) -> list[tuple[str, list[Item]]]:
    """What became of each of twenty transactions, and the whole table after it."""
    chance, told = random.Random(seed), []
    for _ in range(20):
        outcome = "done"
        try:
            table.transact(some_writes(chance))
        except dynamo.ConditionFailed as failed:
            outcome = f"condition {failed.index} failed"
        items = boto3.client("dynamodb").scan(TableName=table.name)["Items"]
        told.append((outcome, sorted(items, key=lambda item: (item["pk"]["S"], item["sk"]["S"]))))
    return told


@pytest.mark.parametrize("seed", range(3))
def test_what_a_transaction_leaves_is_what_moto_s_own_copies_leave(
    make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    quick = story(make_table("OrdersTable"), seed)
    monkeypatch.setattr(models, "copy", copy)
    assert story(make_table("PaymentsTable"), seed) == quick
    outcomes = {outcome.split()[0] for outcome, _ in quick}
    assert outcomes == {"done", "condition"}


def test_a_transaction_that_is_refused_changes_nothing(make_table: Callable[[str], Table]) -> None:
    table = make_table("OrdersTable")
    table.write(dynamo.put({"pk": "a", "sk": "1", "list": [1]}))
    more = dynamo.update(
        "a", "1", "SET #list = list_append(#list, :more)", values={":more": [2]}, names={"#list": "list"}
    )
    with pytest.raises(dynamo.ConditionFailed):
        table.transact([more, dynamo.put_new({"pk": "b", "sk": "1"}), dynamo.check("c", "1", "attribute_exists(pk)")])
    assert boto3.client("dynamodb").scan(TableName="OrdersTable")["Items"] == [
        {"pk": {"S": "a"}, "sk": {"S": "1"}, "list": {"L": [{"N": "1"}]}}
    ]


def test_a_call_that_meets_a_client_error_lets_the_next_have_its_turn(make_table: Callable[[str], Table]) -> None:
    make_table("OrdersTable")
    with pytest.raises(ClientError):
        boto3.client("dynamodb").get_item(TableName="Nothing", Key={"pk": {"S": "a"}})
    assert boto3.client("dynamodb").scan(TableName="OrdersTable")["Count"] == 0
