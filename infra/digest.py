"""Detects whether sources have changed since they were built or checked."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from infra.paths import ROOT


def digest(*paths: Path) -> str:
    """Returns the digest of the files, of the files in the folders, and of the running Python's version."""
    found = hashlib.sha256(sys.version.encode())
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if file.is_file() and "__pycache__" not in file.parts:
                found.update(f"\n{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
    return found.hexdigest()[:16]
