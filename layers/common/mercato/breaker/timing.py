"""Time in a sandbox that Lambda may freeze for minutes, during which its two clocks may differ."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

from mercato.dataclass import dataclass


@dataclass(frozen=True)
class Clock:
    """`wall` is in seconds since the epoch; `monotonic` may stand still while the sandbox is frozen."""

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    random: Callable[[], float] = random.random

    def now_ms(self) -> int:
        return int(self.wall() * 1000)

    def jittered(self, seconds: float, by: float) -> float:
        return seconds * (1 + by * (2 * self.random() - 1))


class Timer:
    """Over when either clock says so: the wall clock counts a freeze, the monotonic one never goes back."""

    __slots__ = ("_clock", "_monotonic", "_wall")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.stop()

    def start(self, seconds: float) -> None:
        self._wall, self._monotonic = self._clock.wall() + seconds, self._clock.monotonic() + seconds

    def stop(self) -> None:
        self._wall = self._monotonic = float("-inf")

    def is_over(self) -> bool:
        return self._clock.wall() >= self._wall or self._clock.monotonic() >= self._monotonic
