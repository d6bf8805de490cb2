"""The operator's commands on the accounts of several shops."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Literal

import pytest
from click.testing import CliRunner

from infra import cli
from infra.operator import accounts, target
from infra.operator.target import Account, State, Target
from mercato import aws
from mercato.http.audit import AuditTrail
from mercato.store.dynamo import Table


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


@pytest.mark.parametrize("command", ["promote", "demote"])
def test_a_change_of_no_account_is_in_the_audit_with_its_answer(
    command: Literal["promote", "demote"], make_table: Callable[[str], Table], monkeypatch: pytest.MonkeyPatch
) -> None:
    tables = {"users": make_table("UsersTable").name, "audit": make_table("AuditTable").name}
    shop = Target("http://shop", "", "us-east-1", "shop", {"RateLimitsTable": "RateLimitsTable"}, tables)
    monkeypatch.setattr(target, "chosen", lambda: shop)
    told = CliRunner().invoke(cli.main, ["users", command, "nobody@example.com"])
    assert told.output == "Error: There is no account with the address nobody@example.com.\n"
    assert told.exit_code == 1
    entries, _ = AuditTrail(Table("AuditTable")).list_page(limit=10, cursor=None)
    assert [(entry.action, entry.status) for entry in entries] == [
        (f"mercato users {command}", 404),
        (f"mercato users {command}", None),
    ]
