"""Fixtures that every suite shares."""

from __future__ import annotations

import functools
import gc
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from moto import mock_aws

from mercato import aws
from mercato.breaker import shared
from mercato.http import guard
from mercato.store.dynamo import Table
from tests.kit import fast_moto
from tests.kit.template import create_table

# Every run has the same examples, so that only a change can break it. `make explore` tries other examples. There is no
# deadline, because an example's duration depends more on the machine than on the code.
settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("explore", settings.get_profile("same"), derandomize=False, max_examples=1000)
settings.load_profile("same")

NOON = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def pytest_collection() -> None:
    gc.disable()


def pytest_collection_finish() -> None:
    """Collects garbage again, but seldom, and not in the modules and tests, which stay until the end of the run."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def fit_for_many_tests() -> Iterator[None]:
    with fast_moto.patched():
        yield


@pytest.fixture
def noon() -> datetime:
    return NOON


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty AWS account in this process (moto). No call can reach a real account."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_SESSION_TOKEN": "testing",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_REGION": "us-east-1",
    }.items():
        monkeypatch.setenv(name, value)
    for name in ("AWS_ENDPOINT_URL", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    forget_the_sandbox()
    with mock_aws():
        yield
    forget_the_sandbox()


def forget_the_sandbox() -> None:
    """Removes the clients, circuits, limits and services' parts that a sandbox keeps between invocations."""
    aws.reset()
    shared.reset()
    guard.configured.cache_clear()
    for module in wirings(len(sys.modules)):
        module.ports.cache_clear()


@functools.lru_cache(maxsize=1)
def wirings(_imported: int) -> list[Any]:
    """The modules that wire services. Searched again only after an import, because there are thousands of modules."""
    return [module for name, module in list(sys.modules.items()) if name.endswith(".wiring")]


@pytest.fixture
def make_table(cloud: None) -> Callable[[str], Table]:
    """Creates a table as template.yaml defines it: `make_table("OrdersTable")`. Its name is the logical id."""

    def make(logical_id: str) -> Table:
        create_table(logical_id)
        return Table(logical_id, sleep=lambda _: None)

    return make
