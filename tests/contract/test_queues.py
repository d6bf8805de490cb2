"""Every queue of every template has the same settings and alarms as the others, and so has every other type of
resource.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.test_alarms import ALARMS, PARTS, ROLLOUTS, TEMPLATES, dead_letter_queues, queue_of
from tests.contract.test_hardening import IDENTITIES
from tests.kit.template import MAIN, ROOT, load_template, resources_of_type

FOURTEEN_DAYS = 14 * 24 * 3600
QUEUES = [(path, name) for path in TEMPLATES for name in resources_of_type("AWS::SQS::Queue", path)]
DEAD = dead_letter_queues()
# Properties that some resources of a type lack: the reason, and which resources may lack it (None: any of them).
EXCEPTIONS: dict[tuple[str, str], tuple[str, set[str] | None]] = {
    ("AWS::Serverless::Function", "ReservedConcurrentExecutions"): (
        "for what each order needs (tests/contract/test_edge.py names the functions)",
        None,
    ),
    ("AWS::CloudWatch::Alarm", "AlarmName"): ("the others are named by CloudFormation, after their resource", None),
    **{
        ("AWS::CloudWatch::CompositeAlarm", name): ("no other alarm rings of the same cause", {"OrdersLate"})
        for name in ("ActionsSuppressor", "ActionsSuppressorWaitPeriod", "ActionsSuppressorExtensionPeriod")
    },
    ("AWS::CloudWatch::Alarm", "Dimensions"): (
        "a metric that the whole shop, or the account, writes to has none",
        {
            "MappingsDown",
            "RateLimiterDown",
            "AuthorizerDown",
            "FunctionsThrottled",
            "MailsRefused",
            "SmsRefused",
            "TextsBroken",
            "Bounces",
            "Complaints",
            "ParcelGivenUp",
            "CancelledParcelLeft",
            "PaymentMismatch",
            "DisputeOpened",
            "PaymentsUnreconciled",
            "ParcelsUnreconciled",
        },
    ),
    ("AWS::IAM::Role", "ManagedPolicyArns"): (
        "what the pipeline's job and CodeDeploy may do is written out",
        {"Deployer", "CodeDeployRole"},
    ),
    ("AWS::IAM::Role", "MaxSessionDuration"): (
        "only a deploy may take longer than an hour",
        {"Role", "Executor", "CodeDeployRole"},
    ),
    ("AWS::IAM::Role", "Policies"): ("API Gateway's role has AWS's own policy", {"Role"}),
    ("AWS::ApiGatewayV2::Api", "DisableExecuteApiEndpoint"): (
        "the sites have no other way in where no edge is before them",
        {"StorefrontSite", "ConsoleSite"},
    ),
    ("AWS::ApiGatewayV2::Route", "AuthorizationType"): ("anyone may see a page", {"StorefrontRoute", "ConsoleRoute"}),
    ("AWS::ApiGatewayV2::Stage", "AccessLogSettings"): (
        "the pages' function sees every request, and the mesh's ingress refuses some before a function",
        {"StorefrontStage", "ConsoleStage"},
    ),
    ("AWS::DynamoDB::Table", "DeletionProtectionEnabled"): ("counts of a quarter of an hour", {"RateLimitsTable"}),
    ("AWS::DynamoDB::Table", "PointInTimeRecoverySpecification"): (
        "counts of a quarter of an hour",
        {"RateLimitsTable"},
    ),
    ("AWS::DynamoDB::Table", "GlobalSecondaryIndexes"): (
        "read by key alone",
        {"RateLimitsTable", "AuditTable", "CircuitsTable", "CheckoutTable"},
    ),
    ("AWS::DynamoDB::Table", "StreamSpecification"): (
        "they publish no events",
        {"RateLimitsTable", "AuditTable", "JournalTable", "CheckoutTable", "PromotionsTable"},
    ),
    ("AWS::DynamoDB::Table", "TimeToLiveSpecification"): ("the audit is kept", {"AuditTable"}),
    ("AWS::Events::Rule", "Description"): ("the subscription's stack has one", {"Rule"}),
    ("AWS::Events::Rule", "EventBusName"): ("Step Functions tells the default bus", {"SagaFailed"}),
    ("AWS::S3::Bucket", "NotificationConfiguration"): (
        "nothing waits for a change of the trust store, and documents are announced by document.issued",
        {"TrustBucket", "DocumentsBucket"},
    ),
    ("AWS::SecretsManager::Secret", "GenerateSecretString"): (
        "made by a function, or handed in by the provider",
        {"SigningKeys", "StripeKey", "StripeWebhookSecret", "EasyPostKey", *IDENTITIES},
    ),
    ("AWS::Serverless::Function", "Timeout"): ("the others take the one of Globals", None),
    ("AWS::Serverless::Function", "MemorySize"): ("the others take the one of Globals", None),
    ("AWS::Serverless::Function", "Events"): ("a mapping, a state machine or a nested stack invokes the others", None),
    ("AWS::Serverless::Function", "DeploymentPreference"): ("the others move at once (test_rollout.py)", None),
    ("AWS::Serverless::Function", "EventInvokeConfig"): ("schedules alone invoke asynchronously", None),
    ("AWS::Serverless::Function", "FunctionUrlConfig"): ("peers call the services' own APIs alone", None),
    ("AWS::Serverless::Function", "Layers"): ("the others take those of Globals", None),
    ("AWS::Serverless::Function", "RecursiveLoop"): (
        "the others send nothing to their own queue, or only some messages (docs/decisions/0290)",
        None,
    ),
}


def properties(path: str, name: str) -> dict[str, Any]:
    found: dict[str, Any] = load_template(path)["Resources"][name].get("Properties", {})
    return found


def alarms_by_age() -> dict[tuple[str, str], dict[str, Any]]:
    found = {}
    for path, name in ALARMS:
        alarm = properties(path, name)
        if alarm["Namespace"] == "AWS/SQS" and alarm["MetricName"] == "ApproximateAgeOfOldestMessage":
            (dimension,) = alarm["Dimensions"]
            found[queue_of(path, dimension["Value"])] = alarm
    return found


def readers() -> dict[tuple[str, str], list[str]]:
    """The functions that read each queue. A subscription's functions are those of the stacks that use it."""
    found: dict[tuple[str, str], list[str]] = {}
    for mapping in resources_of_type("AWS::Lambda::EventSourceMapping").values():
        queue = mapping["Properties"]["EventSourceArn"]["Fn::GetAtt"].removesuffix(".Arn")
        function = mapping["Properties"]["FunctionName"]["Ref"].removesuffix(".Alias")
        found.setdefault((MAIN, queue), []).append(function)
    for stack in resources_of_type("AWS::CloudFormation::Stack").values():
        if stack["Properties"]["TemplateURL"] == "infra/subscription.yaml":
            function = stack["Properties"]["Parameters"]["FunctionArn"]["Ref"].removesuffix(".Alias")
            found.setdefault(("infra/subscription.yaml", "Queue"), []).append(function)
    return found


