"""The extension in a sandbox: AWS's own runtime interface emulator, and a Runtime API without extensions, as the local
cloud's is.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
import samcli

from infra.local.processes import free_port
from infra.mesh import envoy
from infra.paths import ROOT
from sidecar.settings import NotConfigured, Settings
from tests.integration.mesh.conftest import BINARY, INGRESS_ID, Mesh, connects, wait_for

EMULATOR = Path(samcli.__file__).parent / "local" / "rapid" / "aws-lambda-rie-x86_64"
# A function that calls a peer by its sidecar, and tells the status.
FUNCTION = """
import os, socket, http.client

class Sidecar(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(os.environ["MESH_SOCKET"])

def handler(event, context):
    sidecar = Sidecar("products", timeout=10)
    sidecar.request("POST", "/api/products/lookup", b"{}", {"Content-Type": "application/json"})
    return {"status": sidecar.getresponse().status}
"""


def can_unshare() -> bool:
    if shutil.which("unshare") is None or os.uname().machine != "x86_64":
        return False
    tried = subprocess.run(["unshare", "-rmpf", "--mount-proc", "true"], capture_output=True)
    return tried.returncode == 0


needs_namespaces = pytest.mark.skipif(not can_unshare(), reason="this machine allows no namespaces")


def layer(folder: Path, mesh: Mesh) -> Path:
    """The layer as its Makefile lays it out, with the test's policy."""
    for name in ("extensions", "sidecar"):
        shutil.copytree(ROOT / "layers/mesh" / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "bin").mkdir()
    (folder / "bin/envoy").symlink_to(BINARY)
    (folder / "mesh").mkdir()
    (folder / "mesh/orders.json").write_text(json.dumps(envoy.sidecar(mesh.rules, "orders")))
    return folder


def environment(mesh: Mesh, run: Path) -> dict[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "MESH_IDENTITY": "orders",
        "MESH_SECRET_ID": "orders-identity",
        "MESH_SOCKET": str(run / "out.sock"),
        "MESH_INGRESS_HOST": "mesh.shop.example",
        "MESH_INGRESS_ADDRESS": f"127.0.0.1:{mesh.ingress.port}",
        "MESH_INGRESS_ID": INGRESS_ID,
        "MESH_ENVIRONMENT": "local",
        "METRICS_NAMESPACE": "Mercato/shop",
        "NAMESPACE": "shop",
        "AWS_REGION": "eu-west-1",
        "AWS_DEFAULT_REGION": "eu-west-1",
        "AWS_ACCESS_KEY_ID": "ASIAORDERS",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_SESSION_TOKEN": "token",
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{mesh.cloud.port}",
    }


def envoys(run: Path) -> list[int]:
    """The Envoys with their configuration in this folder, as this machine numbers them."""
    return [pid for pid in processes() if str(run / "envoy.json") in command_of(pid)]


def processes() -> list[int]:
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdecimal()]


def command_of(pid: int) -> list[str]:
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_text().split("\0")
    return []


def below(pid: int) -> list[int]:
    """The process and all that it has started."""
    found = [pid]
    for one in found:
        with contextlib.suppress(OSError):
            for children in Path(f"/proc/{one}/task").glob("*/children"):
                found += map(int, children.read_text().split())
    return found


@dataclass
class Sandbox:
    port: int
    process: subprocess.Popen[bytes]
    run: Path
    log: Path

    def invoke(self) -> int:
        """The status that the function got from its peer; 0 where the invocation failed."""
        connection = HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.request("POST", "/2015-03-31/functions/function/invocations", b"{}")
            found = json.loads(connection.getresponse().read())
        except (OSError, HTTPException, ValueError):
            return 0
        finally:
            connection.close()
        return int(found.get("status", 0))


@pytest.fixture
def sandbox(mesh: Mesh, tmp_path: Path) -> Iterator[Sandbox]:
    with running_sandbox(mesh, tmp_path, FUNCTION, layer(tmp_path / "layer", mesh)) as found:
        yield found


