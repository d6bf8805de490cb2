"""A table whose writes can be watched and interleaved: what is to run before or after the n-th runs exactly there."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError
from moto.core.exceptions import JsonRESTError
from moto.dynamodb.responses import DynamoHandler

from mercato.dynamo import Table, Write
from mercato.items import Item, from_item

Act = Callable[[], object]

_one_at_a_time = threading.RLock()  # moto's tables are not made for threads


class Watch:
    """The writes of all tables of one case, counted. `outbox` has each item that the relay would see, in order."""

    def __init__(self) -> None:
        self.writes = 0
        self.outbox: list[Item] = []
        self._before: dict[int, Act] = {}
        self._after: dict[int, Act] = {}
        self._acting = False

    def run_before(self, write: int, act: Act) -> None:
        """Once, just before the write of this number, counted from the first after `restart`."""
        self._before[write] = act

    def run_after(self, write: int, act: Act) -> None:
        self._after[write] = act

    def restart(self) -> None:
        self.writes = 0
        self._before, self._after = {}, {}

    def around(self, writes: list[Write], do: Act) -> Any:
        """What an act writes itself is not counted, so that every act meets the same write."""
        number = -1 if self._acting else self.writes
        self.writes += not self._acting
        self._act(self._before.pop(number, None))
        answer = do()
        for write in writes:
            if write.kind == "Put" and "event" in write.parameters["Item"]:
                self.outbox.append(from_item(write.parameters["Item"]))
        self._act(self._after.pop(number, None))
        return answer

    def _act(self, act: Act | None) -> None:
        if act is None:
            return
        self._acting = True
        try:
            act()
        finally:
            self._acting = False


class WatchedTable(Table):
    def __init__(self, name: str, watch: Watch) -> None:
        super().__init__(name, sleep=lambda _: None)
        self._watch = watch

    def write(self, write: Write, *, return_values: str | None = None) -> Item | None:
        found: Item | None = self._watch.around(
            [write], lambda: super(WatchedTable, self).write(write, return_values=return_values)
        )
        return found

    def transact(self, writes: list[Write], *, token: str | None = None) -> None:
        self._watch.around(writes, lambda: super(WatchedTable, self).transact(writes, token=token))

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        """moto's DynamoDB without the way there and back through botocore, which takes five times as long."""
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
