"""The store in DynamoDB behaves as the one in memory, with which the model was tested, and it never blocks a call."""

from __future__ import annotations

import json
import socket
import time
from collections.abc import Callable, Iterator
from typing import Any

import boto3
import hypothesis.strategies as st
import pytest
from botocore.exceptions import ClientError
from hypothesis import HealthCheck, given, settings

from mercato import aws
from mercato.breaker import CircuitOpen, Circuits, Policy, State, breaker_for, shared, transitions
from mercato.breaker import store as stores
from mercato.breaker.change import Change
from mercato.breaker.errors import StoreFault
from mercato.breaker.memory import MemoryStore
from mercato.breaker.state import Status
from mercato.breaker.store import DynamoStore
from mercato.ids import new_id
from mercato.invocation import deadline, hooks
from mercato.store import dynamo
from mercato.store.dynamo import Table
from tests.conftest import NOON
from tests.kit import aws_events

NOW = 1_800_000_000_000
POLICY = Policy(successes=2)
GENERATION = st.integers(0, 4)
WHEN = st.integers(0, 3).map(lambda minutes: NOW + minutes * 60_000)
SEEN = st.builds(State, gen=GENERATION, probe=st.sampled_from(["p-1", "p-2"]), ok=st.integers(0, 1))
CHANGES = st.one_of(
    st.builds(lambda seen, now: transitions.trip("peer", seen, POLICY, now), SEEN, WHEN),
    st.builds(lambda probe, now: transitions.grant(probe, POLICY, now), st.sampled_from(["p-1", "p-2"]), WHEN),
    st.builds(lambda seen, now: transitions.pass_probe("peer", seen, POLICY, now), SEEN, WHEN),
    st.builds(lambda seen, now: transitions.fail_probe(seen, POLICY, now, 0.5), SEEN, WHEN),
    st.builds(transitions.release_probe, SEEN),
    st.builds(transitions.count_failures, st.integers(1, 3), st.integers(0, 1), st.integers(1, 3)),
    st.builds(transitions.begin_window, st.integers(1, 3), st.integers(0, 1), st.integers(1, 3)),
    st.builds(lambda seen, now: transitions.suspect(seen, POLICY, now), SEEN, WHEN),
    st.builds(transitions.vote, GENERATION, st.integers(1, 3), st.integers(0, 3), st.just(0), st.integers(0, 1)),
    st.builds(lambda seen, now: transitions.acquit(seen, POLICY, now), SEEN, WHEN),
    st.builds(
        lambda seen, status, now: transitions.force("peer", seen, status, now, {"at": "", "request_id": new_id(NOON)}),
        SEEN,
        st.sampled_from([Status.FORCED_OPEN, Status.CLOSED, Status.DISABLED, Status.METRICS_ONLY]),
        WHEN,
    ),
)


@pytest.fixture
def circuits_table(make_table: Callable[[str], Table]) -> Table:
    return make_table("CircuitsTable")


@pytest.fixture
def store(circuits_table: Table) -> DynamoStore:
    return DynamoStore(circuits_table.name)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(CHANGES, min_size=1, max_size=12))
def test_every_change_has_the_effect_that_it_has_in_memory(circuits_table: Table, changes: list[Change]) -> None:
    circuits_table.write(dynamo.delete("CB#peer", "STATE"))
    real, memory = DynamoStore(circuits_table.name), MemoryStore()
    for change in changes:
        assert real.change("peer", change, NOW) == memory.change("peer", change, NOW)
    assert real.read(["peer"]).states["peer"] == memory.read(["peer"]).states["peer"]


