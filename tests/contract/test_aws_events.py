"""All events of AWS in the tests are made by tests/kit."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import samcli
from aws_lambda_powertools.utilities.data_classes import (
    APIGatewayProxyEvent,
    APIGatewayProxyEventV2,
    DynamoDBStreamEvent,
    EventBridgeEvent,
    LambdaFunctionUrlEvent,
    SQSEvent,
)

from tests.kit import aws_events
from tests.kit.given import published
from tests.kit.template import ROOT

SAMPLES = Path(samcli.__file__).parent / "lib" / "generated_sample_events" / "events"
# A dictionary with one of these keys is an event of AWS, or one of ours as AWS delivers it.
EVENT_KEYS = {
    "DDBStreamBatchInfo",
    "Records",
    "authorizationToken",
    "eventName",
    "eventSource",
    "eventSourceARN",
    "httpMethod",
    "messageId",
    "methodArn",
    "rawPath",
    "requestContext",
    "specversion",
}


def shape(value: Any, ignored: frozenset[str] = frozenset()) -> Any:
    """The members and their types, without values. `ignored` members only have to exist."""
    if isinstance(value, dict):
        return {name: None if name in ignored else shape(member, ignored) for name, member in value.items()}
    return shape(value[0], ignored) if isinstance(value, list) and value else type(value)


def sample(path: str) -> Any:
    return json.loads((SAMPLES / path).read_text())


def test_a_message_of_a_queue_has_the_form_of_the_sample() -> None:
    made = aws_events.records(aws_events.sqs_record("text"))
    assert shape(made, frozenset({"awsRegion"})) == shape(sample("sqs/Sqs.json"), frozenset({"awsRegion"}))


def test_a_record_of_a_stream_has_the_form_of_the_sample() -> None:
    image = {"pk": {"S": "a"}, "sk": {"S": "b"}}
    ignored = frozenset({"Keys", "NewImage"})
    [made] = aws_events.records(aws_events.stream_record(image))["Records"]
    assert shape(made, ignored) == shape(sample("dynamodb/DynamoDBUpdate.json")["Records"][0], ignored)


def test_a_scheduled_event_has_the_form_of_the_sample() -> None:
    theirs = shape(sample("cloudwatch/ScheduledEvent.json"))
    assert shape(aws_events.scheduled_event()) == theirs | {"version": str}


def test_a_request_of_a_rest_api_has_the_members_of_the_sample() -> None:
    theirs, made = sample("apigateway/AwsProxy.json"), aws_events.rest_request("GET", "/", user="ada")
    assert made.keys() == theirs.keys()
    added = {"authorizer", "domainName"}
    assert made["requestContext"].keys() - added == theirs["requestContext"].keys()
    assert made["requestContext"]["identity"].keys() <= theirs["requestContext"]["identity"].keys()


def test_a_request_of_an_http_api_has_members_of_the_sample() -> None:
    theirs, made = sample("apigateway/HttpApi.json"), aws_events.http_api_request("GET", "/", cookies=["a=b"])
    assert theirs.keys() - made.keys() == {"queryStringParameters", "pathParameters", "stageVariables"}
    assert made.keys() <= theirs.keys()
    assert made["requestContext"].keys() == theirs["requestContext"].keys() - {"authentication", "authorizer"}


def test_a_request_of_the_mesh_s_ingress_has_the_certificate_of_the_sample() -> None:
    theirs = sample("apigateway/HttpApi.json")
    made = aws_events.ingress_request("POST", "/api/products/lookup", {}, query="a=b", headers={"a": "b"})
    assert made.keys() <= theirs.keys()
    assert made["requestContext"].keys() == theirs["requestContext"].keys()
    assert shape(made["requestContext"]["authentication"]) == shape(theirs["requestContext"]["authentication"])
    read = APIGatewayProxyEventV2(made).request_context
    assert read.authentication is not None
    assert (read.authentication.subject_dn, read.authorizer.iam.user_arn) == (
        "CN=orders",
        "arn:aws:sts::123456789012:assumed-role/shop-orders-api-role/shop-orders-api",
    )


def test_an_authorizer_is_asked_in_the_form_of_the_sample() -> None:
    theirs = sample("apigateway/ApiGatewayAuthorizer.json")
    assert shape(aws_events.token_request("Bearer x", "arn:aws:x")) == shape(theirs)


def test_powertools_reads_what_the_kit_makes() -> None:
    rest = APIGatewayProxyEvent(aws_events.rest_request("PUT", "/teas/1", {"a": 1}, user="ada", query={"q": "x"}))
    assert (rest.http_method, rest.path, rest.json_body, rest.query_string_parameters["q"]) == (
        *("PUT", "/teas/1"),
        *({"a": 1}, "x"),
    )
    assert rest.request_context.authorizer["user_id"] == "ada"
    peer = LambdaFunctionUrlEvent(aws_events.url_request("GET", "/teas", peer="carts", query="q=x"))
    assert (peer.path, peer.request_context.authorizer.iam.user_arn) == (
        "/teas",
        "arn:aws:sts::123456789012:assumed-role/carts/carts",
    )
    assert peer.query_string_parameters == {"q": "x"}
    assert (
        LambdaFunctionUrlEvent(aws_events.url_request("GET", "/", peer=None)).request_context.account_id == "anonymous"
    )
    http = APIGatewayProxyEventV2(aws_events.http_api_request("POST", "/", b"a=b", cookies=["c=d"]))
    assert (http.decoded_body, http.cookies, http.request_context.http.method) == ("a=b", ["c=d"], "POST")
    event = published("tea.brewed", "pot-1", {"cups": 1}, id="event-1")
    [record] = SQSEvent(aws_events.records(aws_events.bus_record(event, "shop-tea", receives=3))).records
    assert (record.queue_url, record.attributes.approximate_receive_count) == (
        "https://sqs.us-east-1.amazonaws.com/123456789012/shop-tea",
        "3",
    )
    bus = EventBridgeEvent(record.json_body)
    assert (bus.detail_type, bus.source, bus.detail) == ("tea.brewed", "mercato.elsewhere", event)
    image = {"pk": {"S": "a"}, "sk": {"S": "b"}, "cups": {"N": "2"}}
    [streamed] = DynamoDBStreamEvent(aws_events.records(aws_events.stream_record(image, number="7"))).records
    assert streamed.dynamodb is not None
    assert (streamed.dynamodb.keys, streamed.dynamodb.sequence_number) == ({"pk": "a", "sk": "b"}, "7")


def made_by_hand(source: str) -> Iterator[int]:
    """The lines that contain an event as a literal.

    A change of an event that the kit made (`event | {"messageId": "bad"}`) is none, nor is an expected value.
    """
    tree = ast.parse(source)
    events = [node for node in ast.walk(tree) if isinstance(node, ast.Dict) and is_event(node)]
    if not events:
        return
    exempt = {
        id(inner)
        for node in ast.walk(tree)
        for part in (
            [node.right]
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr)
            else [node.value]
            if isinstance(node, ast.AugAssign)
            else node.comparators
            if isinstance(node, ast.Compare)
            else []
        )
        for inner in ast.walk(part)
    }
    yield from (node.lineno for node in events if id(node) not in exempt)


def is_event(node: ast.Dict) -> bool:
    keys = {key.value for key in node.keys if isinstance(key, ast.Constant)}
    return bool(keys & EVENT_KEYS) or {"task", "input"} <= keys


def test_no_test_makes_an_event_by_hand() -> None:
    tests = ROOT / "tests"
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in sorted(tests.rglob("*.py"))
        if tests / "kit" not in path.parents
        for line in made_by_hand(path.read_text())
    ]
    assert not found, f"tests/kit/aws_events.py makes these events: {found}"


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ('handler({"Records": [one]}, None)', [1]),
        ('x = {"a": {"httpMethod": "GET"}}', [1]),
        ('handler({"task": "Brew", "input": {}})', [1]),
        ('bad = good | {"messageId": "bad"}', []),
        ('event["requestContext"] |= {"requestContext": None}', []),
        ('assert told == {"specversion": "1.0"}', []),
        ('event["Records"][0]["messageId"]', []),
        ('fault({"task": "Brew"})', []),
    ],
)
def test_what_counts_as_an_event_made_by_hand(source: str, lines: list[int]) -> None:
    assert list(made_by_hand(source)) == lines
