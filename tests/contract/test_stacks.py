"""Each stack as SAM expands it: the number of resources, the size, and their names."""

from __future__ import annotations

import functools
import json
import re
import tomllib
import warnings
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

with warnings.catch_warnings(action="ignore"):
    # samtranslator 1.110.0 registers checks with cfn-lint; it is a child of this import that warns
    from samtranslator.parser.parser import Parser
    from samtranslator.translator.translator import Translator

from infra import templates
from tests.contract.test_template import as_list, statements
from tests.kit.template import MAIN, ROOT, load_template, resources_of_type, routes

SERVICES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "functions").glob("*/template.yaml"))
STACKS = [MAIN, *SERVICES, *sorted(str(path.relative_to(ROOT)) for path in (ROOT / "infra").glob("*.yaml"))]
PACKAGED = {"CodeUri", "ContentUri", "DefinitionUri", "TemplateURL", "Location"}
FUNCTIONS = resources_of_type("AWS::Serverless::Function")
# The property that is the name of a resource in its account and region, by type; None where a name has no such reach.
NAMES = {
    "AWS::ApiGateway::Account": None,
    "AWS::ApiGateway::BasePathMapping": None,
    "AWS::ApiGateway::Deployment": None,
    "AWS::ApiGateway::DomainName": "DomainName",
    "AWS::ApiGateway::GatewayResponse": None,
    "AWS::ApiGateway::RestApi": "Name",
    "AWS::ApiGateway::Stage": None,
    "AWS::ApiGatewayV2::Api": "Name",
    "AWS::ApiGatewayV2::ApiMapping": None,
    "AWS::ApiGatewayV2::DomainName": "DomainName",
    "AWS::ApiGatewayV2::Integration": None,
    "AWS::ApiGatewayV2::Route": None,
    "AWS::ApiGatewayV2::Stage": None,
    "AWS::CloudFormation::Stack": "StackName",
    "AWS::CloudFront::Distribution": None,
    "AWS::CloudFront::Function": "Name",
    "AWS::CloudFront::OriginAccessControl": None,
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::CompositeAlarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::CodeDeploy::Application": "ApplicationName",
    "AWS::CodeDeploy::DeploymentGroup": "DeploymentGroupName",
    "AWS::DynamoDB::Table": "TableName",
    "AWS::Events::Archive": "ArchiveName",
    "AWS::Events::EventBus": "Name",
    "AWS::Events::Rule": "Name",
    "AWS::IAM::OIDCProvider": None,
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::IAM::Policy": None,
    "AWS::IAM::Role": "RoleName",
    "AWS::KMS::Key": None,
    "AWS::Lambda::Alias": None,
    "AWS::Lambda::EventInvokeConfig": None,
    "AWS::Lambda::EventSourceMapping": None,
    "AWS::Lambda::Function": "FunctionName",
    "AWS::Lambda::LayerVersion": "LayerName",
    "AWS::Lambda::Permission": None,
    "AWS::Lambda::Url": None,
    "AWS::Lambda::Version": None,
    "AWS::Logs::LogGroup": "LogGroupName",
    "AWS::Logs::QueryDefinition": "Name",
    "AWS::Logs::MetricFilter": "FilterName",
    "AWS::S3::Bucket": "BucketName",
    "AWS::S3::BucketPolicy": None,
    "AWS::SES::ConfigurationSet": "Name",
    "AWS::SES::ConfigurationSetEventDestination": None,
    "AWS::SNS::Subscription": None,
    "AWS::SNS::Topic": "TopicName",
    "AWS::SNS::TopicPolicy": None,
    "AWS::SQS::Queue": "QueueName",
    "AWS::SQS::QueuePolicy": None,
    "AWS::Scheduler::Schedule": "Name",
    "AWS::SecretsManager::Secret": "Name",
    "AWS::ServiceDiscovery::HttpNamespace": "Name",
    "AWS::ServiceDiscovery::Instance": None,
    "AWS::ServiceDiscovery::Service": None,
    "AWS::StepFunctions::StateMachine": "StateMachineName",
    "AWS::WAFv2::WebACL": "Name",
    "AWS::WAFv2::WebACLAssociation": None,
    "Custom::MeshIdentities": None,
}
MOST_RESOURCES = 200  # CloudFormation takes 500
MOST_LINES = 300
ROLE_POLICIES, MANAGED_POLICY, ENVIRONMENT, FUNCTION_NAME, TEMPLATE = 10_240, 6_144, 4_096, 64, 1_000_000


