"""Which version is live, and where a rollback or a share leads."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner
from moto import mock_aws

from infra import cli
from infra.operator import releases, target
from infra.operator.releases import Function, Version
from infra.operator.target import Target
from infra.trouble import Trouble

STACK, REGION = "mercato-prod", "eu-west-1"


def function(name: str, published: str, live: int, beside: dict[int, float] | None = None) -> Function:
    """`published` has a letter for the release of each version, in the order of publication."""
    versions = tuple(Version(n + 1, text, f"2026-01-01T00:00:{ord(text):03}") for n, text in enumerate(published))
    return Function(name, name.partition("-")[0], versions, versions[live - 1], beside or {}, "revision")


def moved(moves: list[releases.Move]) -> dict[str, tuple[int, int | None, float]]:
    return {
        move.function.name: (move.live.number, move.beside.number if move.beside else None, move.share)
        for move in moves
    }


def test_a_service_goes_back_to_the_release_before_the_live_one() -> None:
    functions = [function("orders-api", "abc", 3), function("orders-saga", "abc", 3), function("carts-api", "xy", 2)]
    assert moved(releases.to_the_version_before(functions)) == {
        "orders-api": (2, None, 0),
        "orders-saga": (2, None, 0),
        "carts-api": (1, None, 0),
    }


def test_a_second_rollback_goes_back_one_release_more() -> None:
    assert moved(releases.to_the_version_before([function("orders-api", "abc", 2)])) == {"orders-api": (1, None, 0)}


def test_a_function_that_is_new_in_the_live_release_stays() -> None:
    functions = [function("orders-api", "ab", 2), function("orders-new", "b", 1)]
    assert moved(releases.to_the_version_before(functions)) == {"orders-api": (1, None, 0)}


def test_a_function_that_has_not_been_moved_with_the_others_goes_to_the_same_release_as_they() -> None:
    """The next rollback completes one whose process ended half-way."""
    functions = [function("orders-api", "abc", 3), function("orders-saga", "abc", 2)]
    assert moved(releases.to_the_version_before(functions)) == {"orders-api": (2, None, 0)}


def test_where_a_new_version_has_a_share_that_share_ends_and_no_more() -> None:
    functions = [function("orders-api", "abc", 2, {3: 0.1}), function("orders-saga", "abc", 2)]
    assert moved(releases.to_the_version_before(functions)) == {"orders-api": (2, None, 0)}


def test_a_first_release_has_none_before_it() -> None:
    with pytest.raises(Trouble, match="orders has no release before"):
        releases.to_the_version_before([function("orders-api", "a", 1)])


@pytest.mark.parametrize(
    ("live", "beside", "percent", "wanted"),
    [
        (1, {}, 10, (1, 2, 0.1)),
        (1, {2: 0.1}, 50, (1, 2, 0.5)),
        (1, {2: 0.5}, 100, (2, None, 0)),
        (1, {2: 0.1}, 0, (1, None, 0)),
        (1, {}, 100, (2, None, 0)),
    ],
)
def test_the_newest_version_gets_the_share(
    live: int, beside: dict[int, float], percent: int, wanted: tuple[int, int | None, float]
) -> None:
    assert moved(releases.to_share([function("orders-api", "ab", live, beside)], percent)) == {"orders-api": wanted}


def test_a_version_that_is_live_already_gets_no_share() -> None:
    with pytest.raises(Trouble, match="orders are live already"):
        releases.to_share([function("orders-api", "ab", 2)], 10)


@pytest.fixture
def shop(monkeypatch: pytest.MonkeyPatch) -> Iterator[Target]:
    """Two services with two releases each, of which the newer one is live."""
    with mock_aws():
        role = boto3.client("iam", REGION).create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
        boto3.client("cloudformation", REGION).create_stack(
            StackName=STACK,
            TemplateBody='{"Resources": {"T": {"Type": "AWS::SNS::Topic"}}, "Outputs": {"ApiUrl": {"Value": "x/api"}}}',
        )
        for service in ("orders", "carts"):
            _publish(f"{STACK}-{service}-api", service, role)
        _publish("another-shop-orders-api", "orders", role)
        _publish(f"{STACK}-eu-orders-api", "orders", role)  # of the shop mercato-prod-eu
        target._client.cache_clear()
        monkeypatch.setattr(target, "choice", target.Choice(STACK, REGION))
        yield target.chosen()
    target._client.cache_clear()


def _publish(name: str, service: str, role: str) -> None:
    functions = boto3.client("lambda", REGION)
    for release in ("one", "two"):
        packed = io.BytesIO()
        with zipfile.ZipFile(packed, "w") as archive:
            archive.writestr("app.py", release)
        settings: Any = {
            "Variables": {
                "POWERTOOLS_SERVICE_NAME": service,
                "RELEASE": release,
                "METRICS_NAMESPACE": f"Mercato/{name.removesuffix(f'-{service}-api')}",
            }
        }
        if release == "one":
            functions.create_function(
                FunctionName=name,
                Runtime="python3.13",
                Role=role,
                Handler="app.handler",
                Code={"ZipFile": packed.getvalue()},
                Environment=settings,
            )
        else:
            functions.update_function_configuration(FunctionName=name, Environment=settings)
            functions.update_function_code(FunctionName=name, ZipFile=packed.getvalue())
        functions.publish_version(FunctionName=name)
    functions.create_alias(FunctionName=name, Name="live", FunctionVersion="2")


def alias(name: str) -> Any:
    return boto3.client("lambda", REGION).get_alias(FunctionName=f"{STACK}-{name}", Name="live")


def run(*arguments: str) -> Any:
    return CliRunner().invoke(cli.main, ["--stack", STACK, "--region", REGION, "release", *arguments])


def test_a_rollback_moves_the_named_service_and_no_other(shop: Target) -> None:
    told = run("rollback", "orders")
    assert told.exit_code == 0, told.output
    assert told.output == "orders-api: 2 → 1\n"
    assert alias("orders-api")["FunctionVersion"] == "1"
    assert alias("carts-api")["FunctionVersion"] == "2"


def test_all_services_go_back_at_once_by_a_word(shop: Target) -> None:
    assert run("rollback", "all").exit_code == 0
    assert (alias("orders-api")["FunctionVersion"], alias("carts-api")["FunctionVersion"]) == ("1", "1")
    assert alias("eu-orders-api")["FunctionVersion"] == "2"
    again = run("rollback", "all")
    assert again.exit_code == 1
    assert "no release before the live one" in again.output


def test_a_rollback_names_what_it_takes_back(shop: Target) -> None:
    assert run("rollback").exit_code == 2


def test_an_unknown_service_is_told_with_those_that_there_are(shop: Target) -> None:
    told = run("rollback", "order")
    assert told.exit_code == 1
    assert "no service order. It has carts, orders." in told.output


def test_the_status_shows_the_live_release_of_each_function(shop: Target) -> None:
    told = run("status")
    assert told.exit_code == 0, told.output
    assert told.output.count("two") == 2
    assert "another-shop" not in told.output


def test_an_alias_that_was_changed_in_between_is_left_alone(shop: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    refused = _refusing("PreconditionFailedException")
    monkeypatch.setattr(target, "client", lambda _, service: refused if service == "lambda" else None)
    with pytest.raises(Trouble, match="changed by someone else"):
        list(releases.make(shop, [releases.Move(function("orders-api", "ab", 2), Version(1, "a", ""))]))


def _refusing(code: str) -> Any:
    from botocore.stub import Stubber

    functions = boto3.session.Session().client("lambda", REGION)
    stub = Stubber(functions)
    stub.add_client_error("update_alias", code)
    stub.activate()
    return functions


class UnderWay:
    def __init__(self, status: str = "UPDATE_IN_PROGRESS") -> None:
        self.status = status

    def describe_stacks(self, StackName: str) -> Any:  # noqa: N803
        return {"Stacks": [{"StackName": StackName, "StackStatus": self.status}]}


@pytest.mark.parametrize(
    ("status", "remedy"),
    [
        ("UPDATE_IN_PROGRESS", "cancel-update-stack --stack-name mercato-prod"),
        ("UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", "Wait until it has ended"),  # CloudFormation cancels none of these
        ("UPDATE_ROLLBACK_IN_PROGRESS", "Wait until it has ended"),
        ("CREATE_IN_PROGRESS", "Wait until it has ended"),
    ],
)
def test_nothing_is_moved_during_a_deploy(
    shop: Target, monkeypatch: pytest.MonkeyPatch, status: str, remedy: str
) -> None:
    real = target.client
    monkeypatch.setattr(
        target, "client", lambda shop, name: UnderWay(status) if name == "cloudformation" else real(shop, name)
    )
    told = run("rollback", "orders")
    assert told.exit_code == 1
    assert remedy in told.output
    assert ("cancel-update-stack" in told.output) == (status == "UPDATE_IN_PROGRESS")
    assert alias("orders-api")["FunctionVersion"] == "2"


def test_the_services_of_one_deploy_are_those_with_a_live_release_since_it_began() -> None:
    def at(name: str, *published: str) -> Function:
        versions = tuple(
            Version(n + 1, f"release {time}", f"2026-01-01T{time}.000+0000") for n, time in enumerate(published)
        )  # in Lambda's format
        return Function(name, name.partition("-")[0], versions, versions[-1], {}, "revision")

    functions = [
        at("orders-api", "08:00:00", "12:00:05"),
        at("orders-saga", "08:00:00"),  # the deploy did not publish it, and its service goes back as a whole
        at("carts-api", "08:00:00", "11:59:59"),
        at("gifts-api", "12:00:06"),  # a new service has no release to go back to
    ]
    found = releases.published_since(functions, datetime(2026, 1, 1, 12, 0, 5, tzinfo=UTC))
    assert [one.name for one in found] == ["orders-api", "orders-saga"]


def test_a_rollback_since_a_deploy_that_published_nothing_moves_nothing(shop: Target) -> None:
    nothing = "unchanged: no service has a live release since 2999-01-01T00:00:00Z and one before it\n"
    told = run("rollback", "all", "--since", "2999-01-01T00:00:00Z")
    assert (told.exit_code, told.output) == (0, nothing)
    assert alias("orders-api")["FunctionVersion"] == "2"
    assert run("rollback", "all", "--since", "2020-01-01T00:00:00Z").exit_code == 0
    assert alias("orders-api")["FunctionVersion"] == "1"


def test_a_moment_of_another_form_is_refused(shop: Target) -> None:
    assert run("rollback", "all", "--since", "yesterday").exit_code == 2


def _codedeploy(applications: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """A deploy of the stack, with running deployments of CodeDeploy, by id, each of an application. botocore checks
    every call.
    """
    from botocore.stub import Stubber

    codedeploy = boto3.session.Session().client("codedeploy", REGION)
    stub = Stubber(codedeploy)
    stub.add_response(
        "list_deployments", {"deployments": list(applications)}, {"includeOnlyStatuses": releases._RUNNING}
    )
    about = {"status": "InProgress", "createTime": datetime(2026, 11, 29, 8, 30, tzinfo=UTC)}
    described = [{"deploymentId": one, "applicationName": name} | about for one, name in applications.items()]
    if applications:
        stub.add_response(
            "batch_get_deployments", {"deploymentsInfo": described}, {"deploymentIds": list(applications)}
        )
    stub.activate()
    real, ours = target.client, {"codedeploy": codedeploy, "cloudformation": UnderWay()}
    monkeypatch.setattr(target, "client", lambda shop, name: ours.get(name) or real(shop, name))
    return stub


_APPLICATION = "ServerlessDeploymentApplication-ABC"
_OTHERS = {
    "d-2": f"{STACK}-Carts-XYZ-{_APPLICATION}",
    "d-3": f"{STACK}-two-Orders-XYZ-{_APPLICATION}",
    "d-4": "another-application",
}


def test_the_status_names_the_deployments_that_run(shop: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    stub = _codedeploy({"d-1": f"{STACK}-Orders-XYZ-{_APPLICATION}"} | _OTHERS, monkeypatch)
    told = run("status", "orders")
    assert told.exit_code == 0, told.output
    assert told.output.endswith("CodeDeploy moves calls of orders: d-1 is InProgress since 08:30:00 UTC\n")
    stub.assert_no_pending_responses()


def test_deployments_that_may_not_be_read_are_told_after_the_versions(
    shop: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(shop: Target, services: object) -> list[releases.Deployment]:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "ListDeployments")

    monkeypatch.setattr(releases, "running_deployments", refused)
    told = run("status", "orders")
    assert told.exit_code == 1
    assert "orders-api" in told.output
    assert "lack the permission ListDeployments" in told.output


@pytest.mark.parametrize("ended", [False, True])
def test_a_rollback_stops_the_deployments_of_its_service_and_moves_no_alias(
    ended: bool, shop: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = _codedeploy({"d-1": f"{STACK}-Orders-XYZ-{_APPLICATION}"} | _OTHERS, monkeypatch)
    if ended:
        stub.add_client_error("stop_deployment", "DeploymentAlreadyCompletedException")
    else:
        stub.add_response(
            "stop_deployment", {"status": "Pending"}, {"deploymentId": "d-1", "autoRollbackEnabled": True}
        )
    told = run("rollback", "orders")
    assert told.exit_code == 0, told.output
    assert "stopped: CodeDeploy's deployment d-1\n" in told.output
    assert alias("orders-api")["FunctionVersion"] == "2"
    stub.assert_no_pending_responses()


@pytest.mark.parametrize("others", [{}, _OTHERS])
def test_deployments_of_other_services_and_shops_are_left_alone(
    others: dict[str, str], shop: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    stub = _codedeploy(others, monkeypatch)
    told = run("rollback", "orders")
    assert told.exit_code == 1
    assert "cancel-update-stack" in told.output
    assert alias("orders-api")["FunctionVersion"] == "2"
    stub.assert_no_pending_responses()


def test_a_deployment_that_cannot_be_stopped_is_told(shop: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    stub = _codedeploy({"d-1": f"{STACK}-Orders-XYZ-{_APPLICATION}"}, monkeypatch)
    stub.add_client_error("stop_deployment", "AccessDeniedException")
    told = run("rollback", "orders")
    assert told.exit_code == 1
    assert "not all stopped" in told.output
    assert alias("orders-api")["FunctionVersion"] == "2"
