"""Starts the functions' sandboxes for the local cloud: on Linux as forks of a server, elsewhere as processes."""

from __future__ import annotations

import array
import contextlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from infra.local import fork_server

_LINE = "# fork: "  # of a bootstrap, before the Plan as JSON


@dataclass(frozen=True)
class Plan:
    """What a function's bootstrap does, for a fork that does it instead.

    `service` is the folder with the service's live code, if there is any. `path` is the import path behind the
    function's own folder, and `shared` its part that all functions have. `endpoint` is their AWS endpoint.
    """

    python: str
    service: str
    path: list[str]
    shared: list[str]
    endpoint: str

    def line(self) -> str:
        return _LINE + json.dumps(vars(self))

    @classmethod
    def of(cls, bootstrap: Path) -> Plan | None:
        """Reads the plan in a bootstrap. One that starts more than the function has none."""
        for line in bootstrap.read_text(errors="replace").splitlines()[:2]:
            if line.startswith(_LINE):
                return cls(**json.loads(line.removeprefix(_LINE)))
        return None


class Sandbox:
    """The process of a sandbox, with those methods of subprocess.Popen that the local cloud calls."""

    def __init__(self, pid: int, output: int, status: int) -> None:
        self.pid = pid
        self.stdout = open(output, "rb")  # noqa: SIM115 - the reader of the output closes it
        self.returncode: int | None = None
        self._status = status
        self._lock = threading.Lock()

    def poll(self) -> int | None:
        return self._ended_within(0)

    def wait(self, timeout: float | None = None) -> int:
        found = self._ended_within(timeout)
        if found is None:
            raise subprocess.TimeoutExpired("sandbox", timeout or 0)
        return found

    def terminate(self) -> None:
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        self._signal(signal.SIGKILL)

    def _signal(self, number: int) -> None:
        if self.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def _ended_within(self, seconds: float | None) -> int | None:
        with self._lock:
            if self.returncode is None:
                ended = select.poll()
                ended.register(self._status, select.POLLIN)
                if ended.poll(None if seconds is None else max(0, seconds) * 1000):
                    # Nothing can be read if the server was killed, and its sandboxes with it.
                    self.returncode = int(os.read(self._status, 16) or -signal.SIGKILL)
                    os.close(self._status)
            return self.returncode


class _Server:
    """One server of forks, for all functions with the same Python and shared path."""

    def __init__(self, plan: Plan) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        env = {name: value for name, value in os.environ.items() if name not in _OF_THE_CLOUD}
        with theirs:
            subprocess.Popen(
                [plan.python, "-P", fork_server.__file__, str(theirs.fileno())],
                env=env | {"PYTHONPATH": os.pathsep.join(plan.shared)},
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
            )

    def start(self, folder: str, path: list[str], env: dict[str, str]) -> Sandbox:
        """Raises ConnectionError if the server has ended."""
        output, their_output = os.pipe()
        status, their_status = os.pipe()
        message = json.dumps({"folder": folder, "path": path, "env": env}).encode()
        try:
            descriptors = array.array("i", [their_output, their_status])
            self._control.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)])
            answer = self._control.recv(32)
            if not answer:
                raise ConnectionError("the server of forks has ended")
        except OSError:
            os.close(output)
            os.close(status)
            raise
        finally:
            os.close(their_output)
            os.close(their_status)
        return Sandbox(int(answer), output, status)


# The bootstrap unsets them too.
_OF_THE_CLOUD = ("PYTHONPYCACHEPREFIX", "PYTHONDONTWRITEBYTECODE", "VIRTUAL_ENV")


class Sandboxes:
    """`Popen`, for bootstraps. A bootstrap without a plan is a process of its own."""

    def __init__(self) -> None:
        self._servers: dict[tuple[str, ...], _Server] = {}
        self._lock = threading.Lock()

    def Popen(self, command: list[str], **options: Any) -> Any:
        plan = Plan.of(Path(command[0])) if sys.platform == "linux" and command[0].endswith("/bootstrap") else None
        if plan is None:
            return subprocess.Popen(command, **options)
        folder = plan.service if os.path.isdir(plan.service) else options["cwd"]
        path = [folder, *plan.path]
        env = {name: value for name, value in options["env"].items() if name not in _OF_THE_CLOUD}
        env |= {
            "PYTHONPATH": os.pathsep.join(path),
            "AWS_ENDPOINT_URL": plan.endpoint,
            "AWS_SDK_UA_APP_ID": env["AWS_LAMBDA_FUNCTION_NAME"],
        }
        key = (plan.python, *plan.shared)
        with self._lock:
            try:
                return self._server(key, plan).start(folder, path, env)
            except ConnectionError:
                del self._servers[key]
                return self._server(key, plan).start(folder, path, env)

    def _server(self, key: tuple[str, ...], plan: Plan) -> _Server:
        if key not in self._servers:
            self._servers[key] = _Server(plan)
        return self._servers[key]


def forking() -> Any:
    """The module subprocess, with a Popen that forks."""
    return SimpleNamespace(**vars(subprocess) | {"Popen": Sandboxes().Popen})
