"""The folders of the repository."""

from __future__ import annotations

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HOME = ROOT / ".mercato"
UV = HOME / "uv"
BUILD = ROOT / ".aws-sam" / "build"
