"""A table whose writes are counted, so that a test can run an act just before or after the n-th write."""

from __future__ import annotations

import json
import threading
import time
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
_one_at_a_time = threading.RLock()  # moto's tables are not thread-safe


class Stretch:
    """A sequence of writes, counted from 0, and the acts that run just before or after one of them.

    An act after a write runs before the next read; an act before the next write runs after that read. `looked` has the
    writes that a read follows. `tables` has the table of each write.
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
        """Runs the act once, just before this write."""
        self._before[write] = act

    def run_after(self, write: int, act: Act) -> None:
        """Runs the act once, just after this write, also if the write is refused."""
        self._after[write] = act

    def begin(self, table: str) -> tuple[Act | None, Act | None]:
        """Counts a write and returns the acts before and after it."""
        number = len(self.tables)
        self.tables.append(table)
        return self._before.pop(number, None), self._after.pop(number, None)


class Contention:
    """DynamoDB's conflicts of writes that overlap in time, which moto lacks.

    A transaction or a write of an item that is in another transaction is cancelled at once. `lasts` is a
    transaction's duration in seconds.
    """

    def __init__(self, table: str, lasts: float) -> None:
        self.table = table
        self.cancelled = self.done = 0
        self._lasts = lasts
        self._in_transaction: set[str] = set()
        self._lock = threading.Lock()

    @contextmanager
    def around(self, operation: str, parameters: dict[str, Any]) -> Iterator[None]:
        actions = [parameters]
        if operation == "transact_write_items":
            actions = [next(iter(action.values())) for action in parameters["TransactItems"]]
        keys = [_key_of(action) for action in actions]
        with self._lock:
            met = [key in self._in_transaction for key in keys]
            if any(met):
                self.cancelled += 1
                raise _conflict(operation, met)
            if operation == "transact_write_items":
                self._in_transaction.update(keys)
        try:
            if operation == "transact_write_items":
                time.sleep(self._lasts)  # the transaction's duration, not a synchronisation
            yield
            self.done += 1
        finally:
            if operation == "transact_write_items":
                with self._lock:
                    self._in_transaction.difference_update(keys)


def _key_of(action: dict[str, Any]) -> str:
    key = action.get("Item") or action["Key"]
    return f"{action['TableName']} {key['pk']['S']} {key['sk']['S']}"


def _conflict(operation: str, met: list[bool]) -> ClientError:
    if operation != "transact_write_items":
        return ClientError({"Error": {"Code": "TransactionConflictException", "Message": "ongoing"}}, operation)
    reasons: Any = [{"Code": "TransactionConflict" if one else "None"} for one in met]
    error: Any = {"Error": {"Code": "TransactionCanceledException", "Message": "cancelled"}}
    return ClientError(error | {"CancellationReasons": reasons}, operation)


class Watch:
    """Observes all writes of one case. `outbox` has the items that the relay would receive, in order. Without
    `contention` a transaction takes no time, so that none overlap.
    """

    def __init__(self) -> None:
        self.outbox: list[Item] = []
        self.contention: Contention | None = None
        self._stretch: Stretch | None = Stretch()

    @contextmanager
    def counting(self, stretch: Stretch | None) -> Iterator[None]:
        """Counts the writes of the block in this stretch instead of the enclosing one. None counts them nowhere."""
        around, self._stretch = self._stretch, stretch
        try:
            yield
        finally:
            self._stretch = around

    def look(self) -> None:
        if self._stretch and self._stretch.writes:
            self._stretch.looked.add(self._stretch.writes - 1)

    def around(self, table: str, writes: list[Write], do: Act) -> Any:
        """Makes the writes, with the acts before and after. An act's own writes are not counted, so numbers stay
        stable.
        """
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
        super().__init__(name, sleep=self._pause)
        self._watch = watch

    def _pause(self, seconds: float) -> None:
        if self._watch.contention:
            time.sleep(seconds)

    def write(self, write: Write, *, return_values: str | None = None) -> Item | None:
        found: Item | None = self._watch.around(
            self.name, [write], lambda: super(WatchedTable, self).write(write, return_values=return_values)
        )
        return found

    def transact(self, writes: list[Write], *, token: str | None = None, patience: float = 0.0) -> None:
        self._watch.around(
            self.name, writes, lambda: super(WatchedTable, self).transact(writes, token=token, patience=patience)
        )

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """Calls moto's DynamoDB without botocore's serialization, which takes five times as long."""
        if operation in _READS:
            self._watch.look()
        elif self._watch.contention and self._watch.contention.table == self.name:
            with self._watch.contention.around(operation, parameters):
                return self._ask(operation, parameters)
        return self._ask(operation, parameters)

    @staticmethod
    def _ask(operation: str, parameters: dict[str, Any]) -> dict[str, Any]:
        handler = DynamoHandler()
        handler.region, handler.current_account, handler.headers = "us-east-1", "123456789012", {}
        handler.body = handler.params = copied(parameters)
        with _one_at_a_time:
            try:
                answer: dict[str, Any] = getattr(handler, operation)().result
            except JsonRESTError as error:
                raise _as_botocore(operation, error) from error
        return answer


def copied(parameter: Any) -> Any:
    """Returns a copy for moto to keep or change. Texts, numbers and bytes in it never change."""
    if isinstance(parameter, dict):
        return {name: copied(part) for name, part in parameter.items()}
    if isinstance(parameter, list | set):
        return type(parameter)(copied(part) for part in parameter)
    return parameter


def _as_botocore(operation: str, error: JsonRESTError) -> ClientError:
    said = json.loads(error.description)
    code = said.pop("__type").rpartition("#")[2]
    message = said.pop("message", said.pop("Message", ""))
    return ClientError(said | {"Error": {"Code": code, "Message": message}}, operation)
