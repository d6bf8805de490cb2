"""The faster functions in DynamoDB's place give moto's own answers, errors and items."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError, ParamValidationError
from hypothesis import given
from hypothesis import strategies as st
from moto.dynamodb.models.dynamo_type import DynamoType, Item

from tests.kit import fast_dynamodb, whole_values

KEY = {"pk": {"S": "a"}, "sk": {"S": "1"}}
ITEM = KEY | {
    "count": {"N": "1"},
    "parts": {"L": [{"M": {"x": {"B": b"\x00\xff"}, "n": {"N": "7"}}}, {"NULL": True}, {"BOOL": False}]},
    "tags": {"SS": ["old", "kept"]},
    "rates": {"NS": ["1", "2.50"]},
    "raw": {"BS": [b"\x01", b"\x02"]},
    "note": {"S": "Grüße 🧺"},
    "empty": {"S": ""},
    "nest": {"M": {"deep": {"M": {"er": {"L": [{"N": "1.0"}, {"S": "ß"}]}}}}},
}
VALUES = {
    ":one": {"N": "1"},
    ":two": {"N": "2.5"},
    ":b": {"B": b"\x01"},
    ":more": {"L": [{"M": {"y": {"S": "z"}}}]},
    ":text": {"S": "text"},
    ":empty": {"S": ""},
    ":old": {"S": "old"},
    ":tags": {"SS": ["new", "old"]},
    ":rates": {"NS": ["3", "1"]},
    ":null": {"NULL": True},
    ":map": {"M": {"x": {"B": b"\x00\xff"}, "n": {"N": "7.0"}}},
    ":large": {"S": "ä" * 100_000},
    ":type": {"S": "SS"},
}
NAMES = {"#c": "count", "#n": "nest", "#size": "size"}
UPDATES = [
    "SET #c = #c + :one, parts[0].x = :b REMOVE parts[1], parts[2], note",
    "SET #c = if_not_exists(#c, :one), parts = list_append(parts, :more), note = :text ADD tags :tags",
    "SET #c = if_not_exists(seen, :one) - :one DELETE tags :tags",
    "SET total = #c + :one - :two",
    "SET total = :one + :two + #c",
    "SET mirror = parts, parts[0].x = :text",
    "SET parts = list_append(if_not_exists(absent, :more), parts)",
    "SET parts = list_append(:more, :more)",
    "SET parts = list_append(:one, :more)",
    "SET parts = list_append(absent, :more)",
    "SET other = if_not_exists(absent, also_absent)",
    "SET note = absent",
    "SET #c = absent + :one",
    "SET #n.deep.er[0] = :two, #n.deep.er[9] = :text",
    "SET #n.deep = :null REMOVE #n.deep.er",
    "SET #n.nowhere.er = :one",
    "SET note[0] = :one",
    "SET #c.x = :one",
    "ADD #c :one, seen :one, rates :rates REMOVE parts[0].x",
    "ADD note :one",
    "ADD tags :one",
    "ADD parts[0].n :two",
    "DELETE rates :rates, absent :tags",
    "DELETE tags :rates",
    "DELETE #c :one",
    "REMOVE parts[0], parts[2], #n.deep.er[1], absent",
    "REMOVE nowhere.near",
    "SET #c = #c + :text",
    "SET #c = :one, #c = :one",
    "SET #n.deep = :one, #n.deep.er = :one",
    "SET #c = :one SET note = :text",
    "SET absent.x = :one",
    "SET pk = :text",
    "SET gsi = :empty",
    "SET gsi = :one",
    "SET note = :empty, gsi = :text",
    "SET #c = :absent",
    "SET #absent = :one",
    "SET status = :text",
    "SET a1 = :large, a2 = :large, a3 = :large",
    "SET a1 = :large",
    "nonsense",
]
CONDITIONS = [
    "attribute_exists(pk)",
    "attribute_not_exists(note)",
    "attribute_not_exists(#n.deep.er[5])",
    "attribute_type(tags, :type)",
    "begins_with(note, :text) OR #c = :one",
    "contains(tags, :old) AND NOT contains(rates, :two)",
    "size(note) > :one AND size(parts) < :two",
    "#c BETWEEN :one AND :two",
    "#c BETWEEN :null AND :two",
    "note IN (:text, :old) OR (#c IN (:one, :two) AND parts[0] = :map)",
    "#c <> :one",
    "#c >= :two OR #c <= :one",
    "note < :one",
    "tags = :tags OR rates = :rates",
    "((#c = :one))",
    "#c = :absent",
    "#absent = :one",
    "status = :one",
    "#c = ",
    "AND #c",
    "size(absent) > :one",
]


@pytest.fixture
def of_moto(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Puts moto's own functions back, and those of botocore."""

    def put_back() -> None:
        for owner, name, own in (*fast_dynamodb.MOTOS_OWN, *whole_values.OWN):
            monkeypatch.setattr(owner, name, own)
        client: Any = BaseClient
        monkeypatch.setattr(client, "_make_api_call", client._make_api_call.__wrapped__)

    return put_back


