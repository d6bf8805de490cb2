"""Child processes that never outlive us: not at Ctrl-C, not at an error, not when we are killed."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from infra.trouble import Trouble

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """In the child, before exec: on Linux the kernel kills it when its parent dies, however that dies."""
    os.setsid()
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def start(command: Sequence[str], env: Mapping[str, str], log: Path, pid_file: Path) -> subprocess.Popen[bytes]:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        process = subprocess.Popen(
            command, env=dict(env), stdin=subprocess.DEVNULL, stdout=out, stderr=out, preexec_fn=die_with_parent
        )
    pid_file.write_text(f"{process.pid} {os.getpid()}")
    return process


def stop(process: subprocess.Popen[bytes], grace: float = 5) -> None:
    """The whole process group: asked first, then killed."""
    for sign, wait in ((signal.SIGTERM, grace), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(wait)
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def kill_leftover(pid_file: Path, marker: str) -> bool:
    """Where an earlier run was killed outright, ends what it left. True where there was something.

    `marker` must be in the process's command line: pids are reused, and another's process is never ours to kill. Nor is
    one whose parent lives: it belongs to a shop that is open.
    """
    try:
        pid, *parents = (int(word) for word in pid_file.read_text().split())
    except (FileNotFoundError, ValueError):
        return False
    if any(_is_alive(parent) for parent in parents):
        return False
    pid_file.unlink()
    found = subprocess.run(["ps", "-ww", "-o", "command=", "-p", str(pid)], capture_output=True, text=True)
    if marker not in found.stdout:
        return False
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    return True


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's
        pass
    return True


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port() -> int:
    """One that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def require_free(port: int, what: str, option: str) -> None:
    if not is_free(port):
        raise Trouble(
            f"port {port}, for {what}, is in use by another program",
            f"Stop that program (`lsof -i :{port}` names it), or choose another port with {option}.",
        )


def wait_until(ready: Callable[[], bool], seconds: float, every: float = 0.1) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if ready():
            return True
        time.sleep(every)
    return False
