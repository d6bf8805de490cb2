"""The extension's life: it registers, starts Envoy, reads its identity, and then works at each invocation alone.

A frozen sandbox runs no timer, so nothing here waits for one. The local cloud has no Extensions API and freezes
nothing: there the sidecar looks every few seconds, and ends with the function's process.
"""

from __future__ import annotations

import http.client
import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

from sidecar.envoy import Envoy, NotStarted, die_with_parent
from sidecar.refresh import Refresher
from sidecar.settings import NotConfigured, Settings
from sidecar.signals import Signals

HOME = Path(__file__).resolve().parents[1]
NAME = "mesh"
_API = "/2020-01-01/extension"
_FIRST = 3.0  # seconds at most for the first reading, before the function's first call
_LOOKS = 5.0  # seconds, where nothing is frozen


def say(message: str, **about: Any) -> None:
    """Writes a line of the function's log."""
    write(json.dumps({"level": "INFO", "message": message, "service": "mesh", **about}) + "\n")


def write(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


class Events:
    """Lambda's Extensions API."""

    def __init__(self, api: str, identifier: str) -> None:
        self._connection = http.client.HTTPConnection(api)
        self._headers = {"Lambda-Extension-Identifier": identifier}

    @classmethod
    def register(cls, api: str) -> Events | None:
        """Returns None where there is no such API."""
        connection = http.client.HTTPConnection(api)
        body = json.dumps({"events": ["INVOKE", "SHUTDOWN"]}).encode()
        try:
            connection.request("POST", f"{_API}/register", body, {"Lambda-Extension-Name": NAME})
            answer = connection.getresponse()
            answer.read()
        finally:
            connection.close()
        if answer.status == 404:
            return None
        if answer.status != 200:
            raise NotStarted(f"the extension was not registered: {answer.status}")
        return cls(api, answer.headers["Lambda-Extension-Identifier"])

    def next(self) -> str:
        """Waits for the next event, and tells Lambda that the work on the last one is done."""
        self._connection.request("GET", f"{_API}/event/next", headers=self._headers)
        kind: str = json.loads(self._connection.getresponse().read())["eventType"]
        return kind

    def fail(self, reason: str) -> None:
        """Ends the sandbox before its first call."""
        headers = self._headers | {"Lambda-Extension-Function-Error-Type": "Mesh.NotStarted"}
        self._connection.request("POST", f"{_API}/init/error", json.dumps({"errorMessage": reason}).encode(), headers)
        self._connection.getresponse().read()


def main() -> int:
    parent = os.getppid()
    events = Events.register(os.environ["AWS_LAMBDA_RUNTIME_API"])
    if events is None:
        die_with_parent()
        if os.getppid() != parent:
            return 0  # it had ended before
    try:
        settings = Settings.read(os.environ, HOME)
        envoy = Envoy(settings)
        envoy.start()
    except (NotConfigured, NotStarted, OSError) as error:
        say("the mesh's sidecar did not start", reason=str(error))
        if events is not None:
            events.fail(str(error))
        return 1
    refresher = Refresher(settings, envoy, say)
    refresher.read_first(_FIRST)
    if not refresher.has_identity:
        say("the mesh's sidecar has no identity: calls to peers get 503")
    threading.Thread(target=_end_with, args=[envoy, parent if events is None else 0], daemon=True).start()
    signals = Signals(settings, say, write) if envoy.is_measured and settings.metrics else None
    if events is None:
        (settings.folder / "ready").touch()  # what starts the function waits for it
        while True:
            time.sleep(min(_LOOKS, settings.weights_fresh))
            refresher.refresh()
            if signals is not None:
                signals.tell()
    while events.next() == "INVOKE":
        refresher.refresh()
        if signals is not None:
            signals.tell()
    if signals is not None:
        signals.tell(is_last=True)
    envoy.stop()
    return 0


def _end_with(envoy: Envoy, function: int) -> None:
    """A sidecar without Envoy is of no use. Lambda replaces a sandbox whose extension has ended; elsewhere the sidecar
    ends the `function`'s process.
    """
    if envoy.process is not None:
        status = envoy.process.wait()
        if envoy.is_stopped:
            return
        say("Envoy has ended", status=status)
        if function:
            os.kill(function, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)