def timeout(function: str) -> int:
    default = load_template()["Globals"]["Function"]["Timeout"]
    return int(properties(MAIN, function).get("Timeout", default))


def visibility(path: str, name: str, function: str) -> int:
    value = properties(path, name)["VisibilityTimeout"]
    if isinstance(value, int):
        return value
    (of_this_stack,) = [
        stack["Properties"]["Parameters"][value["Ref"]]
        for stack in resources_of_type("AWS::CloudFormation::Stack").values()
        if stack["Properties"]["TemplateURL"] == path
        and stack["Properties"]["Parameters"]["FunctionArn"]["Ref"] == f"{function}.Alias"
    ]
    return int(of_this_stack)


def test_there_are_the_consumers_queue_the_carriers_the_parked_one_and_the_dead_letters() -> None:
    assert sorted(set(QUEUES) - set(DEAD)) == [
        ("infra/subscription.yaml", "Queue"),
        ("template.yaml", "CarrierQueue"),
        ("template.yaml", "ParkedQueue"),
    ]


@pytest.mark.parametrize(("path", "name"), QUEUES)
def test_a_queue_keeps_its_messages_as_long_as_sqs_can_and_encrypts_them(path: str, name: str) -> None:
    assert properties(path, name).get("MessageRetentionPeriod") == FOURTEEN_DAYS
    assert properties(path, name).get("SqsManagedSseEnabled") is True


