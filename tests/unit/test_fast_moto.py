"""The parts of a request that the harness skips change no response."""

from __future__ import annotations

from typing import Any

import boto3
import pytest
from botocore.awsrequest import AWSResponse
from botocore.client import BaseClient
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError
from botocore.signers import RequestSigner
from moto import mock_aws
from moto.core.base_backend import BackendDict
from moto.core.botocore_stubber import BotocoreStubber, MockRawResponse
from moto.core.exceptions import JsonRESTError
from moto.dynamodb.parsing.ast_nodes import DepthFirstTraverser, Node  # type: ignore[attr-defined]

from mercato import aws

KEY = {"pk": {"S": "a"}, "sk": {"S": "1"}}
ITEM = KEY | {"count": {"N": "1"}, "parts": {"L": [{"M": {"x": {"B": b"\x00\xff"}}}, {"NULL": True}, {"BOOL": False}]}}
REQUESTS: list[tuple[str, dict[str, Any]]] = [
    ("list_tables", {}),
    ("describe_table", {"TableName": "unknown"}),
    ("put_item", {"Item": ITEM}),
    ("put_item", {"Item": ITEM, "ConditionExpression": "attribute_not_exists(pk)"}),
    ("get_item", {"Key": KEY, "ConsistentRead": True}),
    ("get_item", {"Key": {"pk": {"S": ""}, "sk": {"S": "1"}}}),
    ("query", {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "a"}}}),
    ("query", {"KeyConditionExpression": "nonsense"}),
    *[("put_item", {"Item": {"pk": {"S": pk}, "sk": {"S": sk}}}) for pk, sk in ("a2", "b1", "a3", "c1")],
    ("query", {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "a"}}, "Limit": 2}),
    ("query", {"KeyConditionExpression": "pk = :p", "ExpressionAttributeValues": {":p": {"S": "none"}}}),
    *[
        (
            "update_item",
            {
                "Key": KEY,
                "UpdateExpression": "SET #c = #c + :one, parts[0].x = :b",
                "ExpressionAttributeNames": {"#c": "count"},
                "ExpressionAttributeValues": {":one": {"N": "1"}, ":b": {"B": b"\x01"}},
                "ReturnValues": "ALL_NEW",
            },
        )
    ]
    * 2,
    ("transact_write_items", {"TransactItems": [{"Put": {"TableName": "Things", "Item": ITEM}}]}),
    ("scan", {}),
]


