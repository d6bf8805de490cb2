import json
from datetime import datetime
from typing import Any, ClassVar

import pytest

from mercato.events import Event, EventModel, inbox, outbox
from mercato.events.outbox import EventTooLarge
from mercato.money import Money
from mercato.store import dynamo
from mercato.store.dynamo import ConditionFailed, Table
from mercato.telemetry import correlation


class TeaBrewed(EventModel):
    TYPE: ClassVar[str] = "tea.brewed"
    VERSION: ClassVar[int] = 2
    EXAMPLE: ClassVar[dict[str, Any]] = {"cups": 1, "price": {"amount": 1, "currency": "GBP"}}

    cups: int
    price: Money
    note: str = ""


BREWED = TeaBrewed(cups=2, price=Money(amount=150, currency="GBP"))


def record(noon: datetime, sequence: int = 1, data: EventModel = BREWED, subject: str = "pot-1") -> dynamo.Write:
    return outbox.record(data, service="kitchen", subject=subject, sequence=sequence, now=noon)


def test_a_record_holds_the_whole_envelope_as_one_text(table: Table, noon: datetime) -> None:
    work = correlation.accept("request-0001", causation_id="event-0")
    with correlation.bound(work):
        table.transact([record(noon, 7)])
    item = table.get("OUTBOX#pot-1", "0000000007#tea.brewed")
    assert item is not None
    assert item["ttl"] == int(noon.timestamp()) + 15 * 86_400
    envelope = json.loads(item["event"])
    assert envelope == {
        "specversion": "1.0",
        "id": envelope["id"],
        "source": "mercato.kitchen",
        "type": "tea.brewed",
        "time": "2026-11-22T12:00:00.000Z",
        "subject": "pot-1",
        "datacontenttype": "application/json",
        "dataschema": "urn:mercato:event:tea.brewed:2",
        "sequence": "0000000007",
        "correlationid": "request-0001",
        "causationid": "event-0",
        "traceparent": work.traceparent,
        "data": {"cups": 2, "price": {"amount": 150, "currency": "GBP"}, "note": ""},
    }
    assert Event.model_validate(envelope).time == noon


def test_the_same_change_has_the_same_event_id_and_cannot_be_announced_twice(table: Table, noon: datetime) -> None:
    first, again = record(noon), record(noon)
    ids = {json.loads(write.parameters["Item"]["event"]["S"])["id"] for write in (first, again)}
    assert len(ids) == 1
    table.transact([first])
    with pytest.raises(ConditionFailed):
        table.transact([again])


def test_another_subject_or_number_is_another_event(noon: datetime) -> None:
    writes = [record(noon), record(noon, 2), record(noon, subject="pot-2")]
    assert len({json.loads(write.parameters["Item"]["event"]["S"])["id"] for write in writes}) == 3


def test_the_records_of_a_subject_are_in_the_order_of_their_numbers(table: Table, noon: datetime) -> None:
    table.transact([record(noon, number) for number in (10, 2, 1)])
    numbers = [json.loads(item["event"])["sequence"] for item in table.query("OUTBOX#pot-1").items]
    assert numbers == ["0000000001", "0000000002", "0000000010"]


def test_nothing_is_announced_where_the_change_fails(table: Table, noon: datetime) -> None:
    change = dynamo.update("POT#1", "POT", "SET cups = :n", "attribute_exists(pk)", values={":n": 1})
    with pytest.raises(ConditionFailed):
        table.transact([change, record(noon)])
    assert table.query("OUTBOX#pot-1").items == []


def test_an_event_too_large_for_the_bus_is_refused_before_it_is_written(noon: datetime) -> None:
    with pytest.raises(EventTooLarge):
        record(noon, data=TeaBrewed(cups=1, price=BREWED.price, note="x" * 250_000))


def test_an_effect_is_written_once_per_event(table: Table, noon: datetime) -> None:
    effect = [dynamo.update("POT#1", "POT", "ADD cups :n", values={":n": 2})]
    assert inbox.once(table, "event-1", effect, noon) is True
    assert inbox.once(table, "event-1", effect, noon) is False
    assert inbox.once(table, "event-2", effect, noon) is True
    assert table.get("POT#1", "POT") == {"pk": "POT#1", "sk": "POT", "cups": 4}


def test_a_second_delivery_whose_conditions_no_longer_hold_is_still_only_a_second_delivery(
    table: Table, noon: datetime
) -> None:
    effect = [dynamo.put_new({"pk": "POT#1", "sk": "POT"})]
    assert inbox.once(table, "event-1", effect, noon) is True
    assert inbox.once(table, "event-1", effect, noon) is False


def test_an_effect_that_fails_leaves_no_marker(table: Table, noon: datetime) -> None:
    table.write(dynamo.put({"pk": "POT#1", "sk": "POT"}))
    effect = [dynamo.put({"pk": "CUP#1", "sk": "CUP"}), dynamo.put_new({"pk": "POT#1", "sk": "POT"})]
    with pytest.raises(ConditionFailed) as caught:
        inbox.once(table, "event-1", effect, noon)
    assert caught.value.index == 1
    assert table.get("INBOX#event-1", "INBOX") is None
    assert table.get("CUP#1", "CUP") is None


def test_a_marker_outlives_queue_dead_letters_and_redrive(table: Table, noon: datetime) -> None:
    inbox.once(table, "event-1", [], noon)
    item = table.get("INBOX#event-1", "INBOX")
    assert item is not None
    assert item["ttl"] == int(noon.timestamp()) + 45 * 86_400
