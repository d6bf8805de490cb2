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


def test_sam_builds_what_the_local_cloud_runs(tmp_path: Path) -> None:
    folder = Path(load_template()["Resources"]["UsersApi"]["Properties"]["CodeUri"])
    path = os.pathsep.join((str(Path(sys.executable).parent), str(UV / "bin"), os.environ["PATH"]))
    target = tmp_path / ".aws-sam" / "build"
    where = ["--build-dir", str(target), "--cache-dir", str(tmp_path / "cache"), "--region", "us-east-1"]
    done = subprocess.run(
        ["sam", "build", "Users/UsersApi", *where],
        cwd=ROOT,
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr

    ours = contents(build.build_service(ROOT / folder))
    assert "argon2/__init__.py" in ours
    assert contents(target / "Users" / "UsersApi") == ours
    layer = contents(build.build_layer("CommonLayer", ROOT / "layers" / "common"))
    assert "python/pydantic/__init__.py" in layer
    assert contents(target / "Users" / "CommonLayer") == layer
