import functools
import json
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError, ReadTimeoutError

from mercato import aws
from mercato.errors import TransientError
from mercato.invocation import deadline, hooks
from mercato.store import dynamo
from mercato.store.attributes import to_item
from mercato.store.dynamo import ConditionFailed, InvalidCursor, KeyRange, SeveralConditionsFailed, Table
from mercato.telemetry import metrics


def refused(code: str, reasons: list[str] | None = None) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": "no"}}
    if reasons is not None:
        response["CancellationReasons"] = [{"Code": reason} for reason in reasons]
    return ClientError(response, "Operation")


class Scripted:
    """Answers each call of any operation with the next of its answers; the last one again and again."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.calls: list[dict[str, Any]] = []

    def __getattr__(self, operation: str) -> Any:
        def call(**parameters: Any) -> Any:
            self.calls.append(parameters)
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            if isinstance(answer, Exception):
                raise answer
            return answer

        return call


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Any:
    def script(*answers: Any) -> Scripted:
        found = Scripted(*answers)
        monkeypatch.setattr(aws, "client", lambda _: found)
        return found

    return script


def fill(table: Table, count: int) -> None:
    for number in range(count):
        table.write(dynamo.put({"pk": "A", "sk": f"S#{number:03}", "gsi1pk": "G", "gsi1sk": f"{number:03}"}))


def test_what_is_stored_comes_back_as_it_was(table: Table) -> None:
    item = {
        "pk": "A",
        "sk": "B",
        "text": "Łódź",
        "empty": "",
        "big": 10**37,
        "negative": -1,
        "yes": True,
        "none": None,
        "bytes": b"\x00\xff",
        "list": [1, "a", [True, {}]],
        "map": {"a": {"b": None}},
    }
    table.write(dynamo.put(item))
    assert table.get("A", "B") == item
    assert table.get("A", "C") is None


@pytest.mark.parametrize("value", [1.0, {1, 2}, object()])
def test_what_has_no_exact_form_is_not_stored(value: object) -> None:
    with pytest.raises(TypeError):
        dynamo.put({"pk": "A", "sk": "B", "nested": [{"value": value}]})


def test_a_new_item_never_replaces_one(table: Table) -> None:
    table.write(dynamo.put_new({"pk": "A", "sk": "B", "n": 1}))
    with pytest.raises(ConditionFailed) as caught:
        table.write(dynamo.put_new({"pk": "A", "sk": "B", "n": 2}))
    assert caught.value.item == {"pk": "A", "sk": "B", "n": 1}
    assert table.get("A", "B") == {"pk": "A", "sk": "B", "n": 1}


def test_an_update_returns_the_new_item_where_it_is_asked_for(table: Table) -> None:
    table.write(dynamo.put({"pk": "A", "sk": "B", "n": 1}))
    update = dynamo.update("A", "B", "ADD n :by", "n = :old", values={":by": 2, ":old": 1})
    assert table.write(update, return_values="ALL_NEW") == {"pk": "A", "sk": "B", "n": 3}
    with pytest.raises(ConditionFailed):
        table.write(update)


def test_a_conditional_delete(table: Table) -> None:
    table.write(dynamo.put({"pk": "A", "sk": "B", "n": 1}))
    with pytest.raises(ConditionFailed):
        table.write(dynamo.delete("A", "B", "n = :n", values={":n": 2}))
    table.write(dynamo.delete("A", "B", "n = :n", values={":n": 1}))
    assert table.get("A", "B") is None


def test_a_transaction_is_all_or_nothing_and_names_the_write_that_failed(table: Table) -> None:
    table.write(dynamo.put({"pk": "A", "sk": "taken", "n": 1}))
    with pytest.raises(ConditionFailed) as caught:
        table.transact([dynamo.put({"pk": "A", "sk": "new"}), dynamo.put_new({"pk": "A", "sk": "taken"})])
    assert (caught.value.index, caught.value.item) == (1, {"pk": "A", "sk": "taken", "n": 1})
    assert not isinstance(caught.value, SeveralConditionsFailed)
    assert table.get("A", "new") is None


def test_several_failed_conditions_are_all_named(table: Table) -> None:
    table.write(dynamo.put({"pk": "A", "sk": "taken"}))
    with pytest.raises(SeveralConditionsFailed) as caught:
        table.transact(
            [
                dynamo.put({"pk": "A", "sk": "new"}),
                dynamo.put_new({"pk": "A", "sk": "taken"}),
                dynamo.check("A", "missing", "attribute_exists(pk)"),
            ]
        )
    assert caught.value.failures == {1: {"pk": "A", "sk": "taken"}, 2: None}
    assert caught.value.index == 1


def test_an_empty_transaction_does_nothing(scripted: Any) -> None:
    client = scripted({})
    Table("things").transact([])
    assert client.calls == []


def test_a_conflict_is_tried_again_until_it_is_over(scripted: Any) -> None:
    conflict = refused("TransactionCanceledException", ["None", "TransactionConflict"])
    client = scripted(conflict, conflict, {})
    waits: list[float] = []
    Table("things", sleep=waits.append).transact([dynamo.put({"pk": "A", "sk": "B"})])
    assert len(client.calls) == 3
    assert len(waits) == 2
    assert all(0 <= wait <= 0.5 for wait in waits)


def test_a_conflict_without_end_is_transient(scripted: Any) -> None:
    client = scripted(refused("TransactionCanceledException", ["TransactionConflict"]))
    with pytest.raises(TransientError):
        Table("things", sleep=lambda _: None).transact([dynamo.put({"pk": "A", "sk": "B"})])
    assert len(client.calls) == 6


def test_a_patient_transaction_is_tried_for_its_seconds_with_pauses_that_grow(scripted: Any) -> None:
    client = scripted(refused("TransactionCanceledException", ["TransactionConflict"]))
    waits: list[float] = []
    with pytest.raises(TransientError):
        Table("things", sleep=waits.append).transact([dynamo.put({"pk": "A", "sk": "B"})], patience=8.0)
    assert len(client.calls) == len(waits) + 1 > 10
    assert 8.0 <= sum(waits) < 9.0
    assert all(0.02 <= wait <= min(1.0, 3 * before) for before, wait in pairwise([0.02, *waits]))


def test_a_patient_transaction_ends_before_the_invocation_does(scripted: Any) -> None:
    scripted(refused("TransactionCanceledException", ["TransactionConflict"]))
    waits: list[float] = []
    with deadline.at_most(2.3), pytest.raises(TransientError):
        Table("things", sleep=waits.append).transact([dynamo.put({"pk": "A", "sk": "B"})], patience=8.0)
    assert all(wait <= 0.3 for wait in waits)

    waits.clear()
    with deadline.at_most(1.9), pytest.raises(TransientError):
        Table("things", sleep=waits.append).transact([dynamo.put({"pk": "A", "sk": "B"})], patience=8.0)
    assert waits == []


@pytest.mark.parametrize(
    ("refusal", "act"),
    [
        (
            refused("TransactionCanceledException", ["None", "TransactionConflict"]),
            lambda table: table.transact([dynamo.put({"pk": "A", "sk": "B"})]),
        ),
        (refused("TransactionConflictException"), lambda table: table.write(dynamo.put({"pk": "A", "sk": "B"}))),
    ],
)
def test_conflicts_are_counted_and_told_at_the_end_of_the_invocation(
    scripted: Any, monkeypatch: pytest.MonkeyPatch, refusal: Exception, act: Callable[[Table], None]
) -> None:
    lines: list[str] = []
    metrics.flush(lambda _: None)  # what other tests have counted
    hooks.forget(metrics.flush)
    tell = functools.partial(metrics.flush, lines.append)
    monkeypatch.setattr(metrics, "flush", tell)
    scripted(refusal, refusal, {})
    try:
        with deadline.of_invocation(None):
            act(Table("things", sleep=lambda _: None))
            assert lines == []
    finally:
        hooks.forget(tell)
    [told] = [json.loads(line) for line in lines]
    assert (told["TransactionConflicts"], told["table"]) == (2, "things")


def test_a_failed_condition_beside_a_conflict_is_not_believed_until_the_conflict_is_over(scripted: Any) -> None:
    both = refused("TransactionCanceledException", ["ConditionalCheckFailed", "TransactionConflict"])
    over = refused("TransactionCanceledException", ["ConditionalCheckFailed", "ConditionalCheckFailed"])
    scripted(both, over)
    with pytest.raises(SeveralConditionsFailed):
        Table("things", sleep=lambda _: None).transact([dynamo.put({"pk": "A", "sk": "B"})])


def test_a_transaction_that_is_wrong_in_itself_is_a_bug_and_not_a_conflict(scripted: Any) -> None:
    client = scripted(refused("TransactionCanceledException", ["ValidationError", "TransactionConflict"]))
    with pytest.raises(ClientError):
        Table("things").transact([dynamo.put({"pk": "A", "sk": "B"})])
    assert len(client.calls) == 1


@pytest.mark.parametrize(
    "error",
    [
        refused("ProvisionedThroughputExceededException"),
        refused("ThrottlingException"),
        refused("InternalServerError"),
        refused("TransactionInProgressException"),
        EndpointConnectionError(endpoint_url="https://dynamodb"),
        ConnectTimeoutError(endpoint_url="https://dynamodb"),
        ReadTimeoutError(endpoint_url="https://dynamodb"),
    ],
)
def test_throttling_and_a_lost_connection_are_transient(scripted: Any, error: Exception) -> None:
    scripted(error)
    table = Table("things")
    for act in (
        lambda: table.get("A", "B"),
        lambda: table.query("A"),
        lambda: table.write(dynamo.put({"pk": "A", "sk": "B"})),
        lambda: table.transact([dynamo.put({"pk": "A", "sk": "B"})]),
    ):
        with pytest.raises(TransientError):
            act()


def test_a_missing_permission_is_not_transient(scripted: Any) -> None:
    scripted(refused("AccessDeniedException"))
    with pytest.raises(ClientError):
        Table("things").get("A", "B")


def test_many_are_read_by_key_a_hundred_at_a_time(table: Table) -> None:
    fill(table, 150)
    keys = [("A", f"S#{number:03}") for number in range(200)]
    found = table.get_many([*keys, *keys])
    assert sorted(item["sk"] for item in found) == [f"S#{number:03}" for number in range(150)]
    assert table.get_many([]) == []


def test_keys_left_unread_are_asked_for_again(scripted: Any) -> None:
    key = to_item({"pk": "A", "sk": "B"})
    left = {"Responses": {}, "UnprocessedKeys": {"things": {"Keys": [key]}}}
    client = scripted(left, left, {"Responses": {"things": [key]}})
    assert Table("things", sleep=lambda _: None).get_many([("A", "B")]) == [{"pk": "A", "sk": "B"}]
    assert len(client.calls) == 3


def test_keys_that_stay_unread_are_transient_in_the_end(scripted: Any) -> None:
    scripted({"Responses": {}, "UnprocessedKeys": {"things": {"Keys": [to_item({"pk": "A", "sk": "B"})]}}})
    with pytest.raises(TransientError):
        Table("things", sleep=lambda _: None).get_many([("A", "B")])


def test_a_long_read_that_makes_progress_is_not_given_up(scripted: Any) -> None:
    keys = [to_item({"pk": "A", "sk": str(number)}) for number in range(20)]
    pages = [
        {"Responses": {"things": [keys[n]]}, "UnprocessedKeys": {"things": {"Keys": keys[n + 1 :]}} if n < 19 else {}}
        for n in range(20)
    ]
    scripted(*pages)
    assert len(Table("things", sleep=lambda _: None).get_many([("A", str(number)) for number in range(20)])) == 20


def test_a_list_is_read_page_by_page_both_ways(table: Table) -> None:
    fill(table, 5)
    first = table.query("A", KeyRange(forward=False), limit=2)
    assert [item["sk"] for item in first.items] == ["S#004", "S#003"]
    second = table.query("A", KeyRange(forward=False), limit=2, start=first.next_key)
    assert [item["sk"] for item in second.items] == ["S#002", "S#001"]
    assert [item["sk"] for item in table.query_all("A", limit=2)] == [f"S#{number:03}" for number in range(5)]


def test_the_sort_key_is_bounded(table: Table) -> None:
    fill(table, 5)
    table.write(dynamo.put({"pk": "A", "sk": "T#1"}))
    assert [item["sk"] for item in table.query("A", KeyRange(prefix="T#")).items] == ["T#1"]
    assert [item["sk"] for item in table.query("A", KeyRange(after="S#003")).items] == ["S#004", "T#1"]
    assert [item["sk"] for item in table.query("A", KeyRange(between=("S#001", "S#002"))).items] == ["S#001", "S#002"]
    assert table.query("B").items == []


def test_an_index_is_queried_by_its_own_keys(table: Table) -> None:
    fill(table, 3)
    table.write(dynamo.put({"pk": "A", "sk": "sparse"}))
    found = table.query("G", KeyRange(after="000"), index="gsi1", limit=1)
    assert [item["sk"] for item in found.items] == ["S#001"]
    assert found.next_key == {"pk": "A", "sk": "S#001", "gsi1pk": "G", "gsi1sk": "001"}


def test_a_start_key_that_the_table_refuses_is_the_clients_error(scripted: Any) -> None:
    scripted(refused("ValidationException"))
    with pytest.raises(InvalidCursor):
        Table("things").query("A", start={"pk": "A", "sk": "x" * 5000})
    with pytest.raises(ClientError):
        Table("things").query("A")
