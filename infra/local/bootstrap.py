"""Installs the project into .venv. Imports only the standard library, because it runs before any installation."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
UV = ROOT / ".mercato" / "uv"
VENV = ROOT / ".venv"


def say(text: str) -> None:
    print(f"\033[36m==>\033[0m {text}" if sys.stdout.isatty() else f"==> {text}", flush=True)


def run(*command: str | Path) -> None:
    done = subprocess.run([str(part) for part in command], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"failed: {' '.join(str(part) for part in command)}\n{done.stdout}{done.stderr}")


def find_python() -> str:
    """Returns the path of Python 3.13, or its version if uv has just downloaded it.

    Exits with the steps to install it if the download fails.
    """
    wanted = (ROOT / ".python-version").read_text().strip()
    found = subprocess.run(
        [UV / "bin/uv", "python", "find", "--no-project", wanted], cwd=ROOT, capture_output=True, text=True
    )
    if found.returncode == 0:
        return found.stdout.strip()
    say(f"Python {wanted} is not installed; uv downloads it")
    if subprocess.run([UV / "bin/uv", "python", "install", wanted], cwd=ROOT).returncode:
        sys.exit(
            f"Mercato's functions run on Python {wanted}, and none was found on this machine.\n"
            f"Install it (your package manager, python.org, or `pyenv install {wanted}`) and run this again."
        )
    return wanted


def add_services() -> None:
    """Makes the package of every service importable: each folder of functions/ is on the path."""
    [packages] = VENV.glob("lib/python*/site-packages")
    folders = sorted(path.parent for path in ROOT.glob("functions/*/template.yaml"))
    (packages / "mercato-services.pth").write_text("".join(f"{folder}\n" for folder in folders))


def main() -> None:
    if sys.version_info < (3, 11):
        sys.exit(f"python3 is {sys.version.split()[0]}; 3.11 or later is needed to set up Mercato.")
    start = time.monotonic()
    if not (UV / "bin/uv").exists():
        say("installing uv")
        shutil.rmtree(UV, ignore_errors=True)
        venv.create(UV, with_pip=True)
        run(UV / "bin/python", "-m", "pip", "install", "--quiet", "uv>=0.9,<1")
    python = find_python()
    say("installing the packages of requirements.lock into .venv")
    uv, inside = UV / "bin/uv", VENV / "bin/python"
    if not inside.exists():
        run(uv, "venv", "--quiet", "--clear", "--python", python, VENV)
    run(uv, "pip", "sync", "--quiet", "--require-hashes", "--python", inside, "requirements.lock")
    run(uv, "pip", "install", "--quiet", "--python", inside, "--no-deps", "--no-build-isolation", "--editable", ".")
    add_services()
    (VENV / ".ready").touch()
    os.utime(VENV / ".ready")
    say(f"ready in {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
