"""Deploys the shop to the local cloud once for all tests of this folder, on free ports."""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from infra.local.processes import free_port
from infra.local.up import LocalShop
from infra.operator import target
from infra.operator.client import Session, Shop
from infra.operator.target import State
from tests.e2e.canaries import Canaries, collected
from tests.kit.real_orders import ABSENT, FILE


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Orders the tests by marker.

    `first` tests start slow work. `last` tests check the whole run, so they run late. `spoiling` tests damage the shop,
    so they run at the very end.
    """

    def place(item: pytest.Item) -> list[bool]:
        has = {name: item.get_closest_marker(name) is not None for name in ("spoiling", "last", "first")}
        return [has["spoiling"], has["last"], not has["first"]]

    items.sort(key=place)


@pytest.fixture(scope="session")
def front_log() -> list[str]:
    """The requests that the reverse proxy has served, as text."""
    return []


@pytest.fixture(scope="session", autouse=True)
def canaries() -> Iterator[Canaries]:
    """All passwords and tokens that the tests use."""
    found = Canaries()
    with collected(found):
        yield found


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory, front_log: list[str]) -> Iterator[LocalShop]:
    """The running shop. Its state file is separate, so that another running shop keeps its own."""
    path = tmp_path_factory.mktemp("shop") / "state.json"
    os.environ["MERCATO_STATE"] = str(path)
    shop = LocalShop(
        Console(stderr=True), free_port(), free_port(), on_request=lambda served: front_log.append(repr(served))
    )
    try:
        shop.start()
        yield shop
    finally:
        shop.stop()
        del os.environ["MERCATO_STATE"]


@pytest.fixture(scope="session")
def shop_state(running: LocalShop) -> State:
    return target.load()


@pytest.fixture(scope="session")
def shop(shop_state: State) -> Iterator[Shop]:
    client = Shop(shop_state.base_url)
    yield client
    client.close()


@pytest.fixture(scope="session")
def admin(shop: Shop, shop_state: State) -> Session:
    return shop.login(shop_state.admin.email, shop_state.admin.password)


@pytest.fixture
def customer(shop: Shop) -> Session:
    """A customer that no other test uses."""
    return shop.join(f"{uuid.uuid4()}@example.com", "correct horse battery", "Test Customer")


@pytest.fixture(scope="session")
def real_orders() -> Path:
    if not FILE.exists():
        pytest.skip(ABSENT)
    return FILE
