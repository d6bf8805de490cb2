"""What the mesh adds to a call and to a sandbox's start, beside the same without it, and the ratios of one run.

    .venv/bin/python -m tests.bench.bench_mesh

Real Envoys on this machine: a call goes over loopback, so the network between a caller and the ingress is not in it. No
shop and no AWS: what answers is a small server, the same for both ways. The start is the extension's own, from its
process to the sidecar's first accepted connection, and to its certificate. The first invocation is under AWS's runtime
interface emulator: of a function that does nothing, with the layer and without.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

from infra.paths import HOME
from mercato.peers.transport import Answer, Transport
from sidecar.envoy import accepts
from tests.integration.mesh.conftest import Mesh, made_mesh, wait_for
from tests.integration.mesh.test_sandbox import (
    api_without_extensions,
    can_unshare,
    environment,
    layer,
    running_sandbox,
)

_CALLS, _ROUNDS, _STARTS, _INITS = 1000, 3, 10, 5
_NOTHING = """
def handler(event, context):
    return {"status": 200}
"""
_KEYS = {
    "AWS_ACCESS_KEY_ID": "ASIABENCH",
    "AWS_SECRET_ACCESS_KEY": "secret",
    "AWS_SESSION_TOKEN": "token",
    "AWS_REGION": "eu-west-1",
    "AWS_DEFAULT_REGION": "eu-west-1",
}


def measure_calls(mesh: Mesh) -> dict[str, dict[str, float]]:
    """The best of three rounds, in milliseconds: the other rounds show what else this machine does."""
    mesh.give("orders")
    orders = mesh.start("orders")
    wait_for(lambda: orders.look_up().status == 200, "the sidecar has no identity")
    transport, path = Transport(), "/products/live/api/products/lookup"
    url, headers = f"http://127.0.0.1:{mesh.cloud.port}{path}", {"Content-Type": "application/json"}
    ways: dict[str, Callable[[], Answer]] = {
        "signed by Python, sent directly": lambda: transport.send("POST", url, body=b"{}", headers=headers, timeout=5),
        "sidecar, mutual TLS, ingress": orders.look_up,
    }
    rounds: dict[str, list[list[float]]] = {name: [] for name in ways}
    for _ in range(_ROUNDS):
        for name, call in ways.items():
            rounds[name].append(_times_of(call))
    return {
        name: min((_summary(times) for times in found), key=lambda one: one["median"]) for name, found in rounds.items()
    }


def _times_of(call: Callable[[], Answer]) -> list[float]:
    times = []
    for number in range(_CALLS + 50):
        began = time.perf_counter()
        answer = call()
        took = (time.perf_counter() - began) * 1000
        assert answer.status == 200, answer
        if number >= 50:  # the first ones make connections
            times.append(took)
    return times


def _summary(times: list[float]) -> dict[str, float]:
    return {"median": round(statistics.median(times), 2), "p95": round(sorted(times)[int(len(times) * 0.95)], 2)}


def measure_starts(mesh: Mesh, folder: Path) -> dict[str, dict[str, float]]:
    opt = layer(folder / "layer", mesh)
    listening, identified = [], []
    with api_without_extensions() as api:
        for number in range(_STARTS):
            run = folder / f"run-{number}"
            began = time.perf_counter()
            process = subprocess.Popen(
                [opt / "extensions/mesh"],
                env=environment(mesh, run) | {"AWS_LAMBDA_RUNTIME_API": api},
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )
            try:
                wait_for(lambda run=run: accepts(run / "out.sock"), "the sidecar does not listen")  # type: ignore[misc]
                listening.append((time.perf_counter() - began) * 1000)
                wait_for(lambda run=run: _has_identity(run), "the sidecar has no identity")  # type: ignore[misc]
                identified.append((time.perf_counter() - began) * 1000)
            finally:
                process.kill()
                process.wait()
    return {"until it listens": _summary(listening), "until it has its certificate": _summary(identified)}


def measure_first_invocations(mesh: Mesh, folder: Path) -> dict[str, dict[str, float]]:
    """In turns, so that what else this machine does counts for both."""
    mesh.give("orders")
    layers = {"without the layer": None, "with the layer": layer(folder / "init-layer", mesh)}
    times: dict[str, list[float]] = {name: [] for name in layers}
    for number in range(_INITS):
        for name, opt in layers.items():
            room = folder / f"init-{number}-{name.split()[0]}"
            room.mkdir()
            with running_sandbox(mesh, room, _NOTHING, opt) as sandbox:
                began = time.perf_counter()
                assert sandbox.invoke() == 200, sandbox.log.read_text()[-2000:]
                times[name].append((time.perf_counter() - began) * 1000)
    return {name: _summary(found) for name, found in times.items()}


def _has_identity(run: Path) -> bool:
    return bool(json.loads((run / "files/identity.json").read_text())["resources"])


def main() -> None:
    with patch.dict(os.environ, _KEYS), tempfile.TemporaryDirectory() as name, made_mesh(Path(name) / "mesh") as mesh:
        found = {"a call, ms": measure_calls(mesh), "a start, ms": measure_starts(mesh, Path(name))}
        if can_unshare():
            found["a first invocation, ms"] = measure_first_invocations(mesh, Path(name))
        else:
            print("This machine allows no namespaces: the first invocation is not measured.")
    load = os.getloadavg()[0]
    for what, ways in found.items():
        print(f"\n{what} (load {load:.1f} on {os.cpu_count()} processors)")
        for way, times in ways.items():
            print(f"  {way:34} median {times['median']:8.2f}   p95 {times['p95']:8.2f}")
        if "start" not in what:  # its two figures are of one way
            without, with_mesh = (times["median"] for times in ways.values())
            print(f"  {'with the mesh':34} {with_mesh / without:.1f} times, {with_mesh - without:+.2f} ms")
    target = HOME / "bench" / "mesh.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
