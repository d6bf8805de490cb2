"""The event store passes the test case that the `eventsourcing` library has for its own recorders."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from eventsourcing.persistence import AggregateRecorder
from eventsourcing.tests import persistence

from mercato.dynamo import Table
from tests.recorder import StreamRecorder


class TestRecorder(persistence.AggregateRecorderTestCase):
    @pytest.fixture(autouse=True)
    def _table(self, make_table: Callable[[str], Table]) -> None:
        self.table = make_table("OrdersTable")

    def create_recorder(self) -> AggregateRecorder:
        return StreamRecorder(self.table)
