"""Children never outlive their parent. Ports may belong to other programs."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local import processes
from infra.trouble import Trouble

SLEEPER = "import time; time.sleep(600)  # a-marker-of-ours"


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-c", f"print('up', flush=True); {SLEEPER}"], start_new_session=True, stdout=subprocess.PIPE
    ) as process:
        # Only after its first output its command line is its own: between fork and exec it is still ours, or empty.
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


def test_what_an_earlier_run_left_is_ended(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    pid_file = tmp_path / "cloud.pid"
    pid_file.write_text(str(sleeper.pid))

    assert processes.kill_leftover(pid_file, "a-marker-of-ours") is True

    assert sleeper.wait(10) == -9
    assert not pid_file.exists()


def test_a_process_of_somebody_else_with_that_pid_is_left_alone(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    pid_file = tmp_path / "cloud.pid"
    pid_file.write_text(str(sleeper.pid))

    assert processes.kill_leftover(pid_file, "another-program") is False

    assert sleeper.poll() is None


def test_what_belongs_to_a_shop_that_is_open_is_left_alone(tmp_path: Path, sleeper: subprocess.Popen[bytes]) -> None:
    pid_file = tmp_path / "cloud.pid"
    pid_file.write_text(f"{sleeper.pid} {os.getpid()}")

    assert processes.kill_leftover(pid_file, "a-marker-of-ours") is False

    assert sleeper.poll() is None
    assert pid_file.exists()


@pytest.mark.parametrize("text", [None, "", "no number"])
def test_no_pid_means_nothing_to_end(tmp_path: Path, text: str | None) -> None:
    pid_file = tmp_path / "cloud.pid"
    if text is not None:
        pid_file.write_text(text)

    assert processes.kill_leftover(pid_file, "a-marker-of-ours") is False


def test_a_port_in_use_is_named_with_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(Trouble) as trouble:
            processes.require_free(port, "the shop's API", "PORT")

    assert f"port {port}, for the shop's API, is in use" in trouble.value.what
    assert "PORT" in trouble.value.remedy


def test_stopping_ends_the_whole_group(tmp_path: Path) -> None:
    parent = f"import subprocess, sys; print(subprocess.Popen([sys.executable, '-c', {SLEEPER!r}]).pid, flush=True)"
    log = tmp_path / "log"
    process = processes.start(
        [sys.executable, "-c", f"{parent}; import time; time.sleep(600)"], os.environ, log, tmp_path / "pid"
    )
    assert processes.wait_until(lambda: bool(log.read_text().strip()), 10)
    child = int(log.read_text())

    processes.stop(process, grace=5)

    assert processes.wait_until(lambda: not _is_alive(child), 10)


def _is_alive(pid: int) -> bool:
    found = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True)
    return bool(found.stdout.strip()) and not found.stdout.strip().startswith("Z")
