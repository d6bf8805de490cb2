"""Every alarm notifies the operator, every dead-letter queue has one, and the runbook has a section for each."""

from __future__ import annotations

import json
import re
from typing import Any

import boto3
import pytest

from tests.kit.template import MAIN, ROOT, load_template, resources_of_type

MACHINE = "arn:aws:states:us-east-1:123456789012:stateMachine:mercato-order"
RUNBOOK = (ROOT / "docs/runbook.md").read_text()
RULES = resources_of_type("AWS::Events::Rule")
TEMPLATES = [MAIN, *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "infra").glob("*.yaml"))]
COMPOSITE = "AWS::CloudWatch::CompositeAlarm"
COMPOSITES = [(path, name) for path in TEMPLATES for name in resources_of_type(COMPOSITE, path)]
# An alarm that is part of a composite alarm does not notify by itself.
PARTS = {
    (path, part)
    for path, name in COMPOSITES
    for part in re.findall(r"\$\{(\w+)\}", load_template(path)["Resources"][name]["Properties"]["AlarmRule"]["Fn::Sub"])
}
METRIC_ALARMS = [(path, name) for path in TEMPLATES for name in resources_of_type("AWS::CloudWatch::Alarm", path)]
# Those of new versions are for CodeDeploy alone (tests/contract/test_rollout.py).
ROLLOUTS = {
    (MAIN, alarm["Ref"])
    for found in resources_of_type("AWS::Serverless::Function").values()
    for alarm in found["Properties"].get("DeploymentPreference", {}).get("Alarms", {"Fn::If": [[], []]})["Fn::If"][1]
}
ALARMS = [one for one in METRIC_ALARMS if one not in PARTS | ROLLOUTS]
# A nested stack is made once per consumer, and the runbook has one section for all of them.
EACH = {"${QueueName}": "‹queue›", "${AWS::StackName}-": "", "${Stack}-": ""}


def queue_of(path: str, value: dict[str, str]) -> tuple[str, str]:
    """The template and the queue that a value names: its own queue, or one that the main template passes."""
    if "Fn::GetAtt" in value:
        return path, value["Fn::GetAtt"].partition(".")[0]
    (stack,) = [
        stack["Properties"]
        for stack in resources_of_type("AWS::CloudFormation::Stack", MAIN).values()
        if stack["Properties"]["TemplateURL"] == path
    ]
    return queue_of(MAIN, stack["Parameters"][value["Ref"]])


def rings_as(path: str, name: str) -> str:
    """The alarm's name in CloudWatch: its given name, or else that of the resource."""
    given = load_template(path)["Resources"][name]["Properties"].get("AlarmName")
    if given is None:
        return name
    if "Ref" in given:
        path, queue = queue_of(path, given)
        given = load_template(path)["Resources"][queue]["Properties"]["QueueName"]
    told: str = given["Fn::Sub"]
    for variable, word in EACH.items():
        told = told.replace(variable, word)
    return told


NAMES = {rings_as(path, name) for path, name in ALARMS} | {name for _, name in COMPOSITES} | RULES.keys()


FUNCTIONS_AND_QUEUES = {
    name["Fn::Sub"].partition("-")[2]
    for kind, key in (("AWS::Serverless::Function", "FunctionName"), ("AWS::SQS::Queue", "QueueName"))
    for found in resources_of_type(kind).values()
    if isinstance(name := found["Properties"].get(key), dict) and "Fn::Sub" in name
}


def names_in(text: str) -> set[str]:
    """The alarms that a part of the runbook names, as comma-separated words."""
    return {word.strip(" `") for word in text.split(",")}


def test_each_alarm_has_its_section() -> None:
    headings = [line.removeprefix("## ").partition(":")[0] for line in RUNBOOK.splitlines() if line.startswith("## ")]
    assert NAMES - set().union(*(names_in(heading) for heading in headings)) == set()


def test_the_picture_shows_each_alarm_and_no_other() -> None:
    picture = RUNBOOK.partition("```mermaid")[2].partition("```")[0]
    ways = [line.partition("|")[2].partition("|")[0] for line in picture.splitlines() if "which -->|" in line]
    assert set().union(*(names_in(way) for way in ways)) == NAMES


