"""Which shop a benchmark uses."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.local.processes import free_port
from infra.operator import target
from infra.operator.target import Account, State
from tests.bench.own_shop import find_running


def test_without_a_shop_there_is_none_to_take(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MERCATO_STATE", str(tmp_path / "state.json"))

    assert find_running() is None


def test_what_a_killed_shop_left_behind_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MERCATO_STATE", str(tmp_path / "state.json"))
    url, nobody = f"http://127.0.0.1:{free_port()}", Account("a@example.com", "-")
    target.save(State(url, url, "us-east-1", "mercato", {}, {}, url, "mercato-", nobody, nobody))

    assert find_running() is None
