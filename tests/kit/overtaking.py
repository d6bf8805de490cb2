"""Another request that runs between the read and the write of the one under test."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest


def overtake(monkeypatch: pytest.MonkeyPatch, store: type, read: str, deed: Callable[[], Any]) -> list[Any]:
    """Has `deed` run once, after the next call of the store's method `read`. Returns the list that gets its answer."""
    genuine, waiting = getattr(store, read), [deed]
    answers: list[Any] = []

    def interrupted(*args: Any, **more: Any) -> Any:
        found = genuine(*args, **more)
        if waiting:
            answers.append(waiting.pop()())
        return found

    monkeypatch.setattr(store, read, interrupted)
    return answers
