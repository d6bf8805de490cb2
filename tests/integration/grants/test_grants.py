"""Each call that a function makes to DynamoDB, S3 and the carrier's queue for a request or an event is granted by its
template.
"""

from __future__ import annotations

import copy
import importlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from infra.contract.events import Subscription
from mercato import aws
from mercato.http import PEER
from tests.integration.documents.conftest import BUCKET
from tests.integration.redelivery.test_lost_answers_of_routes import ACCEPTED, WRITING, chance  # noqa: F401
from tests.integration.redelivery.test_redelivery import (
    OWN_QUEUES,
    SUBSCRIPTIONS,
    by_listener,
    event_of,
    machine,  # noqa: F401
    moment_of,
)
from tests.kit import aws_events, cases
from tests.kit.asked import send
from tests.kit.cases import Accepted, OwnQueue
from tests.kit.routes import Served
from tests.kit.template import resources_of_type, routes

_OF_A_TRANSACTION = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
}
_QUEUES = {"shop-carrier": "CarrierQueue"}  # logical ids, by the names of the tests


@dataclass(frozen=True)
class Need:
    """An action of DynamoDB on a table or an index, of S3 on a bucket or a prefix, or of SQS on the carrier's queue.

    A table of the tests has its logical id as its name.
    """

    action: str
    table: str
    index: str = ""


def needs_of(operation: str, parameters: dict[str, Any]) -> Iterator[Need]:
    if operation == "TransactWriteItems":
        for write in parameters["TransactItems"]:
            for kind, one in write.items():
                yield Need(f"dynamodb:{_OF_A_TRANSACTION[kind]}", one["TableName"])
    elif operation in ("BatchGetItem", "BatchWriteItem"):
        yield from (Need(f"dynamodb:{operation}", table) for table in parameters["RequestItems"])
    else:
        yield Need(f"dynamodb:{operation}", parameters["TableName"], parameters.get("IndexName", ""))


class Observed:
    """Records the calls to DynamoDB, S3 and the carrier's queue of all clients of `mercato.aws` from now on."""

    def __init__(self) -> None:
        self.needs: set[Need] = set()
        aws.session().register("provide-client-params.dynamodb", self._note)
        aws.session().register("provide-client-params.s3", self._note_of_s3)
        aws.session().register("provide-client-params.sqs.SendMessage", self._note_of_sqs)

    def _note(self, **call: Any) -> None:
        self.needs.update(needs_of(call["model"].name, call["params"]))

    def _note_of_s3(self, **call: Any) -> None:
        folder, name = call["params"].get("Key", "").partition("/")[0], call["model"].name
        if name == "CreateBucket":  # botocore's name for a presigned form
            folder, name = "uploads", "PutObject"
        bucket = "DocumentsBucket" if call["params"]["Bucket"] == BUCKET else "MediaBucket"
        self.needs.add(Need(f"s3:{'ListBucket' if name == 'ListObjectsV2' else name}", bucket, folder))

    def _note_of_sqs(self, **call: Any) -> None:
        if queue := _QUEUES.get(call["params"]["QueueUrl"].rpartition("/")[2]):
            self.needs.add(Need("sqs:SendMessage", queue))


@pytest.fixture
def observed(cloud: None) -> Observed:
    return Observed()


def function_of(served: Served) -> str:
    """The function that API Gateway invokes for a route. A peer's route belongs to the service's function URL."""
    if PEER in served.route.roles:
        return f"{served.service.capitalize()}Api"
    fitting = [
        route
        for route in routes()
        if route.method == served.route.method.lower()
        and re.fullmatch(re.sub(r"{\w+\+}", ".+", route.path), served.route.path)
    ]
    return max(fitting, key=lambda route: len(route.path)).function


def consumer_of(module: str) -> str:
    (found,) = [
        name
        for name, function in resources_of_type("AWS::Serverless::Function").items()
        if function["Properties"]["Handler"] == f"{module}.handler"
    ]
    return found


