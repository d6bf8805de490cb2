"""The event store passes the test case that the `eventsourcing` library has for its own recorders."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest
from eventsourcing.persistence import AggregateRecorder
from eventsourcing.persistence import StoredEvent as Theirs
from eventsourcing.popo import POPOAggregateRecorder
from eventsourcing.tests import persistence

from mercato.store.dynamo import Table
from tests.integration.layer.streams import count_calls
from tests.kit.recorder import StreamRecorder


class TestRecorder(persistence.AggregateRecorderTestCase):
    @pytest.fixture(autouse=True)
    def _table(self, make_table: Callable[[str], Table]) -> None:
        self.table = make_table("OrdersTable")

    def create_recorder(self) -> AggregateRecorder:
        return StreamRecorder(self.table)


STREAM = uuid.UUID(int=1)


def recorded(table: Table, versions: range, state: bytes = b"") -> tuple[StreamRecorder, POPOAggregateRecorder]:
    """Records the same events in our store and in the library's own recorder."""
    ours, theirs = StreamRecorder(table), POPOAggregateRecorder()
    for version in versions:
        for recorder in (ours, theirs):
            recorder.insert_events([Theirs(STREAM, version, f"topic-{version}", state)])
    return ours, theirs


@pytest.mark.parametrize("first", [0, 1, 5])
def test_every_bounded_read_in_both_directions_is_the_library_s(make_table: Callable[[str], Table], first: int) -> None:
    ours, theirs = recorded(make_table("OrdersTable"), range(first, first + 5))
    bounds = (None, first, first + 2, first + 4, first + 9)
    for gt, lte, desc, limit in product(bounds, bounds, (False, True), (None, 1, 3, 9)):
        asked = {"gt": gt, "lte": lte, "desc": desc, "limit": limit}
        found = ours.select_events(STREAM, gt=gt, lte=lte, desc=desc, limit=limit)
        assert found == theirs.select_events(STREAM, gt=gt, lte=lte, desc=desc, limit=limit), asked


def test_a_bounded_read_asks_for_no_more_than_one_page(
    make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stream has three pages. The second query is the adapter's, which looks up the library's number of our first
    event.
    """
    ours, _ = recorded(make_table("OrdersTable"), range(1, 10), b"".join(uuid.uuid4().bytes for _ in range(18_000)))
    asked = count_calls(monkeypatch)
    cases: list[tuple[dict[str, Any], list[int]]] = [
        ({"limit": 2}, [1, 2]),
        ({"gt": 6, "limit": 2}, [7, 8]),
        ({"lte": 2, "desc": True}, [2, 1]),
        ({"desc": True, "limit": 2}, [9, 8]),
    ]
    for bounds, versions in cases:
        asked.clear()
        assert [event.originator_version for event in ours.select_events(STREAM, **bounds)] == versions
        assert asked == ["query"] * 2, bounds
