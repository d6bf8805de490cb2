"""No update of a deployed shop replaces a resource with data that cannot be restored."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest

from infra.contract import stateful
from infra.contract.stateful import HOLD, held, replaced
from tests.kit.template import resources_of_type

# Intended replacements: the finding, and what the operator does before the deploy.
MEANT: dict[str, str] = {}


def test_an_update_from_the_last_release_replaces_and_deletes_nothing() -> None:
    before = stateful.last_release()
    assert len(before) >= 40
    assert [sentence for sentence in replaced(before, held()) if sentence not in MEANT] == []


def test_everything_that_holds_something_is_looked_at() -> None:
    kinds = {one["type"] for one in held().values()}
    assert {name.rpartition("/")[2] for name, one in held().items() if one["type"] == "AWS::DynamoDB::Table"} == set(
        resources_of_type("AWS::DynamoDB::Table")
    )
    assert {"AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::SecretsManager::Secret"} <= kinds <= HOLD


def test_a_table_with_another_key_is_another_table() -> None:
    now = copy.deepcopy(held())
    now["Orders/OrdersTable"]["fixed"]["KeySchema"][0]["AttributeName"] = "id"
    assert replaced(held(), now) == [
        "Orders/OrdersTable (AWS::DynamoDB::Table) has another KeySchema: the update replaces it by an empty one"
    ]


def test_a_queue_with_another_name_and_a_secret_that_gets_one_are_others() -> None:
    now = copy.deepcopy(held())
    [queue] = [name for name in now if name.endswith("/ParkedQueue")]
    [secret] = [name for name in now if name.endswith("/SigningKeys")]
    now[queue]["fixed"]["QueueName"] = {"Fn::Sub": "${Shop}-waiting"}
    now[secret]["fixed"]["Name"] = "keys"
    assert [sentence.partition(" (")[0] for sentence in replaced(held(), now)] == [queue, secret]


@pytest.mark.parametrize("old", ["Users:", "UsersTable:"])
def test_a_resource_and_a_nested_stack_by_another_logical_id_are_others(tmp_path: Path, old: str) -> None:
    (tmp_path / "root.yaml").write_text(
        "Resources:\n  Users: {Type: AWS::Serverless::Application, Properties: {Location: users.yaml}}\n"
    )
    (tmp_path / "users.yaml").write_text("Resources:\n  UsersTable: {Type: AWS::DynamoDB::Table}\n")
    before = held(tmp_path / "root.yaml")
    for path in tmp_path.iterdir():
        path.write_text(path.read_text().replace(f"  {old}", f"  New{old}"))
    assert replaced(before, held(tmp_path / "root.yaml")) == [
        "Users/UsersTable (AWS::DynamoDB::Table) is not there any more: the update deletes it"
    ]
    assert replaced({}, before) == []
