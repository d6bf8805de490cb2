"""Work put off until the answer is computed: App, Consumer, Tasks and schedules run it at the end of the invocation."""

from __future__ import annotations

from collections.abc import Callable

_put_off: list[Callable[[], None]] = []


def run_each_time(function: Callable[[], None]) -> None:
    """From now on called at the end of every invocation. It must bound its own time, and not raise."""
    if function not in _put_off:
        _put_off.append(function)


def forget(function: Callable[[], None]) -> None:
    if function in _put_off:
        _put_off.remove(function)


def run() -> None:
    for function in _put_off:
        function()
