"""Runs another request in the middle of one, at a call to DynamoDB that the test chooses."""

from __future__ import annotations

from collections.abc import Callable

from mercato import aws


class Interrupter:
    """Runs `act` once, just before the call of that number. `act` is None afterwards."""

    def __init__(self) -> None:
        self.act: Callable[[], object] | None = None
        self._left = 0
        aws.client("dynamodb").meta.events.register("before-call.dynamodb", lambda **_: self._meet())

    def at(self, call: int, act: Callable[[], object]) -> None:
        self.act, self._left = act, call

    def _meet(self) -> None:
        if self.act is None:
            return
        if self._left:
            self._left -= 1
            return
        act, self.act = self.act, None
        act()
