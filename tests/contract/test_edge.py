"""What stands at the edge of a shop on AWS: absent by default, and exactly what its parameters name."""

from __future__ import annotations

from typing import Any

import pytest

from tests.contract.test_stacks import SERVICES, expanded
from tests.kit.template import MAIN, ROOT, load_template, rendered, resources_of_type

EDGE = "infra/api-edge.yaml"
OF_EDGE = {"Shop": "mercato-prod", "Api": "abc", "Stage": "prod", "Domain": "", "CertificateArn": "", "Waf": "none"}
DOMAIN = {"ApiDomain": "api.shop.test", "ApiCertificateArn": "arn:aws:acm:eu-west-1:123456789012:certificate/1"}
# Of these a flood of public requests must leave enough: without them no order is paid, and no event is published.
RESERVED = {
    "AuthorizerConcurrency": ["Authorizer"],
    "RelayConcurrency": ["Relay"],
    "SagaConcurrency": ["InventorySaga", "OrdersSaga", "PaymentsSaga", "ShippingSaga"],
}


def edge(**given: str) -> dict[str, Any]:
    return rendered(EDGE, **OF_EDGE | {"WafLimit": "2000"} | given)


def test_by_default_the_api_has_no_domain_and_no_firewall() -> None:
    made = rendered(MAIN, Environment="prod")
    assert "ApiEdge" not in made
    assert "ApiDomainTarget" not in made
    assert edge() == {}


@pytest.mark.parametrize("given", [DOMAIN, {"ApiWaf": "count"}, {"ApiWaf": "block"}, DOMAIN | {"ApiWaf": "block"}])
def test_either_of_them_makes_the_edges_stack(given: dict[str, str]) -> None:
    made = rendered(MAIN, **given)
    assert made["ApiEdge"]["Properties"]["Parameters"].keys() == OF_EDGE.keys() | {"WafLimit"}
    assert ("ApiDomainTarget" in made) is ("ApiDomain" in given)


def test_a_domain_leads_to_the_stage_without_its_name_in_the_path() -> None:
    made = edge(Domain="api.shop.test", CertificateArn=DOMAIN["ApiCertificateArn"])
    assert made.keys() == {"ApiDomain", "ApiPath", "Target"}
    assert made["ApiDomain"]["Properties"] == {
        "DomainName": "api.shop.test",
        "RegionalCertificateArn": DOMAIN["ApiCertificateArn"],
        "EndpointConfiguration": {"Types": ["REGIONAL"]},
        "SecurityPolicy": "TLS_1_2",
    }
    assert made["ApiPath"]["Properties"] == {"DomainName": {"Ref": "ApiDomain"}, "RestApiId": "abc", "Stage": "prod"}


def actions(made: dict[str, Any]) -> dict[str, str]:
    """What each rule of the web ACL does with a request that it matches."""
    rules = made["WebAcl"]["Properties"]["Rules"]
    return {rule["Name"]: "".join(rule.get("Action") or rule["OverrideAction"]) for rule in rules}


def test_the_firewall_first_only_counts() -> None:
    made = edge(Waf="count")
    assert made.keys() == {"WebAcl", "WebAclOfStage"}
    assert set(actions(made).values()) == {"Count"}
    assert made["WebAcl"]["Properties"]["DefaultAction"] == {"Allow": {}}


def test_the_firewall_blocks_when_it_is_told_to() -> None:
    assert actions(edge(Waf="block")) == {
        "without-token": "Block",
        "all": "Block",
        "bad-addresses": "None",  # the rules of AWS's groups keep their own actions
        "known-exploits": "None",
        "common-attacks": "None",
    }


def test_the_firewall_is_of_the_stage_whatever_name_it_is_asked_by() -> None:
    made = edge(Waf="block")
    assert made["WebAcl"]["Properties"]["Scope"] == "REGIONAL"
    arn = made["WebAclOfStage"]["Properties"]["ResourceArn"]["Fn::Sub"]
    assert arn == "arn:${AWS::Partition}:apigateway:${AWS::Region}::/restapis/${Api}/stages/${Stage}"


