"""Something that is done again and again beside the test."""

from __future__ import annotations

import threading
from abc import ABC, abstractmethod


class Repeated(ABC):
    """Calls `act` every `every` seconds in a thread of its own, from `start` to `stop`."""

    def __init__(self, every: float) -> None:
        self._every = every
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    @abstractmethod
    def act(self) -> None:
        """Does it once. An exception ends the thread."""

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._ended.wait(self._every):
            self.act()