def test_the_table_tells_of_each_alarm_when_it_rings_where_to_look_and_how_long_it_may_wait() -> None:
    table = RUNBOOK.partition("| alarm | rings when | look with | how long it may wait |\n|---|---|---|---|\n")[2]
    rows = [[cell.strip() for cell in row.strip("|").split("|")] for row in table.partition("\n\n")[0].splitlines()]
    assert [row for row in rows if len(row) != 4 or not all(row)] == []
    named = [name for row in rows for name in names_in(row[0])]
    assert sorted(named) == sorted(NAMES)


def test_every_dead_letter_queue_rings_at_its_first_letter() -> None:
    watched = {}
    for path, name in ALARMS:
        alarm = load_template(path)["Resources"][name]["Properties"]
        if alarm["Namespace"] == "AWS/SQS" and alarm["MetricName"] == "ApproximateNumberOfMessagesVisible":
            (dimension,) = alarm["Dimensions"]
            watched[queue_of(path, dimension["Value"])] = alarm
    assert watched.keys() == set(dead_letter_queues())
    for queue, alarm in watched.items():
        rings = (alarm["Threshold"], alarm["ComparisonOperator"], alarm["EvaluationPeriods"], alarm["Statistic"])
        assert rings == (0, "GreaterThanThreshold", 1, "Maximum"), queue


def dead_letter_queues() -> list[tuple[str, str]]:
    """The dead-letter queues by their purpose and their name."""
    found = set()
    for path in TEMPLATES:
        for name, queue in resources_of_type("AWS::SQS::Queue", path).items():
            (called,) = queue["Properties"]["QueueName"].values()
            if called.endswith("-dlq"):
                found.add((path, name))
            if "RedrivePolicy" in queue["Properties"]:
                found.add(queue_of(path, queue["Properties"]["RedrivePolicy"]["deadLetterTargetArn"]))
    return sorted(found)


def test_there_are_dead_letters_of_the_consumers_the_carrier_the_parked_queue_and_the_relay() -> None:
    assert dead_letter_queues() == [
        ("infra/subscription.yaml", "DeadLetters"),
        ("template.yaml", "CarrierDeadLetters"),
        ("template.yaml", "ParkedDeadLetters"),
        ("template.yaml", "RelayFailures"),
    ]


def test_all_that_rings_rings_at_the_same_topic() -> None:
    for path, name in ALARMS + COMPOSITES:
        alarm = load_template(path)["Resources"][name]
        assert alarm["Properties"]["AlarmActions"] == [{"Ref": "AlarmTopic"}], name
    for stack in resources_of_type("AWS::CloudFormation::Stack", MAIN).values():
        if any(path == stack["Properties"]["TemplateURL"] for path, _ in ALARMS):
            assert stack["Properties"]["Parameters"]["AlarmTopic"] == {"Ref": "AlarmTopic"}
    assert [target["Arn"] for target in RULES["SagaFailed"]["Properties"]["Targets"]] == [{"Ref": "AlarmTopic"}]


def test_alarms_and_rules_may_publish_to_the_topic() -> None:
    """Our own topic policy replaces the default one, by which CloudWatch could publish."""
    (policy,) = resources_of_type("AWS::SNS::TopicPolicy", "infra/observability.yaml").values()
    allowed = policy["Properties"]["PolicyDocument"]["Statement"]
    assert [one["Principal"]["Service"] for one in allowed] == ["cloudwatch.amazonaws.com", "events.amazonaws.com"]
    assert {(one["Action"], one["Resource"]["Ref"]) for one in allowed} == {("sns:Publish", "AlarmTopic")}


def test_every_task_catches_all_so_that_only_step_functions_itself_ends_a_saga_half_done() -> None:
    """SagaFailed relies on it: a failure with a task's error name comes from OrderFailed, after the whole undo."""
    states = json.loads((ROOT / "functions/orders/order_saga.asl.json").read_text())["States"]
    caught = {
        name: any("States.ALL" in catch["ErrorEquals"] for catch in state.get("Catch", []))
        for name, state in states.items()
        if state["Type"] == "Task"
    }
    assert len(caught) == 19
    assert all(caught.values())
    assert [name for name, state in states.items() if state["Type"] == "Fail"] == ["OrderFailed"]


def change(status: str, error: str | None = None, machine: str = MACHINE) -> dict[str, Any]:
    """The event that Step Functions sends when an execution changes its status."""
    return {"stateMachineArn": machine, "name": "ord-1", "status": status, "error": error, "cause": None}


