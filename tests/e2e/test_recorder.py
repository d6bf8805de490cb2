"""The event store on the local cloud's tables passes the `eventsourcing` library's test case for recorders."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from eventsourcing.persistence import AggregateRecorder
from eventsourcing.tests import persistence

from infra.operator.target import State
from mercato import aws
from mercato.store.dynamo import Table
from tests.kit.recorder import StreamRecorder


class TestRecorder(persistence.AggregateRecorderTestCase):
    @pytest.fixture(autouse=True)
    def _table(self, shop_state: State, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        for name, value in {
            "AWS_ENDPOINT_URL": shop_state.endpoint,
            "AWS_DEFAULT_REGION": shop_state.region,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
        }.items():
            monkeypatch.setenv(name, value)
        aws.reset()
        self.table = Table(shop_state.tables["orders"])
        yield
        aws.reset()

    def create_recorder(self) -> AggregateRecorder:
        return StreamRecorder(self.table)
