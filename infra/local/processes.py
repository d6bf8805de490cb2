"""Child processes that end with their parent, also at Ctrl-C, at an error and when the parent is killed."""

from __future__ import annotations

import contextlib
import ctypes
import os
import secrets
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
    """Runs in the child before exec. On Linux the kernel then kills the child when its parent ends for any reason."""
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
    """Stops the whole process group with SIGTERM and, after `grace` seconds, with SIGKILL."""
    for sign, wait in ((signal.SIGTERM, grace), (signal.SIGKILL, 5)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(wait)
            break
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)


def kill_leftover(pid_file: Path, marker: str) -> bool:
    """Kills a process that a killed run left. Returns True if there was one.

    `marker` must be in the process's command line, because another process may have the pid now. A process whose
    parent is alive belongs to a running shop and is not killed.
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
    except PermissionError:  # another user's process
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
    """Returns a port that was free at the time of the call.

    It is below those that systems give to outgoing connections (Linux: from 32768), which come and go all the time: one
    of those could be taken before its server listens.
    """
    while not is_free(port := 20_000 + secrets.randbelow(12_000)):
        pass
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