def ringing(*changes: dict[str, Any]) -> list[dict[str, Any]]:
    """The changes that the rule's pattern matches."""
    events, sqs = boto3.client("events"), boto3.client("sqs")
    queue = sqs.create_queue(QueueName="rung")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    pattern = load_template()["Resources"]["SagaFailed"]["Properties"]["EventPattern"]
    text = json.dumps(pattern).replace(json.dumps({"Ref": "OrderSaga"}), json.dumps(MACHINE))
    events.put_rule(Name="SagaFailed", EventPattern=text)
    events.put_targets(Rule="SagaFailed", Targets=[{"Id": "queue", "Arn": arn}])
    kind = "Step Functions Execution Status Change"
    for one in changes:
        events.put_events(Entries=[{"Source": "aws.states", "DetailType": kind, "Detail": json.dumps(one)}])
    found = sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10).get("Messages", [])
    return [json.loads(message["Body"])["detail"] for message in found]


@pytest.mark.parametrize(
    "ended",
    [
        change("ABORTED"),
        change("ABORTED", "stopped by hand"),
        change("TIMED_OUT"),
        change("TIMED_OUT", "States.Timeout"),
        change("FAILED", "States.Runtime"),
        change("FAILED", "States.DataLimitExceeded"),
        change("FAILED", "States.NoChoiceMatched"),
    ],
)
def test_a_saga_that_failed_as_a_workflow_rings(cloud: None, ended: dict[str, Any]) -> None:
    assert ringing(ended) == [ended]


def test_a_saga_that_runs_or_has_ended_as_sagas_may_does_not_ring(cloud: None) -> None:
    quiet = [change("FAILED", error) for error in ("OutOfStock", "PaymentDeclined", "CancelledByCustomer", "KeyError")]
    quiet += [change("FAILED", error) for error in ("TransientError", "Runtime.ExitError", "Lambda.Unknown")]
    assert ringing(*quiet, change("RUNNING"), change("SUCCEEDED")) == []


def test_another_machine_does_not_ring(cloud: None) -> None:
    assert ringing(change("ABORTED", machine=f"{MACHINE}-of-others")) == []


@pytest.mark.parametrize(("path", "name"), COMPOSITES)
def test_an_objective_rings_by_a_long_and_a_short_time_of_each_speed(path: str, name: str) -> None:
    """Google's SRE workbook, chapter 5: 2 % of the budget in an hour, 5 % in six hours."""
    resources = load_template(path)["Resources"]
    rule = resources[name]["Properties"]["AlarmRule"]["Fn::Sub"]
    for speed, burn, periods in (("Fast", 14.4, (3600, 300)), ("Slow", 6, (21600, 1800))):
        assert f'(ALARM("${{{name}{speed}Long}}") AND ALARM("${{{name}{speed}Short}}"))' in rule
        for time, period in zip(("Long", "Short"), periods, strict=True):
            part = resources[f"{name}{speed}{time}"]["Properties"]
            assert "AlarmActions" not in part
            assert [one["MetricStat"]["Period"] for one in part["Metrics"] if "MetricStat" in one] == [period] * 2
            budget = float(re.search(r"([\d.]+) % of", part["AlarmDescription"])[1])  # type: ignore[index]
            assert part["Threshold"] == pytest.approx(burn * (100 - budget))


def test_the_dashboard_shows_metrics_that_there_are() -> None:
    body = load_template("infra/watch.yaml")["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["Fn::Sub"]
    widgets = json.loads(body)["widgets"]
    assert len(widgets) >= 10
    sources = "".join(path.read_text() for folder in ("functions", "layers") for path in (ROOT / folder).rglob("*.py"))
    ours = set(re.findall(r'"Mercato/\$\{Shop\}", "(\w+)"', body))
    assert {"OrdersConfirmed", "OrderDecisionSeconds", "ParcelsGivenUp", "MailsRefused"} <= ours
    assert [name for name in ours if f'"{name}"' not in sources] == []
    named = {name.lower() for name in FUNCTIONS_AND_QUEUES}
    for name in re.findall(r'"(?:FunctionName|QueueName)", "\$\{Shop\}-([\w-]+)"', body):
        assert name in named, name
    spots = {(one["x"], one["y"]) for one in widgets}
    assert len(spots) == len(widgets)
    # A search finds nothing in a namespace with a character such as the hyphen of a stack's name, unless it is quoted.
    searched = re.findall(r"SEARCH\('{([^,]+),", "".join(json.dumps(one).replace('\\"', '"') for one in widgets))
    assert {"AWS/Lambda", "AWS/SQS", "AWS/DynamoDB", '"Mercato/${Shop}"'} == set(searched)
