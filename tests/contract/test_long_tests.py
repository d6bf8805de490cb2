"""The long tests, which only `make chaos` and a deployed cloud run, can at least be set up."""

from __future__ import annotations

import subprocess
import sys

from tests.kit.template import ROOT


def test_every_long_test_finds_its_fixtures() -> None:
    planned = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "tests/chaos",
            "tests/e2e",
            "tests/integration/mesh",
            "-m",
            "long or e2e",
            "--setup-plan",
            "-p",
            "no:schemathesis",  # no test uses the plugin, and its import takes a second
            "-q",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert planned.returncode == 0, planned.stdout[-3000:]