@contextlib.contextmanager
def running_sandbox(mesh: Mesh, folder: Path, function: str, opt: Path | None) -> Iterator[Sandbox]:
    """Not started before its first call, as on AWS. /dev/shm cannot be written there, and /opt has the layers."""
    code, run, log = folder / "code", folder / "run", folder / "log"
    code.mkdir()
    (code / "app.py").write_text(function)
    port, api = free_port(), free_port()
    layers = f"cp -R {opt}/. /opt/ && " if opt else ""
    script = (
        f"mount -t tmpfs tmpfs /opt && {layers}mount -t tmpfs -o ro tmpfs /dev/shm && cd {code} && "
        f"exec {EMULATOR} --runtime-interface-emulator-address 127.0.0.1:{port} --runtime-api-address 127.0.0.1:{api} "
        f"{sys.executable} -m awslambdaric app.handler"
    )
    with log.open("wb") as out:
        process = subprocess.Popen(
            ["unshare", "-rmpf", "--mount-proc", "--kill-child", "sh", "-c", script],
            env=environment(mesh, run)
            | {"AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "1024", "AWS_LAMBDA_FUNCTION_TIMEOUT": "30"},
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_for(lambda: connects(port), "the emulator does not listen")
        yield Sandbox(port, process, run, log)
    finally:
        process.kill()
        process.wait()
        wait_for(lambda: not envoys(run), "an Envoy is left")


@needs_namespaces
def test_the_first_call_finds_the_sidecar_ready(mesh: Mesh, sandbox: Sandbox) -> None:
    mesh.give("orders")
    assert envoys(sandbox.run) == []
    assert sandbox.invoke() == 200, sandbox.log.read_text()
    [seen] = mesh.cloud.seen
    assert "URI=spiffe://mercato/orders" in seen.headers["x-forwarded-client-cert"]
    assert len(envoys(sandbox.run)) == 1
    assert (sandbox.run.stat().st_mode & 0o777, (sandbox.run / "files/identity.json").stat().st_mode & 0o777) == (
        *(0o700, 0o600),
    )
    assert "mesh call" in sandbox.log.read_text(), "each call is a line of the function's log"


@needs_namespaces
def test_without_an_identity_calls_fail_and_an_identity_that_comes_late_is_used(mesh: Mesh, sandbox: Sandbox) -> None:
    assert sandbox.invoke() == 503
    assert mesh.cloud.seen == []
    mesh.give("orders")
    wait_for(lambda: sandbox.invoke() == 200, "the identity is read at an invocation", 20)


@needs_namespaces
def test_a_frozen_sandbox_reads_nothing_and_goes_on(mesh: Mesh, sandbox: Sandbox) -> None:
    mesh.give("orders")
    assert sandbox.invoke() == 200
    for _ in range(3):
        asked = mesh.cloud.asked.total()
        frozen = below(sandbox.process.pid)[1:]
        for pid in frozen:
            os.kill(pid, signal.SIGSTOP)
        mesh.ingress.stop()  # the ingress drops its connections meanwhile
        mesh.ingress.start()
        time.sleep(0.5)  # the length of the freeze
        assert mesh.cloud.asked.total() == asked
        for pid in frozen:
            os.kill(pid, signal.SIGCONT)
        assert sandbox.invoke() == 200


@needs_namespaces
def test_between_invocations_nothing_is_read(mesh: Mesh, sandbox: Sandbox) -> None:
    mesh.give("orders")
    # What the sidecar could not read at its start, it reads beside a later invocation.
    wait_for(lambda: sandbox.invoke() == 200 and mesh.cloud.asked["DiscoverInstances"], "the weights are read")
    asked = mesh.cloud.asked.copy()
    for _ in range(20):
        assert sandbox.invoke() == 200
    assert mesh.cloud.asked["GetSecretValue"] == asked["GetSecretValue"] == 1, "an identity is fresh for an hour"


@needs_namespaces
def test_a_registry_that_hangs_delays_no_call_for_long(mesh: Mesh, sandbox: Sandbox) -> None:
    mesh.give("orders")
    assert sandbox.invoke() == 200
    mesh.cloud.hangs.set()
    began = time.monotonic()
    assert sandbox.invoke() == 200
    assert time.monotonic() - began < 5


@needs_namespaces
def test_a_sandbox_whose_envoy_ends_is_replaced(mesh: Mesh, sandbox: Sandbox) -> None:
    mesh.give("orders")
    assert sandbox.invoke() == 200
    [first] = envoys(sandbox.run)
    os.kill(first, signal.SIGKILL)
    wait_for(lambda: sandbox.invoke() == 200, sandbox.log.read_text()[-2000:], 30)
    [second] = envoys(sandbox.run)
    assert second != first


@needs_namespaces
def test_a_sandbox_that_shuts_down_tells_its_last_signals_and_leaves_no_envoy(mesh: Mesh, sandbox: Sandbox) -> None:
    mesh.give("orders")
    assert sandbox.invoke() == 200
    [emulator] = [pid for pid in below(sandbox.process.pid) if str(EMULATOR) in command_of(pid)]
    os.kill(emulator, signal.SIGTERM)
    wait_for(lambda: sandbox.process.poll() is not None, "the emulator has not ended")
    wait_for(lambda: not envoys(sandbox.run), "an Envoy is left")
    [line] = [line for line in sandbox.log.read_text().splitlines() if "MeshCalls" in line]
    assert json.loads(line[line.index("{") :])["MeshCalls"] == 1


@contextlib.contextmanager
def api_without_extensions() -> Iterator[str]:
    """A Runtime API as the local cloud has it: it knows no extensions."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("content-length", "0")))
            self.send_error(404)

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=[0.05], daemon=True).start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def test_without_an_extensions_api_the_sidecar_lives_and_dies_with_its_parent(mesh: Mesh, tmp_path: Path) -> None:
    mesh.give("orders")
    run, opt = tmp_path / "run", layer(tmp_path / "layer", mesh)
    with api_without_extensions() as api:
        parent = subprocess.Popen(
            ["sh", "-c", f"{opt}/extensions/mesh & exec sleep 600"],
            env=environment(mesh, run) | {"AWS_LAMBDA_RUNTIME_API": api},
        )
        try:
            wait_for(lambda: (run / "files/identity.json").exists(), "the sidecar has no identity")
            wait_for(lambda: len(envoys(run)) == 1, "there is no Envoy")
        finally:
            parent.kill()
            parent.wait()
        wait_for(lambda: not envoys(run), "an Envoy is left")


def test_without_an_extensions_api_a_function_ends_with_its_envoy(mesh: Mesh, tmp_path: Path) -> None:
    """The emulator starts a new sandbox for the next call."""
    mesh.give("orders")
    run, opt = tmp_path / "run", layer(tmp_path / "layer", mesh)
    with api_without_extensions() as api:
        parent = subprocess.Popen(
            ["sh", "-c", f"{opt}/extensions/mesh & exec sleep 600"],
            env=environment(mesh, run) | {"AWS_LAMBDA_RUNTIME_API": api},
        )
        try:
            wait_for(lambda: (run / "ready").exists(), "the sidecar is not ready")
            [envoy_pid] = envoys(run)
            os.kill(envoy_pid, signal.SIGKILL)
            wait_for(lambda: parent.poll() is not None, "the function lives on without its sidecar")
        finally:
            parent.kill()
            parent.wait()


def test_two_sandboxes_of_one_machine_do_not_meet(mesh: Mesh, tmp_path: Path) -> None:
    mesh.give("orders")
    opt = layer(tmp_path / "layer", mesh)
    runs = [tmp_path / name for name in ("one", "two")]
    with api_without_extensions() as api:
        parents = [
            subprocess.Popen(
                ["sh", "-c", f"{opt}/extensions/mesh & exec sleep 600"],
                env=environment(mesh, run) | {"AWS_LAMBDA_RUNTIME_API": api},
            )
            for run in runs
        ]
        try:
            for run in runs:
                wait_for(lambda run=run: len(envoys(run)) == 1, "there is no Envoy")  # type: ignore[misc]
            parents[0].kill()
            wait_for(lambda: not envoys(runs[0]), "an Envoy is left")
            assert len(envoys(runs[1])) == 1
        finally:
            for parent in parents:
                parent.kill()
                parent.wait()
        wait_for(lambda: not envoys(runs[1]), "an Envoy is left")


@pytest.mark.parametrize("missing", ["MESH_IDENTITY", "MESH_SECRET_ID", "MESH_INGRESS_HOST", "NAMESPACE"])
def test_a_missing_setting_ends_the_extension_and_is_told(mesh: Mesh, tmp_path: Path, missing: str) -> None:
    opt, given = layer(tmp_path / "layer", mesh), environment(mesh, tmp_path / "run")
    del given[missing]
    with api_without_extensions() as api:
        done = subprocess.run(
            [opt / "extensions/mesh"],
            env=given | {"AWS_LAMBDA_RUNTIME_API": api},
            capture_output=True,
            text=True,
            timeout=30,
        )
    assert done.returncode == 1
    assert missing in done.stdout


def test_weights_that_are_fresh_for_no_number_of_seconds_end_the_extension(mesh: Mesh, tmp_path: Path) -> None:
    given = environment(mesh, tmp_path / "run")
    assert Settings.read(given, tmp_path).weights_fresh == 30
    assert Settings.read(given | {"MESH_WEIGHTS_FRESH": "1.5"}, tmp_path).weights_fresh == 1.5
    for fresh in ("soon", "-1", "1e9", "nan"):
        with pytest.raises(NotConfigured, match=fresh):
            Settings.read(given | {"MESH_WEIGHTS_FRESH": fresh}, tmp_path)
