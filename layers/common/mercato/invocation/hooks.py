"""Work for the end of an invocation, after the response is computed: App, Consumer, Tasks and schedules run it."""

from __future__ import annotations

from collections.abc import Callable

_put_off: list[Callable[[], None]] = []


def run_each_time(function: Callable[[], None]) -> None:
    """Registers a function for the end of every invocation. It must bound its own time and not raise."""
    if function not in _put_off:
        _put_off.append(function)


def forget(function: Callable[[], None]) -> None:
    if function in _put_off:
        _put_off.remove(function)


def run() -> None:
    for function in _put_off:
        function()
