"""Starts sandboxes as forks of one process that has imported the packages of all functions.

A sandbox that starts by itself imports botocore and pydantic for 0.3 seconds of processor time, which a fork saves. The
local cloud runs this file with the functions' Python and import path, `python -P fork_server.py <descriptor>`, so it
imports nothing of the project. The descriptor is a socket. Each message is one sandbox as JSON, with two descriptors:
for its output, and for its exit status, which is written when it has ended. The answer is its process id. The server
and its sandboxes end when the local cloud closes the socket.
"""

from __future__ import annotations

import array
import contextlib
import ctypes
import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import sys
from typing import Any, Never

# They read no variable of a function's environment when they are imported. awslambdaric and the shop's own code do.
PRELOADED = (
    "aws_lambda_powertools.logging",
    "aws_lambda_powertools.metrics",
    "botocore.client",
    "botocore.session",
    "concurrent.futures.thread",
    "http.client",
    "pydantic.networks",
    "simplejson",
    "urllib3",
    "uuid",
    "zoneinfo",
)
LARGEST = 200_000  # bytes of a message
_PR_SET_PDEATHSIG, _PR_SET_NAME = 1, 15
_NAME = b"awslambdaric"  # as `ps -o comm` shows it


def serve(control: socket.socket) -> None:
    for name in PRELOADED:
        with contextlib.suppress(ImportError):  # a function that needs it says so itself
            importlib.import_module(name)
    own = [part for part in sys.path if part not in os.environ["PYTHONPATH"].split(os.pathsep)]
    gc.freeze()  # a collection in a sandbox would copy the pages that it shares with the others
    woken, wake = socket.socketpair()
    for end in (woken, wake):
        end.setblocking(False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wake.fileno(), warn_on_full_buffer=False)
    statuses: dict[int, int] = {}  # by process id: where its exit status is written
    while True:
        ready, _, _ = select.select([control, woken], [], [])
        if woken in ready:
            woken.recv(4096)
            _collect(statuses)
        if control in ready:
            message, (output, status) = _receive(control)
            if not message:
                return
            pid = os.fork()
            if pid == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                for end in (control, woken, wake):
                    end.close()
                for other in (*statuses.values(), status):
                    os.close(other)
                _run(json.loads(message), output, own)
            os.close(output)
            statuses[pid] = status
            control.send(str(pid).encode())


def _receive(control: socket.socket) -> tuple[bytes, tuple[int, int]]:
    """Returns the message and its two descriptors; nothing and no descriptors if the other side has closed."""
    size = array.array("i").itemsize
    message, ancillary, _, _ = control.recvmsg(LARGEST, socket.CMSG_SPACE(2 * size))
    descriptors = array.array("i")
    for _, _, data in ancillary:
        descriptors.frombytes(data)
    return (message, (descriptors[0], descriptors[1])) if message else (b"", (-1, -1))


def _collect(statuses: dict[int, int]) -> None:
    """Writes the exit status of each sandbox that has ended."""
    while statuses:
        pid, ended = os.waitpid(-1, os.WNOHANG)
        if pid == 0:
            return
        status = statuses.pop(pid)
        with contextlib.suppress(BrokenPipeError):  # the local cloud has ended, or has dropped this sandbox
            os.write(status, str(os.waitstatus_to_exitcode(ended)).encode())
        os.close(status)


def _run(sandbox: dict[str, Any], output: int, own: list[str]) -> Never:
    """Becomes the sandbox: its environment, folder and import path are those that its bootstrap gives it."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(_PR_SET_NAME, _NAME)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.close(output)
    os.environ.clear()
    os.environ.update(sandbox["env"])
    os.chdir(sandbox["folder"])
    sys.path[:] = [os.getcwd(), *sandbox["path"], *own]  # first the folder itself, since a link to live code may move
    sys.path_importer_cache.clear()
    sys.argv = ["awslambdaric", sandbox["env"]["_HANDLER"]]
    runpy.run_module("awslambdaric", run_name="__main__", alter_sys=True)
    sys.exit()


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    serve(socket.socket(fileno=int(sys.argv[1])))
