"""The operator's commands on the accounts of several shops."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from infra.operator import accounts
from infra.operator.target import Account, State
from mercato import aws


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    before = dict(os.environ)
    yield
    os.environ.clear()
    os.environ.update(before)
    aws.reset()


def test_a_process_speaks_to_the_shop_that_it_was_last_told_of() -> None:
    nobody = Account("a@example.com", "-")
    for endpoint in ("http://localhost:4001", "http://localhost:4002"):
        shop = State("http://shop", endpoint, "us-east-1", "shop", {}, {}, endpoint, "shop-", nobody, nobody)
        accounts.use_cloud_of(shop)
        assert aws.client("dynamodb").meta.endpoint_url == endpoint
