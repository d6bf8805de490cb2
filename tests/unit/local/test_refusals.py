"""What the operator reads where AWS refuses a command: the reason and what to do, never a traceback."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import botocore.client
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError, NoCredentialsError
from click.testing import CliRunner, Result

from infra import cli
from infra.operator import target
from infra.operator.refusals import explain
from infra.operator.target import Target
from mercato.clock import rfc3339, utc_now

STACK, REGION = "mercato-prod", "eu-west-1"
DENIED = "User: arn:aws:iam::123456789012:user/ada is not authorized to perform: {} because no policy allows it"
TABLES = dict.fromkeys(("users", "audit", "orders", "products", "inventory"), "table")
# All commands that call AWS with the operator's credentials. Others call the shop's API with a token.
COMMANDS = [
    "inventory audit",
    "orders rebuild",
    "orders rebuild-sums",
    "products reindex",
    "users promote ada@example.com",
    "users demote ada@example.com",
    "users rotate-keys",
    "release status",
    "release rollback orders",
    "smoke",
    "trace request-0001",
    "backup {folder}",
    "events replay --to orders --from {begin} --until {end}",
    "doctor",
]


Answer = Callable[[str], dict[str, Any]]


def refusal(code: str, message: str) -> Answer:
    def answer(operation: str) -> dict[str, Any]:
        raise ClientError({"Error": {"Code": code, "Message": message}}, operation)

    return answer


def unreachable(_: str) -> dict[str, Any]:
    raise EndpointConnectionError(endpoint_url="https://aws.test")


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Callable[[Answer], None]:
    """Sets AWS's answer to every call, by its operation."""
    for name, value in {"ACCESS_KEY_ID": "test", "SECRET_ACCESS_KEY": "test", "REGION": REGION}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setattr(target, "choice", target.Choice())

    def set_answer(answer: Answer) -> None:
        monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", lambda _, operation, *__: answer(operation))

    return set_answer


@pytest.fixture
def deployed(monkeypatch: pytest.MonkeyPatch) -> None:
    """A shop whose stack could be read."""
    outputs = {"RateLimitsTable": "table", "KeysFunction": "keys", "ApiUrl": "http://shop.test/api"}
    shop = Target("http://shop.test", "", REGION, STACK, outputs, TABLES)
    monkeypatch.setattr(target, "chosen", lambda: shop)


def run(command: str) -> Result:
    told = CliRunner().invoke(cli.main, ["--stack", STACK, "--region", REGION, *command.split()])
    assert isinstance(told.exception, SystemExit), told.exception
    return told


@pytest.mark.usefixtures("deployed")
@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            refusal("AccessDeniedException", DENIED.format("dynamodb:Scan")),
            "your AWS credentials lack the permission dynamodb:Scan",
        ),
        (
            refusal("ExpiredTokenException", "The security token included in the request is expired"),
            "AWS does not take your credentials any more (ExpiredTokenException)",
        ),
        (refusal("ThrottlingException", "Rate exceeded"), "Rate exceeded"),
        (unreachable, "Could not connect to the endpoint URL"),
    ],
    ids=["denied", "expired", "throttled", "unreachable"],
)
def test_a_command_that_aws_refuses_says_why(
    command: str, answer: Answer, said: str, aws: Callable[[Answer], None], tmp_path: Path
) -> None:
    aws(answer)
    begin, end = (rfc3339(utc_now() - timedelta(hours=hours)) for hours in (2, 1))
    told = run(command.format(folder=tmp_path / "backup", begin=begin, end=end))
    assert told.exit_code in (1, 2)
    assert said in " ".join(told.output.split())


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (NoCredentialsError(), "aws sso login"),
        (ClientError({"Error": {"Code": "AccessDenied", "Message": "no"}}, "Scan"), "the permission Scan"),
        (ClientError({"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "Scan"), "slow down"),
    ],
)
def test_an_error_of_aws_is_told_with_what_to_do(error: Any, said: str) -> None:
    assert said in explain(error)


def test_a_stack_that_does_not_exist_is_told(aws: Callable[[Answer], None]) -> None:
    aws(refusal("ValidationError", f"Stack with id {STACK} does not exist"))
    told = run("inventory audit")
    assert told.exit_code == 2
    assert f"the stack {STACK} cannot be read" in told.output
    assert "does not exist" in told.output


@pytest.mark.parametrize("status", ["CREATE_IN_PROGRESS", "CREATE_FAILED", "ROLLBACK_FAILED"])
def test_a_shop_that_is_half_deployed_is_told_with_its_status(status: str, aws: Callable[[Answer], None]) -> None:
    """CloudFormation has no outputs before the first deploy has ended."""
    aws(lambda _: {"Stacks": [{"StackName": STACK, "StackStatus": status}]})
    told = run("inventory audit")
    assert told.exit_code == 2
    assert f"{STACK} is {status} and has no output ApiUrl" in told.output
    assert "mercato --stack mercato-prod doctor" in told.output


@pytest.mark.usefixtures("deployed")
def test_keys_that_were_not_rotated_are_told_with_the_function_s_answer_once(aws: Callable[[Answer], None]) -> None:
    answer = {"FunctionError": "Unhandled", "Payload": io.BytesIO(b'{"errorMessage": "the secret is gone"}')}
    aws(lambda _: answer)
    told = run("users rotate-keys")
    assert told.output == 'Error: the keys were not rotated: {"errorMessage": "the secret is gone"}\n'
    assert told.exit_code == 1


def test_a_stack_that_is_named_by_its_arn_is_known_by_its_name(aws: Callable[[Answer], None]) -> None:
    """A restore closes the shop by its functions' settings, which have the name."""
    output = {"OutputKey": "ApiUrl", "OutputValue": "https://shop.test/api"}
    aws(lambda _: {"Stacks": [{"StackName": STACK, "StackStatus": "UPDATE_COMPLETE", "Outputs": [output]}]})
    target.choice = target.Choice(f"arn:aws:cloudformation:{REGION}:123456789012:stack/{STACK}/id", REGION)
    assert target.chosen().stack == STACK