def within(expression: str, found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name in expression}


def answers() -> list[Any]:
    """Returns the answer or the error of each request, and the items after it."""
    client = boto3.client("dynamodb", "us-east-1")
    keys = {"hash": ["pk"], "pair": ["pk", "sk"]}
    for table, names in keys.items():
        client.create_table(
            TableName=table,
            KeySchema=[{"AttributeName": n, "KeyType": k} for n, k in zip(names, ("HASH", "RANGE"), strict=False)],
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in [*names, "gsi"]],
            GlobalSecondaryIndexes=[
                {
                    "IndexName": "by-gsi",
                    "KeySchema": [{"AttributeName": "gsi", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            ],
            BillingMode="PAY_PER_REQUEST",
        )
    found: list[Any] = []

    def ask(operation: str, **parameters: Any) -> None:
        """Adds the answer, or the error, without the metadata."""
        try:
            answer = getattr(client, operation)(**parameters)
            found.append({name: value for name, value in answer.items() if name != "ResponseMetadata"})
        except ClientError as error:
            found.append({name: value for name, value in error.response.items() if name != "ResponseMetadata"})
        except (LookupError, ValueError, TypeError, AttributeError, AssertionError, NotImplementedError) as error:
            found.append({"Error": repr(error)})  # what moto does not turn into a response

    def texts(expression: str) -> dict[str, Any]:
        given = {"ExpressionAttributeNames": within(expression, NAMES)} if "#" in expression else {}
        return given | {"ExpressionAttributeValues": within(expression, VALUES) or {":one": {"N": "1"}}}

    for table, names in keys.items():
        key = {name: KEY[name] for name in names}
        other = key | {names[-1]: {"S": "2"}}
        for update in UPDATES:
            request = {"TableName": table, "UpdateExpression": update, **texts(update)}
            ask("put_item", TableName=table, Item=ITEM, ReturnValues="ALL_OLD")
            ask("update_item", Key=key, ReturnValues="ALL_NEW", **request)
            ask("update_item", Key=key, ReturnValues="UPDATED_OLD", **request)
            ask("update_item", Key=other, ReturnValues="UPDATED_NEW", **request)
            put = {"Put": {"TableName": table, "Item": ITEM | other}}
            ask("transact_write_items", TransactItems=[put, {"Update": request | {"Key": key}}])
            ask("scan", TableName=table)
        for condition in CONDITIONS:
            given = texts(condition)
            if "ExpressionAttributeValues" in given and ":" not in condition:
                del given["ExpressionAttributeValues"]
            ask("put_item", TableName=table, Item=ITEM)
            for _ in range(2):
                asked = {"TableName": table, "ConditionExpression": condition, **given}
                ask("put_item", Item=ITEM, ReturnValuesOnConditionCheckFailure="ALL_OLD", **asked)
                check = asked | {"Key": key, "ReturnValuesOnConditionCheckFailure": "ALL_OLD"}
                write = {"Put": {"TableName": table, "Item": ITEM | other | {"note": {"S": "second"}}}}
                ask("transact_write_items", TransactItems=[write, {"ConditionCheck": check}])
                ask("transact_write_items", TransactItems=[{"ConditionCheck": check}, write])
                ask("scan", TableName=table, FilterExpression=condition, **given)
            ask("delete_item", Key=key, ReturnValues="ALL_OLD", **asked)
        ask("put_item", TableName=table, Item=ITEM | {f"a{n}": VALUES[":large"] for n in range(3)})
        ask("put_item", TableName=table, Item=ITEM | {"gsi": {"S": "g"}})
        ask("query", TableName=table, IndexName="by-gsi", KeyConditionExpression="gsi = :g",
            ExpressionAttributeValues={":g": {"S": "g"}})  # fmt: skip
        ask("get_item", TableName=table, Key=key, ProjectionExpression="parts[0].n, tags, raw")
        client.delete_table(TableName=table)
    return found


def test_each_request_has_moto_s_own_answer(cloud: None, of_moto: Callable[[], None]) -> None:
    quick = answers()
    of_moto()
    assert quick == answers()
    assert len([one for one in quick if "Error" in one]) > 300
    assert len([one for one in quick if "Error" not in one]) > 400


SCALARS = (
    st.builds(lambda text: {"S": text}, st.text(max_size=8))
    | st.builds(lambda number: {"N": str(number)}, st.integers() | st.decimals(-1000, 1000, places=2))
    | st.builds(lambda data: {"B": data}, st.binary(max_size=4))
    | st.builds(lambda flag: {"BOOL": flag}, st.booleans())
    | st.just({"NULL": True})
    | st.builds(lambda texts: {"SS": sorted(texts)}, st.sets(st.text(max_size=3), min_size=1, max_size=3))
    | st.builds(lambda ns: {"NS": [str(n) for n in ns]}, st.sets(st.integers(), min_size=1, max_size=3))
    | st.builds(lambda data: {"BS": sorted(data)}, st.sets(st.binary(max_size=3), min_size=1, max_size=3))
)
ATTRIBUTES = st.recursive(
    SCALARS,
    lambda parts: (
        st.builds(lambda many: {"L": many}, st.lists(parts, max_size=3))
        | st.builds(lambda named: {"M": named}, st.dictionaries(st.text(max_size=3), parts, max_size=3))
    ),
    max_leaves=8,
)


def facts(one: Any, other: Any) -> dict[str, Any]:
    value, second = DynamoType(one), DynamoType(other)
    item = Item(DynamoType({"S": "a"}), None, {"one": one, "other": value})
    twin = copy.deepcopy(item)
    again = copy.deepcopy(value)
    return {
        "json": repr(value),
        "regular": value.to_regular_json() if value.type not in ("B", "BS") else None,
        "cast": value.cast_value,
        "size": (value.size(), item.size()),
        "equal": (value == second, value == again, value != second),
        "hash": hash(value) if value.type in ("S", "N", "B", "BOOL", "NULL") else None,
        "copy": (repr(again), again is not value, repr(twin), twin.attrs["one"] is not item.attrs["one"]),
        "item": repr(item),
    }


@given(ATTRIBUTES, ATTRIBUTES)
def test_values_and_items_are_what_moto_makes_of_them(one: Any, other: Any) -> None:
    quick = facts(one, other)
    with pytest.MonkeyPatch.context() as patch:
        for owner, name, own in fast_dynamodb.MOTOS_OWN:
            patch.setattr(owner, name, own)
        assert quick == facts(one, other)


WRONG: list[Any] = [
    {},
    {"S": 1},
    {"S": None},
    {"N": 1},
    {"BOOL": "true"},
    {"X": "a"},
    {"S": "a", "N": "1"},
    {"L": {"S": "a"}},
    {"L": [{"S": "a"}, {"S": 2}]},
    {"M": {"x": {"M": {"y": {"N": 3}}}}},
    {"M": {1: {"S": "a"}}},
    {"SS": ["a", 1]},
    {"B": 1},
    "text",
    None,
]


@pytest.mark.parametrize("value", WRONG, ids=repr)
def test_a_wrong_value_has_botocore_s_own_error(cloud: None, of_moto: Callable[[], None], value: Any) -> None:
    def error() -> str:
        with pytest.raises((ParamValidationError, ClientError)) as raised:
            boto3.client("dynamodb", "us-east-1").put_item(TableName="any", Item={"pk": value})
        return str(raised.value)

    quick = error()
    of_moto()
    assert quick == error()
