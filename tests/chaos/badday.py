"""A shop of a test's own whose functions may have a bad day: a share of all their AWS calls fails."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from rich.console import Console

from infra.local.processes import free_port
from infra.local.up import LocalShop


def faulty_shop(rate: float, home: pytest.TempPathFactory) -> Iterator[LocalShop]:
    """The body of a fixture: it runs until the fixture ends. Its state goes to a file of its own."""
    os.environ["MERCATO_STATE"] = str(home.mktemp("shop") / "state.json")
    shop = LocalShop(Console(stderr=True), free_port(), free_port(), faults=rate)
    try:
        shop.start()
        yield shop
    finally:
        shop.stop()
        del os.environ["MERCATO_STATE"]
