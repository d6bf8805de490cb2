"""A child process that runs as long as the shop: one process, one log and one pid file."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

import httpx

from infra.local import processes
from infra.trouble import Trouble


class Child:
    """A child process that runs `python -m module`. Its command line identifies it in a later run.

    `name` is its name in messages.
    """

    def __init__(self, name: str, module: str, pid_file: Path, log: Path) -> None:
        self.log = log
        self._name, self._module, self._pid_file = name, module, pid_file
        self._process: subprocess.Popen[bytes] | None = None

    def make_way(self, port: int, option: str) -> None:
        """Ends a process that an earlier run left. Raises Trouble if another program uses the port.

        `option` is the name of the setting that chooses another port.
        """
        self._pid_file.parent.mkdir(parents=True, exist_ok=True)
        processes.kill_leftover(self._pid_file, self._module)
        if not processes.wait_until(lambda: processes.is_free(port), 3):
            processes.require_free(port, self._name, option)

    def start(self, *arguments: str, env: Mapping[str, str], answers: Callable[[], bool], within: float = 60) -> None:
        """Starts the process and waits until `answers` returns True. An httpx.HTTPError counts as False.

        Raises Trouble if the process ends or does not answer within `within` seconds.
        """
        self._pid_file.parent.mkdir(parents=True, exist_ok=True)
        processes.kill_leftover(self._pid_file, self._module)
        command = [sys.executable, "-m", self._module, *arguments]
        self._process = processes.start(command, env, self.log, self._pid_file)
        if not processes.wait_until(lambda: self._answers(answers), within):
            raise Trouble(f"{self._name} did not start", self.last_words())

    def is_running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def last_words(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-15:] if self.log.exists() else []
        return "\n".join([f"Its log: {self.log}", *lines])

    def require_running(self) -> None:
        if not self.is_running():
            raise Trouble(f"{self._name} has ended by itself", self.last_words())

    def stop(self) -> bool:
        """Stops the process and returns True.

        Returns False if this object never started it: the files may belong to another shop and are kept.
        """
        if self._process is None:
            return False
        processes.stop(self._process)
        self._process = None
        self._pid_file.unlink(missing_ok=True)
        return True

    def _answers(self, answers: Callable[[], bool]) -> bool:
        self.require_running()
        try:
            return answers()
        except httpx.HTTPError:
            return False
