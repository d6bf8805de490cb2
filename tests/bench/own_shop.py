"""A shop for a benchmark: the running one, or a separate one on PORT and CLOUD_PORT or on free ports."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
from rich.console import Console

from infra.local.processes import free_port
from infra.local.up import LocalShop
from infra.operator import target
from infra.operator.target import State

_STATE = "MERCATO_STATE"


@contextmanager
def running_shop(console: Console, *, has_pictures: bool = False) -> Iterator[State]:
    """The shop of `make up` if it runs, else a separate one that runs until the block ends. `has_pictures`: the goods
    of the separate one get their pictures, as those of `make up` do after its start.
    """
    found = find_running()
    if found is not None:
        console.print(f"on the shop that runs at {found.base_url}")
        yield found
        return
    with own_shop(console, LocalShop) as shop:
        found = target.load()
        if has_pictures:
            shop.hang_pictures(found)
        yield found


def find_running() -> State | None:
    """The running shop. A killed shop may have left its state file, so only a shop that answers counts."""
    try:
        found = target.load()
        healthy = httpx.get(f"{found.base_url}/api/health", timeout=30).is_success
    except (target.NoShop, httpx.HTTPError):
        return None
    return found if healthy else None


@contextmanager
def own_shop[S: LocalShop](console: Console, make: Callable[[Console, int, int], S] = LocalShop) -> Iterator[S]:  # type: ignore[assignment]
    """Its state is in a separate file, so that a running shop keeps its own."""
    console.print("opening a shop of its own: a minute or two")
    shop = make(console, _port("PORT"), _port("CLOUD_PORT"))
    before = os.environ.get(_STATE)
    with TemporaryDirectory() as folder:
        os.environ[_STATE] = str(Path(folder) / "state.json")
        try:
            shop.start()
            yield shop
        finally:
            shop.stop()
            if before is None:
                del os.environ[_STATE]
            else:
                os.environ[_STATE] = before


def _port(name: str) -> int:
    return int(os.environ.get(name) or free_port())
