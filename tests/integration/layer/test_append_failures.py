"""DynamoDB's reasons for refusing an append, and the result of each."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.exceptions import ClientError

from mercato import aws
from mercato.errors import TransientError
from mercato.store.attributes import to_item
from mercato.store.dynamo import Table
from mercato.store.event_store import ConcurrencyError, EventStore
from tests.integration.layer.streams import event, ids

CONFLICTS = ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"]


class Refusing:
    """A DynamoDB whose transactions fail with the next of `errors` until none is left."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *errors: ClientError) -> None:
        self.sent = 0
        self._errors = list(errors)
        self._call = Table._call
        monkeypatch.setattr(Table, "_call", lambda table, operation, **given: self.call(table, operation, **given))

    def call(self, table: Table, operation: str, **parameters: Any) -> dict[str, Any]:
        if operation == "transact_write_items":
            self.sent += 1
            if self._errors:
                raise self._errors.pop(0)
        return self._call(table, operation, **parameters)


def cancelled(*codes: str, item: dict[str, Any] | None = None) -> ClientError:
    reasons = [{"Code": code} | ({"Item": to_item(item)} if item and code != "None" else {}) for code in codes]
    response: Any = {
        "Error": {"Code": "TransactionCanceledException", "Message": "no"},
        "CancellationReasons": reasons,
    }
    return ClientError(response, "TransactWriteItems")


@pytest.fixture
def waits() -> list[float]:
    return []


@pytest.fixture
def store(table: Table, waits: list[float]) -> EventStore:
    patient = Table(table.name, sleep=waits.append)
    return EventStore(patient, "thing")


@pytest.mark.parametrize("code", CONFLICTS)
def test_a_conflict_or_a_throttle_is_tried_again_after_a_while(
    store: EventStore, noon: datetime, waits: list[float], monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    dynamodb = Refusing(monkeypatch, cancelled(code, "None"), cancelled("None", code))
    assert store.append("a", 0, [event(noon, "e1")]) == 1
    assert dynamodb.sent == 3
    assert len(waits) == 2
    assert len(set(waits)) == 2, "without jitter all writers would meet again"
    assert ids(store) == [(1, "e1")]


@pytest.mark.parametrize("code", CONFLICTS)
def test_a_conflict_that_does_not_end_is_transient_and_no_other_version(
    store: EventStore, noon: datetime, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    Refusing(monkeypatch, *[cancelled(code, "None")] * 6)
    with pytest.raises(TransientError) as refused:
        store.append("a", 0, [event(noon, "e1")])
    assert not isinstance(refused.value, ConcurrencyError)
    assert ids(store) == []


@pytest.mark.parametrize("codes", [("ConditionalCheckFailed", "None"), ("None", "ConditionalCheckFailed")])
def test_a_failed_condition_of_event_or_head_is_a_conflict_of_versions(
    store: EventStore, noon: datetime, monkeypatch: pytest.MonkeyPatch, codes: tuple[str, str]
) -> None:
    store.append("a", 0, [event(noon, "e1"), event(noon, "e2")])
    dynamodb = Refusing(monkeypatch, cancelled(*codes))
    with pytest.raises(ConcurrencyError) as refused:
        store.append("a", 1, [event(noon, "late")])
    assert (refused.value.expected, refused.value.actual) == (1, 2)
    assert dynamodb.sent == 1, "the same append again would be refused again"


def test_a_failed_condition_beside_a_conflict_is_asked_for_again(
    store: EventStore, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    dynamodb = Refusing(monkeypatch, cancelled("ConditionalCheckFailed", "TransactionConflict"))
    assert store.append("a", 0, [event(noon, "e1")]) == 1
    assert dynamodb.sent == 2


@pytest.mark.parametrize(
    "codes",
    [
        ("ValidationError", "None"),
        ("ConditionalCheckFailed", "ValidationError"),
        ("TransactionConflict", "ValidationError"),
        ("ItemCollectionSizeLimitExceeded", "None"),
        ("DuplicateItem", "None"),
    ],
)
def test_what_is_wrong_in_itself_is_a_bug_and_never_a_conflict(
    store: EventStore, noon: datetime, monkeypatch: pytest.MonkeyPatch, codes: tuple[str, str]
) -> None:
    dynamodb = Refusing(monkeypatch, cancelled(*codes))
    with pytest.raises(ClientError, match="TransactionCanceledException"):
        store.append("a", 0, [event(noon, "e1")])
    assert dynamodb.sent == 1


@pytest.mark.parametrize(
    "code", ["ValidationException", "IdempotentParameterMismatchException", "AccessDeniedException"]
)
def test_a_call_that_is_refused_as_a_whole_is_a_bug_too(
    store: EventStore, noon: datetime, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    response: Any = {"Error": {"Code": code, "Message": "no"}}
    dynamodb = Refusing(monkeypatch, ClientError(response, "TransactWriteItems"))
    with pytest.raises(ClientError, match=code):
        store.append("a", 0, [event(noon, "e1")])
    assert dynamodb.sent == 1


def test_a_single_put_in_the_way_of_a_transaction_is_tried_again(
    store: EventStore, noon: datetime, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    response: Any = {"Error": {"Code": "TransactionConflictException", "Message": "no"}}
    client = aws.client("dynamodb")
    put_item, errors = client.put_item, [ClientError(response, "PutItem"), ClientError(response, "PutItem")]

    def refuse_twice(**parameters: Any) -> Any:
        if errors:
            raise errors.pop()
        return put_item(**parameters)

    monkeypatch.setattr(client, "put_item", refuse_twice)
    assert store.append_fast("a", 0, event(noon, "e1")) == 1
    assert len(waits) == 2


def test_the_client_s_second_try_carries_the_first_one_s_token_and_another_append_its_own(
    store: EventStore, noon: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    """DynamoDB recognises a transaction by its ClientRequestToken for ten minutes, and executes it once."""
    monkeypatch.setattr("botocore.endpoint.time.sleep", lambda _: None)
    tokens: list[str] = []

    def fail_first(request: Any, **_: Any) -> AWSResponse | None:
        tokens.append(json.loads(request.body)["ClientRequestToken"])
        return AWSResponse(request.url, 500, HTTPHeaders(), _Empty()) if len(tokens) == 1 else None

    aws.client("dynamodb").meta.events.register_first("before-send.dynamodb.TransactWriteItems", fail_first)
    store.append("a", 0, [event(noon, "e1")])
    store.append("a", 1, [event(noon, "e2")])
    first, again, other = tokens
    assert first == again != other
    assert ids(store) == [(1, "e1"), (2, "e2")]


class _Empty:
    """An empty response body."""

    def stream(self, **_: Any) -> list[bytes]:
        return [b"{}"]
