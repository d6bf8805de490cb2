"""A shop for one test module, in which a share of the functions' AWS calls fails."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from rich.console import Console

from infra.local.processes import free_port
from infra.local.up import LocalShop


def faulty_shop(rate: float, home: pytest.TempPathFactory, *, has_mesh: bool = False) -> Iterator[LocalShop]:
    """Runs the shop until the fixture that yields from it ends. The shop's state is in a separate file."""
    os.environ["MERCATO_STATE"] = str(home.mktemp("shop") / "state.json")
    shop = LocalShop(Console(stderr=True), free_port(), free_port(), faults=rate, has_mesh=has_mesh)
    try:
        shop.start()
        yield shop
    finally:
        shop.stop()
        del os.environ["MERCATO_STATE"]
