"""A table whose writes can be watched and interleaved: what is to run before or after the n-th runs exactly there."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from botocore.exceptions import ClientError
from moto.core.exceptions import JsonRESTError
from moto.dynamodb.responses import DynamoHandler

from mercato.store.attributes import Item, from_item
from mercato.store.dynamo import Table, Write

Act = Callable[[], object]

_READS = ("get_item", "batch_get_item", "query")
_one_at_a_time = threading.RLock()  # moto's tables are not made for threads


class Stretch:
    """Writes one after the other, counted from 0, and what is to happen just before or after which of them.

    After a write is before what is read next, before the next write is after it: `looked` has the writes after which
    something is read. `tables` says where each write went.
    """

    def __init__(self) -> None:
        self.tables: list[str] = []
        self.looked: set[int] = set()
        self._before: dict[int, Act] = {}
        self._after: dict[int, Act] = {}

    @property
    def writes(self) -> int:
        return len(self.tables)

    def run_before(self, write: int, act: Act) -> None:
        """Once."""
        self._before[write] = act

    def run_after(self, write: int, act: Act) -> None:
        """Once, also where the write was refused."""
        self._after[write] = act

    def begin(self, table: str) -> tuple[Act | None, Act | None]:
        """One more write. What is to run before it, and what after."""
        number = len(self.tables)
        self.tables.append(table)
        return self._before.pop(number, None), self._after.pop(number, None)


class Watch:
    """All writes of one case. `outbox` has each item that the relay would see, in order."""

    def __init__(self) -> None:
        self.outbox: list[Item] = []
        self._stretch: Stretch | None = Stretch()

    @contextmanager
    def counting(self, stretch: Stretch | None) -> Iterator[None]:
        """The writes of the block belong to this stretch, and not to the one around it; to none where it is None."""
        around, self._stretch = self._stretch, stretch
        try:
            yield
        finally:
            self._stretch = around

    def look(self) -> None:
        if self._stretch and self._stretch.writes:
            self._stretch.looked.add(self._stretch.writes - 1)

    def around(self, table: str, writes: list[Write], do: Act) -> Any:
        """What an act writes itself is not counted, so that every act meets the same write."""
        before, after = self._stretch.begin(table) if self._stretch else (None, None)
        self._act(before)
        try:
            answer = do()
            for write in writes:
                if write.kind == "Put" and "event" in write.parameters["Item"]:
                    self.outbox.append(from_item(write.parameters["Item"]))
        finally:
            self._act(after)
        return answer

    def _act(self, act: Act | None) -> None:
        if act is not None:
            with self.counting(None):
                act()


class WatchedTable(Table):
    def __init__(self, name: str, watch: Watch) -> None:
        super().__init__(name, sleep=lambda _: None)
        self._watch = watch

    def write(self, write: Write, *, return_values: str | None = None) -> Item | None:
        found: Item | None = self._watch.around(
            self.name, [write], lambda: super(WatchedTable, self).write(write, return_values=return_values)
        )
        return found

    def transact(self, writes: list[Write], *, token: str | None = None) -> None:
        self._watch.around(self.name, writes, lambda: super(WatchedTable, self).transact(writes, token=token))

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """moto's DynamoDB without the way there and back through botocore, which takes five times as long."""
        if operation in _READS:
            self._watch.look()
        handler = DynamoHandler()
        handler.region, handler.current_account, handler.headers = "us-east-1", "123456789012", {}
        handler.body = handler.params = copy.deepcopy(parameters)
        with _one_at_a_time:
            try:
                answer: dict[str, Any] = getattr(handler, operation)().result
            except JsonRESTError as error:
                raise _as_botocore(operation, error) from error
        return answer


def _as_botocore(operation: str, error: JsonRESTError) -> ClientError:
    said = json.loads(error.description)
    code = said.pop("__type").rpartition("#")[2]
    message = said.pop("message", said.pop("Message", ""))
    return ClientError(said | {"Error": {"Code": code, "Message": message}}, operation)
