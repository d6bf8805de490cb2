"""How CodeDeploy moves the calls to new versions: which functions, by which alarm, and with which smoke test."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from typing import Any

import boto3
import pytest

from infra import templates
from mercato.events.consumer import Consumer
from mercato.http import App
from mercato.invocation.tasks import Tasks
from rollout import questions
from tests.contract.test_stacks import SERVICES, expanded
from tests.kit import template
from tests.kit.template import MAIN, ROOT, load_template, resources_of_type

FUNCTIONS = resources_of_type("AWS::Serverless::Function")
# A schedule's run cannot be shared out, and a smoke test would be one more run. The test itself tests nothing.
AT_ONCE = {name for name, found in FUNCTIONS.items() if "Events" in found["Properties"]} | {"RolloutSmoke"}
SHIFTED = sorted(FUNCTIONS.keys() - AT_ONCE)
OF_TEMPLATE = {path: sorted(templates.read(ROOT / path)["Resources"].keys() & set(SHIFTED)) for path in SERVICES}


def of_kind(path: str, kind: str, shift: str = "Canary10Percent5Minutes") -> dict[str, Any]:
    return {name: found for name, found in expanded(path, shift).items() if found["Type"] == kind}


def test_the_functions_that_move_at_once_are_those_of_schedules() -> None:
    assert {
        "CartsSweeper",
        "InventorySweeper",
        "MeshIssuer",
        "OpsProber",
        "PaymentsReconciler",
        "PromotionsSweeper",
        "RelaySweeper",
        "RolloutSmoke",
        "ShippingReconciler",
        "UsersKeys",
    } == AT_ONCE


@pytest.mark.parametrize("path", SERVICES)
def test_codedeploy_moves_each_alias_after_the_smoke_test_and_back_by_the_alarm_of_new_versions(path: str) -> None:
    groups = of_kind(path, "AWS::CodeDeploy::DeploymentGroup")
    alarms = of_kind(path, "AWS::CloudWatch::Alarm")
    aliases = of_kind(path, "AWS::Lambda::Alias")
    moved = {name.removesuffix("Aliaslive"): found for name, found in aliases.items() if "UpdatePolicy" in found}

    assert sorted(moved) == OF_TEMPLATE[path]
    for name, alias in moved.items():
        update = alias["UpdatePolicy"]["CodeDeployLambdaAliasUpdate"]
        assert update["BeforeAllowTrafficHook"] == {"Ref": "SmokeTest"}
        group = groups[update["DeploymentGroupName"]["Ref"]]["Properties"]
        assert group["DeploymentConfigName"]["Fn::Sub"][1] == {"ConfigName": "Canary10Percent5Minutes"}
        assert group["ServiceRoleArn"] == {"Ref": "CodeDeployRole"}
        assert "DEPLOYMENT_STOP_ON_ALARM" in group["AutoRollbackConfiguration"]["Events"]
        condition, watched, otherwise = group["AlarmConfiguration"]["Fn::If"]
        assert (condition, watched["Enabled"], otherwise) == ("HasCodeDeploy", True, {})
        [alarm] = [alarms[one["Name"]["Ref"]] for one in watched["Alarms"]]
        assert alarm["Condition"] == "HasCodeDeploy"
        assert ("Failures", name) in set(watched_by(path, alarm["Properties"])), name


def watched_by(path: str, alarm: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """The metrics that the alarm adds up, each with the function whose new version it is of."""
    whole, *parts = alarm["Metrics"]
    added = re.findall(r"FILL\((\w+), 0\)", whole["Expression"])
    assert added == [part["Id"] for part in parts]
    assert len(parts) <= 10, "CloudWatch takes no more in an alarm"
    versions = of_kind(path, "AWS::Lambda::Version")
    for part in parts:
        metric = part["MetricStat"]["Metric"]
        dimensions = {one["Name"]: one["Value"] for one in metric["Dimensions"]}
        if metric["MetricName"] == "Errors":
            names = {"FunctionName", "Resource", "ExecutedVersion"}
            function, version = dimensions["FunctionName"]["Ref"], dimensions["ExecutedVersion"]
            assert dimensions["Resource"] == {"Fn::Sub": f"${{{function}}}:live"}
        else:
            assert metric["Namespace"] == {"Fn::Sub": "Mercato/${Shop}"}
            names, function, version = {"function", "version"}, dimensions["function"]["Ref"], dimensions["version"]
        assert dimensions.keys() == names
        logical, attribute = version["Fn::GetAtt"]
        assert (versions[logical]["Properties"]["FunctionName"], attribute) == ({"Ref": function}, "Version")
        assert (part["ReturnData"], part["MetricStat"]["Stat"]) == (False, "Sum")
        yield metric["MetricName"], function


@pytest.mark.parametrize("path", SERVICES)
def test_lambdas_errors_count_where_they_are_no_refusals(path: str) -> None:
    """The saga's functions and the authorizer raise to refuse; each other one is watched by both metrics."""
    alarms = [found["Properties"] for found in of_kind(path, "AWS::CloudWatch::Alarm").values()]
    watched = [one for alarm in alarms if "Metrics" in alarm for one in watched_by(path, alarm)]
    by_errors = [name for name in OF_TEMPLATE[path] if name != "Authorizer" and not name.endswith("Saga")]
    wanted = [("Errors", name) for name in by_errors] + [("Failures", name) for name in OF_TEMPLATE[path]]
    assert sorted(watched) == sorted(wanted)


