"""The `mercato` commands for a running shop, run as a user runs them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from infra.local.up import LocalShop
from infra.paths import ROOT

MERCATO = str(Path(sys.executable).parent / "mercato")


def mercato(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [MERCATO, *arguments],
        cwd=ROOT,
        env=os.environ | {"COLUMNS": "160"},
        capture_output=True,
        text=True,
        timeout=400,
    )


def test_a_shop_that_serves_passes_the_smoke_test(running: LocalShop) -> None:
    told = mercato("smoke")

    assert told.returncode == 0, told.stdout + told.stderr
    assert (told.stdout.count("●"), told.stdout.count("▲")) == (7, 0)


def test_every_story_of_the_demo_ends_as_it_should(running: LocalShop) -> None:
    told = mercato("demo")

    assert told.returncode == 0, told.stdout + told.stderr
    assert "✘" not in told.stdout
    assert "17 of 17 ended as they should." in told.stdout


def test_thirty_real_invoices_leave_balanced_books(running: LocalShop, real_orders: Path, tmp_path: Path) -> None:
    report = tmp_path / "refused.csv"

    replayed = mercato("replay", str(real_orders), "--limit", "30", "--concurrency", "4", "--report", str(report))

    assert replayed.returncode == 0, replayed.stdout + replayed.stderr
    assert report.exists()


def test_without_a_running_shop_the_demo_says_so(tmp_path: Path) -> None:
    told = subprocess.run(
        [MERCATO, "demo"],
        cwd=ROOT,
        env=os.environ | {"MERCATO_STATE": str(tmp_path / "none.json")},
        capture_output=True,
        text=True,
        timeout=60,
    )

    assert told.returncode == 2
    assert "no shop is running" in told.stderr