def test_a_circuit_opens_and_closes_and_the_relay_finds_both_events(store: DynamoStore, circuits_table: Table) -> None:
    breaker = Circuits(store).breaker("peer", Policy(failures=1, successes=1, reset=0.001, max_reset=0.001))
    with pytest.raises(ZeroDivisionError):
        breaker.call(lambda: 1 // 0)
    deadline_at = time.monotonic() + 5
    while breaker.view.state.st != Status.CLOSED and time.monotonic() < deadline_at:
        try:
            breaker.call(lambda: "ok")
        except CircuitOpen:
            continue
    records = list(circuits_table.query_all("OUTBOX#peer"))
    events = [json.loads(record["event"]) for record in records]
    assert [(event["type"], event["sequence"]) for event in events] == [
        ("circuit.opened", "0000000001"),
        ("circuit.closed", "0000000003"),
    ]
    assert [event["source"] for event in events] == ["mercato.ops"] * 2
    item = circuits_table.get("CB#peer", "STATE")
    assert item is not None
    assert (item["st"], item["gen"]) == ("C", 3)


def test_the_item_outlives_every_opening(store: DynamoStore, circuits_table: Table) -> None:
    policy = Policy()
    store.change("peer", transitions.trip("peer", State(), policy, NOW), NOW)
    item = circuits_table.get("CB#peer", "STATE")
    assert item is not None
    assert item["ttl"] - item["retry_at"] // 1000 > 80 * 24 * 3600
    assert item["ttl"] * 1000 > NOW + policy.max_reset * 1000


def test_a_circuit_is_enlisted_once_in_its_life_and_a_refresh_is_one_read(
    store: DynamoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[str] = []
    real = stores.DynamoStore._call

    def counted(self: DynamoStore, operation: str, **parameters: Any) -> dict[str, Any]:
        calls.append(operation)
        return real(self, operation, **parameters)

    monkeypatch.setattr(stores.DynamoStore, "_call", counted)
    for sandbox in range(2):
        circuits = Circuits(store)
        breakers = [circuits.breaker(f"peer-{number}", Policy()) for number in range(3)]
        for breaker in breakers:
            assert [breaker.call(lambda: "ok") for _ in range(100)] == ["ok"] * 100
        assert "get_item" not in calls
        circuits.refresh_due()
        circuits.refresh_due()
        assert calls == ["batch_get_item", *(["put_item"] * 3 if sandbox == 0 else [])]
        calls.clear()
    assert [name for name, _ in store.names()] == ["peer-0", "peer-1", "peer-2"]


def test_an_event_of_a_circuits_deleted_life_does_not_keep_it_from_opening(
    store: DynamoStore, circuits_table: Table
) -> None:
    trip = transitions.trip("peer", State(), Policy(), NOW)
    assert store.change("peer", trip, NOW).won
    circuits_table.write(dynamo.delete("CB#peer", "STATE"))
    again = store.change("peer", trip, NOW)
    assert (again.won, again.state.st) == (True, "O")


@pytest.mark.parametrize(
    "code", ["ProvisionedThroughputExceededException", "AccessDeniedException", "ResourceNotFoundException"]
)
def test_what_dynamodb_refuses_is_a_fault_and_not_asked_twice(
    store: DynamoStore, monkeypatch: pytest.MonkeyPatch, code: str
) -> None:
    class Refusing:
        calls = 0

        def batch_get_item(self, **_: Any) -> None:
            Refusing.calls += 1
            raise ClientError({"Error": {"Code": code, "Message": "no"}}, "BatchGetItem")

    monkeypatch.setattr(stores, "_client", lambda _: Refusing())
    with pytest.raises(StoreFault, match=code):
        store.read(["peer"])
    assert Refusing.calls == 1


def test_keys_that_dynamodb_left_unread_are_a_fault_and_not_a_closed_circuit(
    store: DynamoStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Partial:
        def batch_get_item(self, **_: Any) -> dict[str, Any]:
            return {"Responses": {}, "UnprocessedKeys": {"CircuitsTable": {"Keys": [{}]}}}

    monkeypatch.setattr(stores, "_client", lambda _: Partial())
    with pytest.raises(StoreFault, match="not all circuits"):
        store.read(["peer"])


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[int], None]]:
    """Sends DynamoDB's calls to a port of this machine."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")

    def point_to(port: int) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
        aws.reset()

    yield point_to
    aws.reset()


def test_a_silent_store_costs_half_a_second_once_and_then_nothing(endpoint: Callable[[int], None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint(silent.getsockname()[1])
        circuits = Circuits(DynamoStore("CircuitsTable"))
        breaker = circuits.breaker("peer", Policy())
        stores._client(stores.ATTEMPTS)
        started = time.monotonic()
        assert breaker.call(lambda: "ok") == "ok"
        circuits.refresh_due()
        first = time.monotonic() - started
        for _ in range(1000):
            circuits.refresh_due()
        assert 0.4 < first < 1.5
        assert time.monotonic() - started - first < 0.5


def test_a_refused_store_is_known_at_once(endpoint: Callable[[int], None]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    endpoint(port)
    with pytest.raises(StoreFault, match="connect"):
        DynamoStore("CircuitsTable").read(["peer"])


def test_the_views_are_read_again_at_the_end_of_an_invocation_even_where_it_failed(
    circuits_table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIRCUITS_TABLE", circuits_table.name)
    shared.reset()
    breaker = breaker_for("peer", Policy())
    assert breaker_for("peer", Policy()) is breaker
    with pytest.raises(ZeroDivisionError), deadline.of_invocation(None):
        breaker.call(lambda: 1 // 0)
    assert breaker.view.is_read
    shared.reset()
    hooks.run()  # nothing is put off any more
    assert boto3.client("dynamodb", "us-east-1").describe_table(TableName="CircuitsTable")["Table"]["ItemCount"] == 1


def test_an_invocation_with_no_time_left_leaves_its_views_as_they_are(
    circuits_table: Table, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CIRCUITS_TABLE", circuits_table.name)
    shared.reset()
    breaker = breaker_for("peer", Policy())
    with deadline.of_invocation(aws_events.Context(1000)):
        assert breaker.call(lambda: "ok") == "ok"
    assert not breaker.view.is_read
    shared.reset()