@pytest.mark.parametrize("path", SERVICES)
def test_without_codedeploy_cloudformation_moves_the_aliases_and_nothing_else_changes(path: str) -> None:
    with_it, without = expanded(path), expanded(path, "none")
    more = with_it.keys() - without.keys()
    assert without.keys() <= with_it.keys()
    assert more == set(of_kind(path, "AWS::CodeDeploy::DeploymentGroup")) | set(
        of_kind(path, "AWS::CodeDeploy::Application")
    )
    assert [name for name, found in without.items() if "UpdatePolicy" in found] == []
    for name, found in without.items():
        assert {key: value for key, value in with_it[name].items() if key != "UpdatePolicy"} == found, name


def test_locally_there_is_no_codedeploy_and_dev_and_prod_say_how_they_shift() -> None:
    found = templates.read(ROOT / MAIN)
    assert found["Parameters"]["TrafficShift"]["Default"] == "none"
    config = (ROOT / "samconfig.toml").read_text()
    assert re.findall(r'"TrafficShift=(\w+)"', config) == ["AllAtOnce", "Canary10Percent5Minutes"]
    handed_in = found["Resources"]["Relay"]["Properties"]["Parameters"]
    assert handed_in["CodeDeploy"] == {"Fn::If": ["ShiftsTraffic", "true", "false"]}


def test_the_question_for_each_function_is_one_of_its_kind() -> None:
    kinds = {App: questions.HEALTH, Consumer: questions.BATCH, Tasks: questions.TASK}
    for name in SHIFTED:
        module = importlib.import_module(FUNCTIONS[name]["Properties"]["Handler"].rpartition(".")[0])
        asked = questions.question_for(FUNCTIONS[name]["Properties"]["FunctionName"]["Fn::Sub"])
        own = [question for kind, question in kinds.items() if any(isinstance(v, kind) for v in vars(module).values())]
        expected = {
            "Authorizer": [questions.TOKEN],
            "Relay": [questions.BATCH],
            "OpsParked": [questions.BATCH],
            "StorefrontPages": [questions.SHOP_PAGE],
            "ConsolePages": [questions.CONSOLE_PAGE],
        }
        assert [asked] == expected.get(name, own), name


@pytest.mark.parametrize("name", SHIFTED)
def test_each_handler_answers_its_question_well(name: str, cloud: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """The real handler, with tables and queues of moto."""
    properties = FUNCTIONS[name]["Properties"]
    variables = (
        load_template()["Globals"]["Function"]["Environment"]["Variables"] | properties["Environment"]["Variables"]
    )
    del variables["AWS_ENDPOINT_URL"]
    sqs = boto3.client("sqs", "us-east-1")
    for variable, value in variables.items():
        monkeypatch.setenv(variable, "https://site.test" if variable == "SITE_URL" else f"test-{variable.lower()}")
        if variable.endswith("TABLE_NAME") and isinstance(value, dict):
            template.create_table(value["Ref"])
            monkeypatch.setenv(variable, value["Ref"])
        if variable == "QUEUE_NAME":
            sqs.create_queue(QueueName="test-queue_name")
    monkeypatch.setenv("RATE_LIMIT_PER_15_MINUTES", "100")
    monkeypatch.setenv("CART_REMINDER_DAYS", "1")
    monkeypatch.setenv("POWERTOOLS_LOG_LEVEL", "INFO")
    boto3.client("ssm", "us-east-1").put_parameter(Name="/test/jwks", Value='{"keys": []}', Type="String")
    monkeypatch.setenv("JWKS_PARAMETER", "/test/jwks")
    module, _, attribute = properties["Handler"].rpartition(".")
    importlib.import_module(f"{module.partition('.')[0]}.wiring").ports.cache_clear()

    question = questions.question_for(properties["FunctionName"]["Fn::Sub"])
    assert question is not None
    try:
        answer = getattr(importlib.import_module(module), attribute)(json.loads(json.dumps(question.event)), None)
    except Exception as error:  # noqa: BLE001  # as Lambda describes it
        answer = {"errorMessage": str(error), "errorType": type(error).__name__}

    assert question.is_well(answer), answer
    importlib.import_module(f"{module.partition('.')[0]}.wiring").ports.cache_clear()
