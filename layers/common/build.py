"""Builds the layer: once per `sam build`, linked to each service's template.

Installs the layer's packages, trims what no function uses, and compiles the modules by their content, since the zip
changes time stamps, which would make time-stamped ones stale.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
# The processor that Lambda runs the functions on (the template's parameter Architecture). The machine that deploys may
# have another: `sam build` builds the services' own packages for Lambda's, but leaves a layer to its Makefile, and does
# not tell it the architecture. So `make deploy` sets this variable.
ARCHITECTURE = os.environ.get("ARCHITECTURE", "x86_64")
_MACHINE = {"x86_64": "x86_64", "arm64": "aarch64"}[ARCHITECTURE]
_LAMBDA = ["--python-version", "3.13", "--only-binary", ":all:"]
_UV_PLATFORM = ["--python-platform", f"{_MACHINE}-manylinux_2_34"]
_PIP_PLATFORMS = ["--implementation", "cp"]
_PIP_PLATFORMS += ["--platform", f"manylinux_2_28_{_MACHINE}", "--platform", f"manylinux2014_{_MACHINE}"]


def main(artifacts: Path, services: list[str]) -> None:
    sam = next((path for path in artifacts.parents if path.name == ".aws-sam"), None)
    if sam is None:  # the local cloud runs the functions on this machine
        build(artifacts, services, for_lambda=False)
        return
    store = sam / "layers"
    store.mkdir(parents=True, exist_ok=True)
    with (store / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # `sam build` builds the services' layers side by side
        built = store / f"common-{ARCHITECTURE}-{digest()}"
        if not built.exists():
            for old in store.glob("common-*"):
                shutil.rmtree(old)
            build(store / "common-unfinished", services, for_lambda=True)
            (store / "common-unfinished").rename(built)
        shutil.copytree(built, artifacts, copy_function=os.link, dirs_exist_ok=True)


def build(target: Path, services: list[str], *, for_lambda: bool) -> None:
    python = target / "python"
    # uv copies, since trim.py writes into what a link would share with uv's cache.
    install = ["uv", "pip", "install", "--quiet", "--python", sys.executable, "--link-mode", "copy"]
    platform = _UV_PLATFORM
    if not shutil.which("uv"):
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        platform = _PIP_PLATFORMS
    if for_lambda:
        install += [*_LAMBDA, *platform]
    run(*install, "--no-deps", "--requirement", "requirements.txt", "--target", str(python))
    shutil.copytree(HERE / "mercato", python / "mercato", ignore=shutil.ignore_patterns("__pycache__"))
    run(sys.executable, "trim.py", str(python), *services)
    run(sys.executable, "-m", "compileall", "-q", "-j", "0", "--invalidation-mode", "unchecked-hash", str(python))


def run(*command: str) -> None:
    subprocess.run(command, cwd=HERE, check=True)  # noqa: S603  # our own words


def digest() -> str:
    found = hashlib.sha256(sys.version.encode())
    for file in sorted(path for path in HERE.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
        found.update(f"\n{file.relative_to(HERE)}\n".encode() + file.read_bytes())
    return found.hexdigest()[:16]


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
