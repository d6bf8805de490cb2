"""Takes out of the layer what no function uses: botocore's models of other services, examples, tests."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path


def trim(python: Path, services: set[str]) -> None:
    data = python / "botocore" / "data"
    for service in data.iterdir():
        if service.is_dir() and service.name not in services:
            shutil.rmtree(service)
    for unused in [python / "boto3" / "examples", *python.glob("**/tests"), *python.glob("bin")]:
        shutil.rmtree(unused, ignore_errors=True)


if __name__ == "__main__":
    trim(Path(sys.argv[1]), set(sys.argv[2:]))