def answers() -> list[Any]:
    client = boto3.client("dynamodb", "us-east-1")
    client.create_table(
        TableName="Things",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    found = []
    for operation, parameters in REQUESTS:
        table = {} if operation in ("list_tables", "transact_write_items") else {"TableName": "Things"}
        try:
            answer = getattr(client, operation)(**(table | parameters))
        except ClientError as error:
            answer = error.response
        for name in ("x-amzn-requestid", "date"):
            assert answer["ResponseMetadata"]["HTTPHeaders"].pop(name)
        del answer["ResponseMetadata"]["RequestId"]
        found.append(answer)
    client.delete_table(TableName="Things")
    return found


def test_dynamodb_answers_as_it_does_past_all_of_motos_front(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    straight = answers()
    replaced: list[tuple[Any, str]] = [
        (BaseClient, "_make_api_call"),
        (BotocoreStubber, "process_request"),
        (RequestSigner, "sign"),
        (BackendDict, "__getitem__"),
        (JsonRESTError, "__init__"),
    ]
    for owner, name in replaced:
        monkeypatch.setattr(owner, name, getattr(owner, name).__wrapped__)
    assert straight == answers()
    assert [one["ResponseMetadata"]["HTTPStatusCode"] for one in straight].count(400) == 4


CALLS: list[tuple[str, str, dict[str, Any]]] = [
    ("sqs", "create_queue", {"QueueName": "tea", "Attributes": {"VisibilityTimeout": "60"}}),
    ("sqs", "get_queue_url", {"QueueName": "none"}),
    ("sqs", "send_message", {"QueueUrl": "TEA", "MessageBody": "Earl Grey"}),
    ("sqs", "get_queue_attributes", {"QueueUrl": "TEA", "AttributeNames": ["VisibilityTimeout", "QueueArn"]}),
    ("sqs", "receive_message", {"QueueUrl": "TEA", "AttributeNames": ["ApproximateReceiveCount"]}),
    ("sqs", "receive_message", {"QueueUrl": "TEA"}),
    ("events", "put_events", {"Entries": [{"Source": "tea", "DetailType": "brewed", "Detail": "{}"}]}),
    ("events", "describe_event_bus", {"Name": "none"}),
    ("secretsmanager", "create_secret", {"Name": "tea", "SecretString": "Earl Grey"}),
    ("secretsmanager", "get_secret_value", {"SecretId": "tea"}),
    ("secretsmanager", "get_secret_value", {"SecretId": "none"}),
    ("ssm", "put_parameter", {"Name": "tea", "Value": "Earl Grey", "Type": "String"}),
    ("ssm", "get_parameter", {"Name": "tea"}),
    ("kms", "describe_key", {"KeyId": "none"}),
    ("stepfunctions", "list_state_machines", {}),
    ("lambda", "get_function", {"FunctionName": "none"}),
    ("cloudformation", "describe_stacks", {}),
    ("iam", "list_roles", {}),
]
CHANGING = {"MessageId", "ReceiptHandle", "EventId", "ARN", "VersionId", "CreatedDate", "LastModifiedDate", "RequestId"}


def answers_of_others() -> list[Any]:
    with mock_aws():
        return [constant(answer_of(*call)) for call in CALLS]


def answer_of(service: str, operation: str, parameters: dict[str, Any]) -> Any:
    url = "https://sqs.us-east-1.amazonaws.com/123456789012/tea"
    given = {name: url if value == "TEA" else value for name, value in parameters.items()}
    client: Any = boto3.client  # typed by the literal name of each service
    try:
        return getattr(client(service, "us-east-1"), operation)(**given)
    except ClientError as error:
        return error.response


def constant(found: Any) -> Any:
    """What is the same in each run."""
    if isinstance(found, list):
        return [constant(part) for part in found]
    if not isinstance(found, dict):
        return found
    left_out = CHANGING | {"HTTPHeaders"}
    return {name: constant(value) for name, value in found.items() if name not in left_out}


def test_other_services_answer_as_they_do_past_all_of_motos_front(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    quick = answers_of_others()
    for owner, name in ((BotocoreStubber, "process_request"), (RequestSigner, "sign")):
        monkeypatch.setattr(owner, name, getattr(owner, name).__wrapped__)
    assert quick == answers_of_others()
    assert [one["ResponseMetadata"]["HTTPStatusCode"] for one in quick].count(200) == 13


def test_a_client_with_a_listener_takes_the_whole_way(cloud: None) -> None:
    heard = []
    client = aws.client("dynamodb")
    client.meta.events.register("before-send.dynamodb", lambda request, **_: heard.append(request.url))

    assert client.list_tables()["TableNames"] == []
    assert heard == ["https://dynamodb.us-east-1.amazonaws.com/"]


UPDATES = [
    "SET #c = #c + :one, parts[0].x = :b REMOVE parts[1], parts[2], note",
    "SET #c = if_not_exists(#c, :one), parts = list_append(parts, :more), note = :text ADD tags :tags",
    "SET #c = if_not_exists(seen, :one) - :one DELETE tags :tags",
    "ADD #c :one, seen :one REMOVE parts[0].x",
    "SET #c = #c + :text",
    "SET #c = :one, #c = :one",
    "SET absent.x = :one",
    "SET pk = :text",
    "SET #c = :absent",
]
VALUES = {
    ":one": {"N": "1"},
    ":b": {"B": b"\x01"},
    ":more": {"L": [{"M": {"y": {"S": "z"}}}]},
    ":text": {"S": "text"},
    ":tags": {"SS": ["new", "old"]},
}


def updates() -> list[Any]:
    client = boto3.client("dynamodb", "us-east-1")
    client.create_table(
        TableName="Things",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")],
        BillingMode="PAY_PER_REQUEST",
    )
    client.put_item(TableName="Things", Item=ITEM)
    found = []
    for expression in UPDATES * 2:
        names = {"#c": "count"} if "#c" in expression else {}
        values = {name: value for name, value in VALUES.items() if name in expression}
        given = {"ExpressionAttributeNames": names} if names else {}
        try:
            found.append(
                client.update_item(
                    TableName="Things",
                    Key=KEY,
                    UpdateExpression=expression,
                    ExpressionAttributeValues=values | ({} if values else {":one": {"N": "1"}}),
                    ReturnValues="ALL_NEW",
                    **given,
                )["Attributes"]
            )
        except ClientError as error:
            found.append(error.response["Error"])
    client.delete_table(TableName="Things")
    return found


def test_an_update_does_what_moto_s_own_tree_makes_of_it(cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    quick = updates()
    for owner, name in ((DepthFirstTraverser, "traverse_node_recursively"), (Node, "find_clauses")):
        monkeypatch.setattr(owner, name, getattr(owner, name).__wrapped__)
    monkeypatch.delattr(Node, "__deepcopy__")
    assert quick == updates()
    assert [("Message" in one) for one in quick].count(True) == 10


def test_where_moto_does_not_answer_a_request_is_signed() -> None:
    signed = []
    client = boto3.client(
        "dynamodb", "us-east-1", aws_access_key_id="a", aws_secret_access_key="b", endpoint_url="http://127.0.0.1:9"
    )

    def answer(request: Any, **_: Any) -> AWSResponse:
        signed.append(request.headers["Authorization"])
        return AWSResponse(request.url, 200, HTTPHeaders(), MockRawResponse(b'{"TableNames": []}'))

    client.meta.events.register_first("before-send.dynamodb.ListTables", answer)
    assert client.list_tables()["TableNames"] == []
    assert "AWS4-HMAC-SHA256 Credential=a/" in str(signed[0])
