"""`sam build` for AWS and the build for the local cloud make equal packages of the services and the layer."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from infra.local import build
from infra.paths import ROOT, UV
from tests.kit.template import load_template

# Each installer adds files about itself, and uv also installs the packages' commands.
_ABOUT_THE_INSTALLER = {".lock", "INSTALLER", "RECORD", "REQUESTED"}


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not {"__pycache__", "bin"} & set(path.parts) and path.name not in _ABOUT_THE_INSTALLER
    }


def sam_build(folder: Path, *what: str) -> Path:
    """Returns the folder with what was built."""
    path = os.pathsep.join((str(Path(sys.executable).parent), str(UV / "bin"), os.environ["PATH"]))
    target = folder / ".aws-sam" / "build"
    where = ["--build-dir", str(target), "--cache-dir", str(folder / "cache"), "--region", "us-east-1"]
    sam = [sys.executable, "-m", "tests.kit.fast_sam"]
    done = subprocess.run(
        [*sam, "build", *what, *where], cwd=ROOT, env=os.environ | {"PATH": path}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return target


def test_sam_builds_what_the_local_cloud_runs(tmp_path: Path) -> None:
    folder = Path(load_template()["Resources"]["UsersApi"]["Properties"]["CodeUri"])
    target = sam_build(tmp_path, "Users/UsersApi")
    ours = contents(build.build_service(ROOT / folder))
    assert "argon2/__init__.py" in ours
    assert contents(target / "Users" / "UsersApi") == ours
    layer = contents(build.build_layer("CommonLayer", ROOT / "layers" / "common"))
    assert "python/pydantic/__init__.py" in layer
    assert contents(target / "Users" / "CommonLayer") == layer


def test_sam_packages_the_sidecar_of_a_shop_with_the_mesh(tmp_path: Path) -> None:
    target = sam_build(tmp_path, "Ingress/MeshLayer", "--parameter-overrides", "Mesh=on")
    layer = target / "Ingress" / "MeshLayer"

    ours = build.build_layer("MeshLayer", ROOT / "layers" / "mesh")
    assert contents(layer) == contents(ours)
    assert {"extensions/mesh", "sidecar/extension.py", "mesh/orders.json"} <= contents(layer).keys()
    assert (layer / "bin" / "envoy").read_bytes() == (ours / "bin" / "envoy").read_bytes()
    for program in ("extensions/mesh", "bin/envoy"):
        assert os.access(layer / program, os.X_OK), f"Lambda could not start {program}"
    unpacked = sum(path.stat().st_size for path in layer.rglob("*") if path.is_file())
    assert unpacked < 150_000_000, "with the function and the common layer it is at most 250 MB"
