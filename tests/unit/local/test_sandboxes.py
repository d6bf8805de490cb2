"""Sandboxes that are forks behave as the processes that their bootstraps would start."""

from __future__ import annotations

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.local import fork_server
from infra.local.deploy import bootstrap
from infra.local.sandboxes import Plan, Sandboxes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only on Linux are sandboxes forks")

# It stands where Lambda's runtime client stands: it is run as a module, with the handler as its argument.
RUNTIME = """
import json, os, sys
name = sys.argv[1]
if name == "says":
    print(json.dumps({"cwd": os.getcwd(), "path": sys.path, "env": dict(os.environ), "argv": sys.argv}))
elif name == "fails":
    raise ValueError("as asked for")
elif name == "ends":
    sys.exit(3)
elif name == "waits":
    print("here", flush=True)
    sys.stdin.read()
    import time
    time.sleep(600)
"""
Start = Callable[..., Any]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    package = tmp_path / "runtime" / "awslambdaric"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(RUNTIME)
    (tmp_path / "code").mkdir()
    return tmp_path


@pytest.fixture
def start(folder: Path) -> Iterator[Start]:
    sandboxes, started = Sandboxes(), []

    def begin(handler: str, sidecar: str = "", shared: bool = True, **env: str) -> Any:
        runtime, file = folder / "runtime", folder / "code" / "bootstrap"
        path = [folder / "layer", runtime]
        file.write_text(
            bootstrap(path, folder / "live", "http://cloud", sidecar, [runtime] if shared else []), newline="\n"
        )
        file.chmod(0o755)
        kept = {"PATH": os.environ["PATH"], "_HANDLER": handler, "AWS_LAMBDA_FUNCTION_NAME": "TeasApi"}
        found = sandboxes.Popen(
            [str(file)],
            cwd=str(folder / "code"),
            env=kept | env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        started.append(found)
        return found

    yield begin
    for process in started:
        if process.poll() is None:
            process.kill()
            process.wait(10)


def said(process: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(process.stdout.read())
    return found


def test_a_fork_has_the_environment_that_its_bootstrap_gives(start: Start) -> None:
    forked, itself = said(start("says", TEA="green")), said(start("says", shared=False, TEA="green"))

    for name in ("TEA", "PYTHONPATH", "AWS_ENDPOINT_URL", "AWS_SDK_UA_APP_ID", "_HANDLER"):
        assert forked["env"][name] == itself["env"][name], name
    assert forked["env"].keys() - itself["env"].keys() == set()
    assert forked["cwd"] == itself["cwd"]
    assert forked["argv"][1:] == itself["argv"][1:]
    assert [part for part in forked["path"] if "infra" in part] == []
    assert list(dict.fromkeys(forked["path"])) == list(dict.fromkeys(itself["path"]))


def test_a_fork_starts_with_the_code_that_was_saved(start: Start, folder: Path) -> None:
    kept = folder / "kept-1"
    kept.mkdir()
    (folder / "live").symlink_to(kept)

    assert said(start("says"))["path"][:2] == [str(kept), str(folder / "live")]


@pytest.mark.parametrize(("handler", "code"), [("says", 0), ("fails", 1), ("ends", 3)])
def test_the_end_of_a_fork_is_known_by_its_code(start: Start, handler: str, code: int) -> None:
    process = start(handler)

    assert process.wait(30) == process.poll() == code
    assert (b"ValueError: as asked for" in process.stdout.read()) is (handler == "fails")


def test_a_fork_runs_until_it_is_ended(start: Start) -> None:
    process = start("waits")
    assert process.stdout.readline() == b"here\n"
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0)

    process.terminate()

    assert process.wait(30) == -signal.SIGTERM
    process.kill()  # what has ended is not ended again


def test_with_their_server_its_forks_end_and_the_next_sandbox_has_a_new_one(start: Start) -> None:
    process = start("waits")
    process.stdout.readline()
    [server] = [int(line.split()[1]) for line in status_of(process.pid).splitlines() if line.startswith("PPid")]

    os.kill(server, signal.SIGKILL)

    assert process.wait(30) == -signal.SIGKILL
    assert said(start("says"))["env"]["_HANDLER"] == "says"


def status_of(pid: int) -> str:
    return Path(f"/proc/{pid}/status").read_text()


def test_a_bootstrap_that_starts_more_than_the_function_is_a_process_of_its_own(start: Start, folder: Path) -> None:
    process = start("says", "echo sidecar\n")

    assert isinstance(process, subprocess.Popen)
    assert process.stdout is not None
    assert process.stdout.readline() == b"sidecar\n"
    assert Plan.of(folder / "code" / "bootstrap") is None


@pytest.mark.parametrize("name", fork_server.PRELOADED)
def test_what_the_server_imports_exists(name: str) -> None:
    """It passes over a module that it does not find, so that a function says what it misses."""
    importlib.import_module(name)