def test_requests_with_a_token_have_the_wider_limit_since_the_pages_send_them_for_all_visitors() -> None:
    rules = {
        rule["Name"]: rule["Statement"] for rule in edge(Waf="block", WafLimit="500")["WebAcl"]["Properties"]["Rules"]
    }
    narrow, wide = (rules[name]["RateBasedStatement"] for name in ("without-token", "all"))
    assert (narrow["Limit"], narrow["AggregateKeyType"], narrow["EvaluationWindowSec"]) == ("500", "IP", 300)
    token = narrow["ScopeDownStatement"]["NotStatement"]["Statement"]["SizeConstraintStatement"]
    assert token["FieldToMatch"] == {"SingleHeader": {"Name": "authorization"}}
    assert (token["ComparisonOperator"], token["Size"]) == ("GT", 0)
    assert "ScopeDownStatement" not in wide, "a false token would evade both"
    most = int(load_template(MAIN)["Parameters"]["ApiWafLimit"]["MaxValue"])
    assert (wide["Limit"], wide["AggregateKeyType"]) == (most, "IP")


def test_what_the_api_takes_is_not_refused_for_its_size() -> None:
    """A body may have 256 KiB, and AWS's common rules refuse 8 KB."""
    [common] = [rule for rule in edge(Waf="block")["WebAcl"]["Properties"]["Rules"] if rule["Name"] == "common-attacks"]
    overrides = common["Statement"]["ManagedRuleGroupStatement"]["RuleActionOverrides"]
    assert {one["Name"]: one["ActionToUse"] for one in overrides} == {
        "SizeRestrictions_BODY": {"Count": {}},
        "NoUserAgent_HEADER": {"Count": {}},
    }


@pytest.mark.parametrize(("given", "enabled"), [("stage", False), ("method", True)])
def test_metrics_of_each_method_are_made_on_demand(given: str, enabled: bool) -> None:
    [settings] = rendered("infra/api.yaml", ApiMetrics=given)["Api"]["Properties"]["MethodSettings"]
    assert settings["MetricsEnabled"] is enabled
    assert load_template(MAIN)["Parameters"]["ApiMetrics"]["Default"] == "stage"


@pytest.mark.parametrize("concurrency", ["0", "20"])
def test_concurrency_is_reserved_for_what_an_order_needs_and_only_on_demand(concurrency: str) -> None:
    """A reservation of 0 would switch the function off."""
    given = dict.fromkeys(RESERVED, concurrency)
    reserved = {
        name: resource["Properties"]["ReservedConcurrentExecutions"]
        for path in SERVICES
        for name, resource in rendered(path, **given).items()
        if "ReservedConcurrentExecutions" in resource.get("Properties", {})
    }
    functions = [name for names in RESERVED.values() for name in names]
    assert reserved == (dict.fromkeys(functions, "20") if concurrency == "20" else {})


def test_the_root_hands_each_reservation_to_the_services_that_it_is_for() -> None:
    root = load_template(MAIN)["Parameters"]
    applications = rendered(MAIN)
    for parameter, names in RESERVED.items():
        assert root[parameter]["Default"] == 0
        handed = [
            applications[name]["Properties"]["Location"]
            for name in applications
            if parameter in applications[name].get("Properties", {}).get("Parameters", {})
        ]
        folders = {resources_of_type("AWS::Serverless::Function")[name]["Properties"]["CodeUri"] for name in names}
        assert {location.removesuffix("/template.yaml") for location in handed} == folders


@pytest.mark.parametrize("path", SERVICES)
def test_all_functions_and_layers_of_a_service_are_of_one_architecture(path: str) -> None:
    for name, resource in expanded(path).items():
        if resource["Type"] == "AWS::Lambda::Function":
            assert resource["Properties"]["Architectures"] == [{"Ref": "Architecture"}], name
        if resource["Type"] == "AWS::Lambda::LayerVersion":
            assert resource["Properties"]["CompatibleArchitectures"] == [{"Ref": "Architecture"}], name


def test_a_deploy_builds_for_the_architecture_of_its_environment() -> None:
    steps = (ROOT / "Makefile").read_text().partition("\ndeploy:")[2].partition("\n\n")[0]
    assert "architecture=$$(python -m infra.preflight architecture $(or $(ENV),dev))" in steps
    assert "ARCHITECTURE=$$architecture sam build --parameter-overrides Architecture=$$architecture" in steps
    assert load_template(MAIN)["Parameters"]["Architecture"]["Default"] == "x86_64"
