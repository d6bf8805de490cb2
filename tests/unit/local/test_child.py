"""A program beside the shop: it answers, or its last output is printed, and it ends with the shop."""

from __future__ import annotations

import os
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from infra.local import cloud
from infra.local.child import Child
from infra.local.cloud import Cloud
from infra.local.processes import free_port, is_free
from infra.local.up import LocalShop
from infra.trouble import Trouble

HERE = {**os.environ, "PYTHONUNBUFFERED": "1"}


@pytest.fixture
def server(tmp_path: Path) -> Child:
    return Child("the server", "http.server", tmp_path / "server.pid", tmp_path / "server.log")


def asking(port: int) -> bool:
    return httpx.get(f"http://127.0.0.1:{port}/", timeout=2).status_code == 200


def test_it_has_started_when_it_answers_and_is_gone_when_it_is_stopped(server: Child, tmp_path: Path) -> None:
    port = free_port()
    server.start(str(port), env=HERE, answers=lambda: asking(port))
    assert (tmp_path / "server.pid").exists()
    server.require_running()

    server.stop()

    assert is_free(port)
    assert not (tmp_path / "server.pid").exists()
    with pytest.raises(Trouble, match="the server has ended by itself"):
        server.require_running()


def test_one_that_ends_at_once_tells_why_in_its_own_words(server: Child) -> None:
    with pytest.raises(Trouble, match="the server has ended by itself") as trouble:
        server.start("no-port", env=HERE, answers=lambda: False)
    assert "invalid int value: 'no-port'" in trouble.value.remedy
    assert str(server.log) in trouble.value.remedy


def test_one_that_never_answers_is_told_so_and_can_be_stopped(server: Child) -> None:
    port = free_port()
    with pytest.raises(Trouble, match="the server did not start"):
        server.start(str(port), env=HERE, answers=lambda: False, within=0.3)
    server.stop()
    assert is_free(port)


def test_one_that_was_never_started_leaves_the_pid_file_of_another_alone(server: Child, tmp_path: Path) -> None:
    (tmp_path / "server.pid").write_text("1 1")
    server.stop()
    assert (tmp_path / "server.pid").exists()


def test_a_cloud_that_was_never_started_leaves_the_files_of_the_one_on_its_port_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second shop on a used port ends. The first one's functions run from these files."""
    monkeypatch.setattr(cloud, "HOME", tmp_path)
    running = tmp_path / "cloud-4566" / "tmp" / "function"
    running.mkdir(parents=True)
    assert Cloud(4566).stop() is False
    assert running.exists()


def test_a_shop_that_never_opened_leaves_the_state_of_the_one_on_its_port_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MERCATO_STATE", str(tmp_path / "state.json"))
    (tmp_path / "state.json").write_text('{"endpoint": "http://localhost:4566"}')
    LocalShop(Console(quiet=True), 3000, 4566).stop()
    assert (tmp_path / "state.json").exists()