def policies_of(function: str) -> Any:
    return resources_of_type("AWS::Serverless::Function")[function]["Properties"]["Policies"]


def not_granted(needs: set[Need], policies: Any) -> set[Need]:
    return {need for need in needs if not any(_grants(statement, need) for statement in _statements(policies))}


def _statements(node: Any) -> Iterator[dict[str, Any]]:
    """All statements, also those under a condition."""
    if isinstance(node, dict) and "Effect" in node:
        yield node
    elif isinstance(node, (dict, list)):
        for part in node.values() if isinstance(node, dict) else node:
            yield from _statements(part)


def _grants(statement: dict[str, Any], need: Need) -> bool:
    actions = statement["Action"]
    resource = json.dumps(statement["Resource"])
    names = f"{{{need.table}.Arn}}/index/{need.index}" if need.index else f'"{need.table}.Arn"'
    if need.action.startswith("s3:") and need.index:
        names = f"{{{need.table}.Arn}}/{need.index}/*"
    return need.action in ([actions] if isinstance(actions, str) else actions) and names in resource


@pytest.mark.usefixtures("chance")
@pytest.mark.parametrize("accepted", ACCEPTED, ids=str)
def test_what_a_writing_route_does_is_granted_to_its_function(
    accepted: Accepted, request: pytest.FixtureRequest, observed: Observed
) -> None:
    served = WRITING[accepted.route]
    asked = accepted.given(request.getfixturevalue(accepted.fixture or served.service))
    observed.needs.clear()
    assert send(served.service, served.route.method, asked)[0] < 300
    assert not_granted(observed.needs, policies_of(function_of(served))) == set()


@pytest.mark.usefixtures("machine")
@pytest.mark.parametrize("subscription", SUBSCRIPTIONS, ids=by_listener)
def test_what_a_consumer_does_is_granted_to_its_function(
    subscription: Subscription, request: pytest.FixtureRequest, observed: Observed, noon: datetime
) -> None:
    service = request.getfixturevalue(subscription.service)
    data = cases.heard_of(subscription).given(service)
    event = event_of(subscription, data, moment_of(service, noon))
    batch = aws_events.records(aws_events.bus_record(event, f"mercato-{subscription.queue}"))
    observed.needs.clear()
    answer = importlib.import_module(subscription.module).handler(batch, None)
    assert answer == {"batchItemFailures": []}
    assert observed.needs
    assert not_granted(observed.needs, policies_of(consumer_of(subscription.module))) == set()


@pytest.mark.parametrize("own", OWN_QUEUES, ids=str)
def test_what_the_consumer_of_an_own_queue_does_is_granted_to_its_function(
    own: OwnQueue, request: pytest.FixtureRequest, observed: Observed
) -> None:
    batch = aws_events.records(aws_events.sqs_record(own.given(request.getfixturevalue(own.service))))
    observed.needs.clear()
    assert importlib.import_module(own.module).handler(batch, None) == {"batchItemFailures": []}
    assert observed.needs
    assert not_granted(observed.needs, policies_of(consumer_of(own.module))) == set()


@pytest.mark.parametrize("action", ["PutItem", "ConditionCheckItem", "GetItem"])
def test_a_grant_that_is_taken_away_is_missed(action: str) -> None:
    needs = set(needs_of("GetItem", {"TableName": "OrdersTable"}))
    needs |= set(
        needs_of(
            "TransactWriteItems",
            {"TransactItems": [{kind: {"TableName": "OrdersTable"}} for kind in ("Put", "ConditionCheck")]},
        )
    )
    policies = copy.deepcopy(policies_of("OrdersApi"))
    assert not_granted(needs, policies) == set()
    for statement in _statements(policies):
        statement["Action"] = [one for one in statement["Action"] if one != f"dynamodb:{action}"]
    assert not_granted(needs, policies) == {Need(f"dynamodb:{action}", "OrdersTable")}