@pytest.mark.parametrize(("path", "name"), sorted(set(QUEUES) - set(DEAD)))
def test_a_queue_that_a_function_reads_has_dead_letters_an_alarm_by_age_and_room_for_the_function(
    path: str, name: str
) -> None:
    policy = properties(path, name)["RedrivePolicy"]
    assert queue_of(path, policy["deadLetterTargetArn"]) in DEAD
    alarm = alarms_by_age()[path, name]
    rings = (alarm["Threshold"], alarm["Period"], alarm["ComparisonOperator"], alarm["Statistic"])
    assert rings == (3600, 300, "GreaterThanThreshold", "Maximum")
    assert readers()[path, name]
    for function in readers()[path, name]:
        assert visibility(path, name, function) >= 6 * timeout(function), function


def consumers() -> list[str]:
    """The functions that read a queue, and so may have to count the tries of a message."""
    return sorted({function for functions in readers().values() for function in functions})


@pytest.mark.parametrize("name", consumers())
def test_a_function_that_reads_a_queue_may_count_the_tries_of_a_message(name: str) -> None:
    """mercato.events.dead_letters counts them in the table that TABLE_NAME names. Uncounted, a message that always
    fails is a dead letter after a hundred receives, which take most of a day.
    """
    function = resources_of_type("AWS::Serverless::Function")[name]["Properties"]
    table = f"{function['Environment']['Variables']['TABLE_NAME']['Ref']}.Arn"
    actions = {
        action
        for policy in function["Policies"]
        for statement in policy["Statement"]
        if statement.get("Resource") == {"Fn::GetAtt": table}
        for action in statement["Action"]
    }
    assert "dynamodb:UpdateItem" in actions


def test_lambda_does_not_end_the_work_that_goes_on_with_a_new_message() -> None:
    """Lambda ends what it takes for a loop: a function that a chain of its own messages has invoked 16 times."""
    functions = resources_of_type("AWS::Serverless::Function")
    going_on = {
        name
        for name in consumers()
        for package, *module, _ in [functions[name]["Properties"]["Handler"].split(".")]
        if "raise Unfinished(" in (ROOT / "functions" / package / package / f"{'/'.join(module)}.py").read_text()
    }
    assert going_on == {"NotificationsConsumer", "OrdersConsumer"}
    allowed = {name for name, found in functions.items() if found["Properties"].get("RecursiveLoop") == "Allow"}
    assert allowed == going_on


def kinds() -> dict[str, dict[str, set[str]]]:
    """The properties of each resource, by type. Dead-letter queues, mappings of streams, parts of composite alarms and
    alarms of new versions count as separate types.
    """
    found: dict[str, dict[str, set[str]]] = {}
    for path in TEMPLATES:
        for name, resource in (load_template(path) or {}).get("Resources", {}).items():
            given = set(resource.get("Properties", {}))
            kind = resource["Type"] + ("/dead letters" if (path, name) in DEAD else "")
            kind += "/stream" if "StartingPosition" in given else ""
            kind += "/part" if (path, name) in PARTS else ""
            kind += "/rollout" if (path, name) in ROLLOUTS else ""
            found.setdefault(kind, {})[name] = given
    return found


def test_resources_of_one_type_set_the_same_properties() -> None:
    """A missing property that the others set is a mistake unless it is explained above."""
    found = {
        (kind, name): {one for one, given in resources.items() if name not in given}
        for kind, resources in kinds().items()
        for name in set[str]().union(*resources.values())
        if any(name not in given for given in resources.values())
    }
    unexplained = {
        key: lacking
        for key, lacking in found.items()
        if key not in EXCEPTIONS or (EXCEPTIONS[key][1] is not None and EXCEPTIONS[key][1] != lacking)
    }
    assert unexplained == {}
    assert EXCEPTIONS.keys() - found.keys() == set()
