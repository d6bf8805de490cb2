"""A stopped part raises no error, so an alarm must ring when a part is off, late or stopped."""

from __future__ import annotations

import re
from typing import Any

import pytest

from mercato.events.dead_letters import MAX_TRIES, pause_after
from tests.kit.template import MAIN, load_template, resources_of_type

TEMPLATE = load_template()
STACKS = {name: found["Properties"] for name, found in resources_of_type("AWS::CloudFormation::Stack").items()}
SUBSCRIPTION = load_template("infra/subscription.yaml")["Resources"]
FOURTEEN_DAYS = 14 * 24 * 3600


def watched(name: str) -> dict[str, Any]:
    properties: dict[str, Any] = TEMPLATE["Resources"][name]["Properties"]
    return properties


def test_the_prober_asks_after_every_stream_and_queue_that_a_function_reads() -> None:
    tables = [
        f"${{{stack['Parameters']['StreamArn']['Fn::GetAtt'].removesuffix('.StreamArn')}}}"
        for stack in STACKS.values()
        if stack["TemplateURL"] == "infra/outbox.yaml"
    ]
    queues = [
        stack["Parameters"]["QueueName"]["Fn::Sub"]
        for stack in STACKS.values()
        if stack["TemplateURL"] == "infra/subscription.yaml"
    ]
    of_their_own = [
        f"${{{found['Properties']['EventSourceArn']['Fn::GetAtt'].removesuffix('.Arn')}.QueueName}}"
        for found in resources_of_type("AWS::Lambda::EventSourceMapping").values()
    ]
    prober = TEMPLATE["Resources"]["OpsProber"]["Properties"]

    asked = prober["Environment"]["Variables"]["SOURCES"]["Fn::Sub"].split(",")

    assert tables
    assert queues
    assert of_their_own
    assert sorted(asked) == sorted(tables + queues + of_their_own)


def test_a_mapping_that_is_off_rings_and_so_does_the_silence_of_who_should_say_it() -> None:
    alarm = watched("MappingsDown")
    prober = TEMPLATE["Resources"]["OpsProber"]["Properties"]

    assert alarm["TreatMissingData"] == "breaching"
    assert alarm["Period"] == 60
    assert prober["Events"]["EveryMinute"]["Properties"]["ScheduleExpression"] == "rate(1 minute)"


def test_every_alarm_on_a_metric_of_ours_watches_this_stack_alone() -> None:
    written = TEMPLATE["Globals"]["Function"]["Environment"]["Variables"]["METRICS_NAMESPACE"]
    handed_in = {"Fn::Sub": written["Fn::Sub"].replace("${AWS::StackName}", "${Stack}")}
    for path, ours in ((MAIN, written), ("infra/observability.yaml", handed_in)):
        alarms = [found["Properties"] for found in resources_of_type("AWS::CloudWatch::Alarm", path).values()]
        namespaces = [alarm["Namespace"] for alarm in alarms if "Mercato" in str(alarm.get("Namespace"))]
        assert namespaces == [ours] * {MAIN: 12, "infra/observability.yaml": 1}[path]
    assert STACKS["Observability"]["Parameters"]["Stack"] == {"Ref": "AWS::StackName"}
    assert written == {"Fn::Sub": "Mercato/${AWS::StackName}"}


def test_a_queue_that_is_not_read_rings_long_before_its_messages_are_deleted() -> None:
    alarm, queue = SUBSCRIPTION["BacklogAlarm"]["Properties"], SUBSCRIPTION["Queue"]["Properties"]
    longest_retries = sum(pause_after(tries, max) for tries in range(1, MAX_TRIES))

    assert alarm["MetricName"] == "ApproximateAgeOfOldestMessage"
    assert alarm["Dimensions"] == [{"Name": "QueueName", "Value": {"Fn::GetAtt": "Queue.QueueName"}}]
    assert alarm["AlarmActions"] == [{"Ref": "AlarmTopic"}]
    assert longest_retries == 1270
    assert 2 * longest_retries < alarm["Threshold"] < FOURTEEN_DAYS / 24
    assert queue["MessageRetentionPeriod"] == FOURTEEN_DAYS


@pytest.mark.parametrize(
    ("name", "metric"), [("SagaAborted", "ExecutionsAborted"), ("SagaTimedOut", "ExecutionsTimedOut")]
)
def test_a_saga_that_was_stopped_rings_by_its_metric_too(name: str, metric: str) -> None:
    alarm = watched(name)

    assert (alarm["Namespace"], alarm["MetricName"], alarm["Threshold"]) == ("AWS/States", metric, 0)
    assert alarm["Dimensions"] == [{"Name": "StateMachineArn", "Value": {"Ref": "OrderSaga"}}]


def test_alarms_are_mailed_to_the_address_that_the_deployment_names() -> None:
    (mails,) = resources_of_type("AWS::SNS::Subscription").values()

    assert mails["Condition"] == "MailsAlarms"
    assert mails["Properties"] == {
        "TopicArn": {"Ref": "AlarmTopic"},
        "Protocol": "email",
        "Endpoint": {"Ref": "AlarmEmail"},
    }
    assert TEMPLATE["Outputs"]["AlarmTopicArn"] == {"Value": {"Ref": "AlarmTopic"}}


def test_prod_is_not_deployed_where_nobody_would_hear_its_alarms() -> None:
    rule = TEMPLATE["Rules"]["ProdHearsItsAlarms"]

    assert rule["RuleCondition"] == {"Fn::Equals": [{"Ref": "Environment"}, "prod"]}
    assert rule["Assertions"][0]["Assert"] == {"Fn::Not": [{"Fn::Equals": [{"Ref": "AlarmEmail"}, ""]}]}
    assert TEMPLATE["Parameters"]["AlarmEmail"]["Default"] == ""


@pytest.mark.parametrize(
    ("value", "taken"),
    [
        ("", True),
        ("elsewhere", True),
        ("ops@shop.example", True),
        ("nobody", False),
        ("a@b@c", False),
        ("a b@c", False),
    ],
)
def test_only_an_address_or_elsewhere_can_be_named(value: str, taken: bool) -> None:
    assert bool(re.fullmatch(TEMPLATE["Parameters"]["AlarmEmail"]["AllowedPattern"], value)) == taken
