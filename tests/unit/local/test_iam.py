"""`mercato iam`: permissions that are granted, used and explained."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from rich.console import Console

from infra import cli
from infra.local.iam import command
from infra.local.iam.command import explanations, tell
from infra.local.iam.grants import Deployed, _permissions, read_used
from infra.local.iam.recording import noting
from infra.local.iam.report import Explanation, Permission, compare
from infra.operator import target
from infra.trouble import Trouble

TABLE = "arn:aws:dynamodb:us-east-1:000000000000:table/mercato-UsersTable"
GET = Permission("UsersApi", "dynamodb:GetItem", TABLE)
PUT = Permission("UsersApi", "dynamodb:PutItem", TABLE)
WHY = Explanation((), ("dynamodb:PutItem",), "", "a cold path")


def test_what_is_used_needs_no_word() -> None:
    report = compare([GET], [GET], [])

    assert (report.granted, report.unused, report.is_fine) == (1, [], True)


def test_what_is_neither_used_nor_explained_is_too_much() -> None:
    report = compare([GET, PUT], [GET], [])

    assert report.unexplained == [PUT]
    assert not report.is_fine


def test_what_is_explained_may_stay() -> None:
    report = compare([GET, PUT], [GET], [WHY])

    assert [(verdict.permission, verdict.why) for verdict in report.unused] == [(PUT, "a cold path")]
    assert report.is_fine


def test_another_functions_use_counts_for_nothing() -> None:
    used = Permission("OrdersApi", "dynamodb:PutItem", TABLE)

    assert compare([PUT], [used], []).unexplained == [PUT]


def test_a_pattern_is_used_by_what_it_matches() -> None:
    granted = Permission("OpsApi", "sqs:SendMessage", "arn:aws:sqs:us-east-1:0:mercato-*")

    assert compare(
        [granted], [Permission("OpsApi", "sqs:SendMessage", "arn:aws:sqs:us-east-1:0:mercato-x")], []
    ).is_fine
    assert not compare(
        [granted], [Permission("OpsApi", "sqs:SendMessage", "arn:aws:sqs:us-east-1:0:other")], []
    ).is_fine


def test_the_same_action_on_two_tables_is_two_permissions() -> None:
    other = Permission("UsersApi", "dynamodb:PutItem", TABLE + "2")

    assert compare([PUT, other], [PUT], []).unexplained == [other]


@pytest.mark.parametrize(
    "explanation",
    [
        Explanation((), ("dynamodb:Query",), "", "why"),
        Explanation(("OrdersApi",), ("dynamodb:PutItem",), "", "why"),
        Explanation((), ("dynamodb:PutItem",), "OrdersTable", "why"),
    ],
)
def test_an_explanation_of_what_is_not_granted_is_stale(explanation: Explanation) -> None:
    report = compare([PUT], [PUT], [explanation])

    assert report.stale == [explanation]
    assert not report.is_fine


def test_an_explanation_may_name_its_functions_by_a_pattern() -> None:
    consumers = Explanation(("*Consumer",), ("dynamodb:PutItem",), "", "why")
    granted = [Permission(function, "dynamodb:PutItem", TABLE) for function in ("OrdersConsumer", "OrdersApi")]

    assert compare(granted, [], [consumers]).unexplained == [granted[1]]


@pytest.mark.parametrize(
    "entry",
    [
        {"actions": ["x"]},
        {"why": "because"},
        {"actions": [], "why": "x"},
        {"actions": ["x"], "why": "x", "functoins": []},
        {"actions": ["x"], "why": "x", "mesh": "sometimes"},
    ],
)
def test_an_entry_that_makes_no_sense_is_named(entry: dict[str, Any]) -> None:
    with pytest.raises(Trouble, match="makes no sense"):
        Explanation.read(entry)


@pytest.mark.parametrize("has_mesh", [False, True])
def test_the_committed_explanations_can_be_read_and_say_why(has_mesh: bool) -> None:
    found = explanations(has_mesh=has_mesh)
    assert {one.mesh for one in found} == {None, has_mesh}
    for explanation in found:
        assert len(explanation.why) > 20, explanation


def test_a_policy_is_every_action_on_every_resource_that_it_allows() -> None:
    document = {
        "Statement": [
            {"Effect": "Allow", "Action": ["a:X", "a:Y"], "Resource": ["r1", "r2"]},
            {"Effect": "Deny", "Action": "a:Z", "Resource": "*"},
        ]
    }

    found = {(one.action, one.resource) for one in _permissions("F", json.dumps(document))}

    assert found == {("a:X", "r1"), ("a:X", "r2"), ("a:Y", "r1"), ("a:Y", "r2")}


def context(principal: str, action: str = "dynamodb:PutItem") -> Any:
    return SimpleNamespace(principal_arn=principal, action=action, resource_arn=TABLE)


ROLE = "arn:aws:sts::000000000000:assumed-role/users-role/mercato-UsersApi"


def test_what_a_role_was_allowed_is_noted_once_and_given_to_its_function(tmp_path: Path) -> None:
    file = tmp_path / "used.jsonl"
    decide = noting(lambda context, policies, *limits: SimpleNamespace(decision=policies), file)

    assert decide(context(ROLE), "Allow").decision == "Allow"
    decide(context(ROLE), "Allow")
    decide(context(ROLE, "dynamodb:Scan"), "Deny")
    decide(context("arn:aws:iam::000000000000:user/test"), "Allow")

    assert len(file.read_text().splitlines()) == 1
    assert list(read_used(file, {"users-role": "UsersApi"})) == [PUT]
    assert list(read_used(file, {"other-role": "OrdersApi"})) == []


def test_the_table_names_the_unexplained_and_counts_the_rest() -> None:
    console = Console(file=io.StringIO(), width=200)

    tell(console, compare([GET, PUT], [], [WHY]), everything=False)

    told = console.file.getvalue()  # type: ignore[attr-defined]
    assert "dynamodb:GetItem" in told
    assert "a cold path" not in told
    assert "2 permissions: 0 used, 1 unused and explained, 1 unexplained" in told


def test_a_cloud_that_records_no_permissions_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class Unrecorded(Deployed):
        def __init__(self, _: Any) -> None:
            self._cloud: Any = SimpleNamespace(used_permissions=tmp_path / "none")

        def granted(self) -> Iterator[Permission]:
            return iter(())

    nobody = target.Account("a@example.com", "-")
    shop = target.State("http://shop", "http://cloud", "r", "shop", {}, {}, "http://cloud", "shop-", nobody, nobody)
    monkeypatch.setattr(target, "load", lambda: shop)
    monkeypatch.setattr(command, "Deployed", Unrecorded)
    told = CliRunner().invoke(cli.main, ["iam"])
    assert told.output == "Error: no used permissions are recorded\nOnly the cloud of `mercato up` records them.\n"
    assert told.exit_code == 1
