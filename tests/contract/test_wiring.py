"""Each service makes its parts in one place, wiring.py."""

from __future__ import annotations

import ast
import functools
import importlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.template import ROOT

SERVICES = sorted(path.parent.name for path in (ROOT / "functions").glob("*/template.yaml"))


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("service", SERVICES)
def test_wiring_alone_reads_settings(service: str) -> None:
    """So a test that resets a service's ports also resets everything that was made from an earlier environment."""
    readers = {
        path.name
        for path in (ROOT / "functions" / service).rglob("*.py")
        if any(name == one or name.startswith(f"{one}.") for name in imported(path) for one in ("os", "mercato.config"))
    }
    without_settings = {"rollout"}
    assert readers == (set() if service in without_settings else {"wiring.py"})


@pytest.mark.parametrize("service", SERVICES)
def test_ports_are_made_once_and_each_part_at_its_first_use(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    wiring = importlib.import_module(f"{service}.wiring")
    monkeypatch.setattr("os.environ", {})
    wiring.ports.cache_clear()
    assert wiring.ports() is wiring.ports()
    assert vars(wiring.ports()) == {}
    kept = [part for part in vars(wiring.Ports).values() if isinstance(part, functools.cached_property)]
    assert kept, "ports() keeps nothing"
    wiring.ports.cache_clear()
