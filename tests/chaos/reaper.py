"""Kills function processes at random with SIGKILL, as a failing host does."""

from __future__ import annotations

import os
import random
import signal
import subprocess
from contextlib import suppress
from pathlib import Path

from tests.chaos.repeated import Repeated

_MARK = "awslambdaric"


class Reaper(Repeated):
    """Kills one function process of the cloud at `home` every `every` seconds, from `start` to `stop`."""

    def __init__(self, home: Path, every: float, seed: int) -> None:
        super().__init__(every)
        self._home, self._draw = home, random.Random(seed)
        self.killed = 0

    def act(self) -> None:
        if found := self._victims():
            with suppress(ProcessLookupError):
                os.kill(self._draw.choice(found), signal.SIGKILL)
                self.killed += 1

    def _victims(self) -> list[int]:
        """The process ids of this shop's functions. The cloud puts its home into their environment."""
        # A forked sandbox has the mark as its name, and the others have it in their command.
        listed = subprocess.run(
            ["ps", "-ww", "-A", "-o", "pid=,comm=,command="], capture_output=True, text=True, check=True
        )
        pids = [int(line.split(None, 1)[0]) for line in listed.stdout.splitlines() if _MARK in line]
        return sorted(pid for pid in pids if self._is_ours(pid))

    def _is_ours(self, pid: int) -> bool:
        try:
            environment = Path(f"/proc/{pid}/environ").read_bytes()
        except OSError:  # the process has ended by itself
            return False
        return str(self._home).encode() in environment