@functools.cache
def expanded(path: str, shift: str = "Canary10Percent5Minutes") -> dict[str, Any]:
    """The resources that CloudFormation gets for the template in prod, with that value of TrafficShift."""
    template = json.loads(json.dumps(templates.read(ROOT / path)))
    for resource in template["Resources"].values():
        packaged = PACKAGED & resource.get("Properties", {}).keys()
        resource.get("Properties", {}).update(dict.fromkeys(packaged, "s3://bucket/key"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        given = {"Environment": "prod", "TrafficShift": shift, "CodeDeploy": str(shift != "none").lower()}
        found: dict[str, Any] = Translator({}, Parser()).translate(template, given)["Resources"]
    return found


@pytest.mark.parametrize("path", STACKS)
def test_a_stack_holds_no_more_than_two_hundred_resources(path: str) -> None:
    print(f"{path}: {len(expanded(path))} resources, {len(json.dumps(expanded(path))):,} bytes")
    assert len(expanded(path)) <= MOST_RESOURCES
    assert len(json.dumps(expanded(path))) < TEMPLATE / 2


def test_the_root_is_a_map() -> None:
    lines = len((ROOT / MAIN).read_text().splitlines())
    print(f"{MAIN}: {lines} lines")
    assert lines <= MOST_LINES
    assert resources_of_type("AWS::Serverless::Function").keys() & templates.read(ROOT / MAIN)["Resources"].keys() <= {
        "Relay"  # the service and its first function have this name
    }


@pytest.mark.parametrize("path", STACKS)
def test_no_name_of_an_account_is_written_out(path: str) -> None:
    """Two shops in one account, such as dev and prod, would conflict."""
    for logical, resource in expanded(path).items():
        name = resource.get("Properties", {}).get(NAMES[resource["Type"]] or "")
        assert not isinstance(name, str), f"{logical} in {path} is called {name}"


def test_the_api_has_one_stage() -> None:
    """A deployment that names a stage makes a second one, which is public and has neither throttle nor logs."""
    resources = expanded("infra/api.yaml").values()
    deployments = [found["Properties"] for found in resources if found["Type"] == "AWS::ApiGateway::Deployment"]
    assert ["StageName" in properties for properties in deployments] == [False]
    [stage] = [found["Properties"] for found in resources if found["Type"] == "AWS::ApiGateway::Stage"]
    [settings] = stage["MethodSettings"]
    assert settings["ThrottlingRateLimit"] == 500
    assert settings["MetricsEnabled"] == {"Fn::If": ["HasMethodMetrics", True, False]}
    [api] = [found["Properties"] for found in resources if found["Type"] == "AWS::ApiGateway::RestApi"]
    assert api["Body"]["swagger"] == "2.0"


def test_the_access_log_has_who_what_and_how_and_no_path_that_may_hold_a_capability() -> None:
    [stage] = [found for found in expanded("infra/api.yaml").values() if found["Type"] == "AWS::ApiGateway::Stage"]
    log = stage["Properties"]["AccessLogSetting"]
    assert log["DestinationArn"] == {"Fn::GetAtt": "ApiLogs.Arn"}
    values = json.loads(log["Format"])
    assert {"request_id", "address", "method", "resource", "status", "error", "latency_ms"} <= values.keys()
    assert set(values.values()) & {"$context.path", "$context.requestOverride.path.proxy"} == set()


def test_no_trace_has_the_url_of_a_request_to_the_api() -> None:
    """API Gateway's segments in X-Ray have it whole: links of guests, and the addresses by which staff finds people."""
    [stage] = [found for found in expanded("infra/api.yaml").values() if found["Type"] == "AWS::ApiGateway::Stage"]
    assert stage["Properties"]["TracingEnabled"] is False


def test_a_failing_authorizer_rings_although_its_status_is_changed() -> None:
    """API Gateway counts a response whose status was changed as a 4xx."""
    template = load_template("infra/api.yaml")["Resources"]
    changed = {
        kind
        for kind, answer in template["Api"]["Properties"]["GatewayResponses"].items()
        if kind.startswith("AUTHORIZER_") and answer["StatusCode"] != 500
    }
    assert changed == {"AUTHORIZER_FAILURE", "AUTHORIZER_CONFIGURATION_ERROR"}
    counted = template["AuthorizerFailures"]["Properties"]
    assert counted["FilterPattern"] == '{ $.error = "AUTHORIZER_*" }'
    assert '"error":"$context.error.responseType"' in template["Api"]["Properties"]["AccessLogSetting"]["Format"]
    [metric] = counted["MetricTransformations"]
    alarm = template["AuthorizerDown"]["Properties"]
    assert (alarm["Namespace"], alarm["MetricName"]) == (metric["MetricNamespace"], metric["MetricName"])


def mail_grants() -> dict[str, list[dict[str, Any]]]:
    """The statements about SES, by the function that has them."""
    grants: dict[str, list[dict[str, Any]]] = {}
    for name, function in FUNCTIONS.items():
        for statement in statements(function["Properties"].get("Policies", [])):
            if any(action.startswith("ses:") for action in as_list(statement["Action"])):
                grants.setdefault(name, []).append(statement)
    return grants


def test_mails_go_to_any_recipient_and_come_from_the_shops_sender_alone() -> None:
    """SES's sandbox also checks the recipient's identity against the role. A domain's identity is no address."""
    grants = mail_grants()
    assert grants.keys() >= {"UsersConsumer", "OrdersConsumer", "NotificationsConsumer"}
    for name, given in grants.items():
        [sends] = [one for one in given if one["Action"] == ["ses:SendEmail"]]
        named = [resource["Fn::Sub"].rpartition(":")[2] for resource in sends["Resource"]]
        assert named == ["identity/*", "configuration-set/${MailRules}"], name
        assert sends["Condition"] == {"StringEquals": {"ses:FromAddress": {"Ref": "FromAddress"}}}, name


def test_the_senders_identity_is_no_resource_of_a_shop() -> None:
    """Two shops of an account share it, and it is verified before the first deploy."""
    assert resources_of_type("AWS::SES::EmailIdentity") == {}


def stacks_named() -> list[str]:
    config = tomllib.loads((ROOT / "samconfig.toml").read_text())
    return [one["global"]["parameters"]["stack_name"] for one in config.values() if isinstance(one, dict)]


def test_a_function_has_the_name_of_its_stack_and_of_its_resource_in_what_lambda_takes() -> None:
    for name, function in FUNCTIONS.items():
        words = re.sub(r"(?<!^)(?=[A-Z])", "-", name).lower()
        assert function["Properties"]["FunctionName"] == {"Fn::Sub": f"${{AWS::StackName}}-{words}"}
        for stack in stacks_named():
            assert len(f"{stack}-{words}") <= FUNCTION_NAME


def long(node: Any) -> Any:
    """`node` with values as long as AWS's: names of 64 characters, ARNs of 130."""
    if isinstance(node, list):
        return [long(value) for value in node]
    if not isinstance(node, dict):
        return node
    match node:
        case {"Ref": "AWS::NoValue"}:
            return ""
        case {"Ref": str(name)} if name.endswith(".Alias"):
            return "x" * 130
        case {"Ref": _}:
            return "x" * 64
        case {"Fn::GetAtt": _}:
            return "x" * 130
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{[\w:]+\}", "x" * 14, re.sub(r"\$\{\w+\.\w+\}", "x" * 130, text))
        case {"Fn::If": [_, one, other]}:
            return max(long(one), long(other), key=lambda value: len(json.dumps(value)))
    return {key: long(value) for key, value in node.items()}


def size(node: Any) -> int:
    return len(json.dumps(long(node), separators=(",", ":")))


def attached(function: str) -> Iterator[Any]:
    """The policies that nested stacks attach to the function's role."""
    for stack in resources_of_type("AWS::CloudFormation::Stack").values():
        for policy in resources_of_type("AWS::IAM::Policy", stack["Properties"]["TemplateURL"]).values():
            for role in policy["Properties"]["Roles"]:
                if stack["Properties"]["Parameters"].get(role["Ref"]) == {"Ref": f"{function}Role"}:
                    yield policy["Properties"]["PolicyDocument"]


@pytest.mark.parametrize("mesh", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_policies_of_a_role_and_its_environment_are_no_larger_than_aws_takes(name: str, *, mesh: bool) -> None:
    properties = load_template(mesh=mesh)["Resources"][name]["Properties"]
    policies = sum(size(policy) for policy in [*properties.get("Policies", []), *attached(name)])
    shared = load_template()["Globals"]["Function"]["Environment"]["Variables"]
    environment = size(shared | properties["Environment"]["Variables"] | {"RELEASE": "x" * 16})
    print(f"{name}: policies of {policies:,} bytes, environment of {environment:,}")
    assert policies <= ROLE_POLICIES
    assert environment <= ENVIRONMENT


def test_the_boundary_is_no_larger_than_a_managed_policy_may_be() -> None:
    boundary = size(load_template(mesh=True)["Resources"]["FunctionBoundary"]["Properties"]["PolicyDocument"])
    print(f"the boundary: {boundary:,} bytes")
    assert boundary <= MANAGED_POLICY


def test_a_function_of_the_api_has_one_permission_for_all_of_its_routes() -> None:
    permissions = resources_of_type("AWS::Lambda::Permission").values()
    invoked = Counter(found["Properties"]["FunctionName"]["Ref"].removesuffix(".Alias") for found in permissions)
    sites = {"StorefrontPages", "ConsolePages"}
    assert invoked == Counter({"Authorizer", *sites, *(route.function for route in routes())})
    for found in permissions:
        assert found["Properties"]["Principal"] == "apigateway.amazonaws.com"
        assert re.search(r":\$\{(Api|StorefrontSite|ConsoleSite)\}/", found["Properties"]["SourceArn"]["Fn::Sub"])


@pytest.mark.parametrize("path", SERVICES)
def test_a_service_is_handed_the_parameters_that_it_declares_and_no_others(path: str) -> None:
    """CloudFormation refuses an unknown parameter, and asks at the deploy for a missing one."""
    [entry] = [
        found["Properties"]
        for found in templates.resources_of_type(templates.read(ROOT / MAIN), templates.APPLICATION).values()
        if found["Properties"]["Location"] == path
    ]
    assert entry["Parameters"].keys() == templates.read(ROOT / path)["Parameters"].keys()


def test_each_folder_of_a_service_has_its_template_in_the_root() -> None:
    nested = {path.relative_to(ROOT).parts for path in templates.applications(ROOT / MAIN)}
    folders = {path.name for path in (ROOT / "functions").iterdir() if any(path.rglob("*.py"))}
    assert {parts for parts in nested if parts[0] == "functions"} == {
        ("functions", name, "template.yaml") for name in folders
    }


def test_the_layer_is_the_same_in_every_service() -> None:
    declared = [templates.read(ROOT / path)["Resources"]["CommonLayer"] for path in SERVICES]
    assert declared == declared[:1] * len(SERVICES)


def test_no_other_resource_is_in_two_services() -> None:
    names = Counter(name for path in SERVICES for name in templates.read(ROOT / path)["Resources"])
    assert {name for name, count in names.items() if count > 1} == {"CommonLayer", "PagesLayer"}


def test_the_boundary_lets_functions_have_the_secrets_that_have_the_shops_tag() -> None:
    secrets = resources_of_type("AWS::SecretsManager::Secret")
    assert secrets
    for secret in secrets.values():
        assert secret["Properties"]["Tags"] == [{"Key": "shop", "Value": {"Ref": "AWS::StackName"}}]
