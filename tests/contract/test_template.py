"""The templates keep exact permissions, a route for every service, and a dead-letter queue for every queue."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator
from typing import Any

import pytest

from infra import templates
from mercato.http import PUBLIC
from tests.kit.routes import all_routes
from tests.kit.template import MAIN, ROOT, load_template, resources_of_type, routes

FUNCTIONS = resources_of_type("AWS::Serverless::Function")
SUBSCRIPTIONS = {
    name: found
    for name, found in resources_of_type("AWS::CloudFormation::Stack").items()
    if name.endswith("Subscription")
}
PEERS = [name for name, function in FUNCTIONS.items() if "FunctionUrlConfig" in function["Properties"]]
CALLERS_OF_PEERS = {
    "CartsApi",
    "CheckoutApi",
    "DocumentsApi",
    "DocumentsConsumer",
    "GatewayApi",
    "NotificationsApi",
    "NotificationsConsumer",
    "OrdersApi",
    "OpsProber",
    "StorefrontPages",
    "ConsolePages",
}
METHODS = {"get", "post", "put", "patch", "delete"}
READS = {"get", "head", "options"}
# Actions for which AWS defines no resource.
UNNAMEABLE = {
    "codedeploy:PutLifecycleEventHookExecutionStatus",
    "servicediscovery:DiscoverInstances",
    "servicediscovery:ListServices",
    "servicediscovery:ListNamespaces",
    "sqs:ListQueues",
    "dynamodb:ListStreams",
    "lambda:ListEventSourceMappings",
    "lambda:ListFunctions",
    "logs:GetQueryResults",
    "logs:StopQuery",
    "xray:PutTelemetryRecords",
    "xray:PutTraceSegments",
}


def as_list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def statements(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "Effect" in node and "Action" in node:
            yield node
        for value in node.values():
            yield from statements(value)
    elif isinstance(node, list):
        for value in node:
            yield from statements(value)


def all_templates() -> list[str]:
    return [MAIN, *(str(path.relative_to(ROOT)) for path in sorted((ROOT / "infra").glob("*.yaml")))]


def test_each_table_of_prod_can_be_restored_to_any_second() -> None:
    tables = resources_of_type("AWS::DynamoDB::Table")
    found = {
        name
        for name, table in tables.items()
        if table["Properties"].get("PointInTimeRecoverySpecification")
        == {"PointInTimeRecoveryEnabled": {"Fn::If": ["IsProd", True, False]}}
    }
    assert found == tables.keys() - {"RateLimitsTable"}, "its counts are of a quarter of an hour"


def test_the_bus_has_an_archive_on_aws_alone() -> None:
    [(name, archive)] = resources_of_type("AWS::Events::Archive").items()
    assert (name, archive["Condition"]) == ("EventArchive", "OnAws"), "the emulator does not know the resource"
    assert archive["Properties"]["SourceArn"] == {"Fn::GetAtt": "Bus.Arn"}
    assert "EventPattern" not in archive["Properties"], "it has all events"


@pytest.mark.parametrize("path", all_templates())
def test_no_statement_allows_every_action(path: str) -> None:
    for statement in statements(load_template(path)):
        if statement["Effect"] == "Deny":
            continue
        assert [action for action in as_list(statement["Action"]) if "*" in action] == []


@pytest.mark.parametrize("path", all_templates())
def test_a_star_resource_stands_only_where_aws_names_none(path: str) -> None:
    for statement in statements(load_template(path)):
        if "*" in as_list(statement.get("Resource", [])):
            assert set(as_list(statement["Action"])) <= UNNAMEABLE


def granted_to_functions(*, mesh: bool) -> set[str]:
    functions = templates.resources_of_type(load_template(mesh=mesh), "AWS::Serverless::Function")
    if not mesh:
        del functions["MeshIssuer"]
    policies = [function["Properties"].get("Policies", []) for function in functions.values()]
    policies += [load_template("infra/outbox.yaml"), load_template("infra/subscription.yaml")]
    return {
        action
        for statement in statements(policies)
        if statement.get("Principal") is None
        for action in as_list(statement["Action"])
    }


@pytest.mark.parametrize("mesh", [False, True])
def test_the_boundary_lets_through_what_the_functions_are_granted_and_nothing_else(*, mesh: bool) -> None:
    boundary = load_template(mesh=mesh)["Resources"]["FunctionBoundary"]["Properties"]["PolicyDocument"]
    allowed = [action for statement in statements(boundary) for action in as_list(statement["Action"])]
    by_lambda_itself = {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "xray:PutTelemetryRecords",
        "xray:PutTraceSegments",
    }

    assert len(allowed) == len(set(allowed))
    assert set(allowed) == granted_to_functions(mesh=mesh) | by_lambda_itself


def test_every_function_has_a_log_group_that_forgets() -> None:
    kept = {
        found["Properties"]["LogGroupName"]["Fn::Sub"]: found["Properties"]["RetentionInDays"]
        for found in resources_of_type("AWS::Logs::LogGroup").values()
    }

    groups = [*(f"/aws/lambda/${{{name}}}" for name in FUNCTIONS), "/aws/apigateway/${AWS::StackName}"]
    groups += ["/aws/apigateway/${AWS::StackName}-mesh"]
    assert kept == {group: {"Ref": "LogRetentionDays"} for group in groups}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_handler_exists_and_its_import_needs_no_environment(name: str) -> None:
    module, _, attribute = FUNCTIONS[name]["Properties"]["Handler"].rpartition(".")

    assert callable(getattr(importlib.import_module(module), attribute))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_each_function_has_a_sample_event(name: str) -> None:
    assert (ROOT / "events" / f"{name}.json").exists(), f"write events/{name}.json, for `sam local invoke {name}`"


def test_every_service_prefix_takes_all_methods_so_that_its_router_answers_404_and_405() -> None:
    methods: dict[str, set[str]] = {}
    for route in routes():
        methods.setdefault(route.path, set()).add(route.method)

    shared = {"gateway", "relay"}
    prefixes = {served.route.path.split("/")[2] for served in all_routes() if served.service not in shared}
    prefixes -= {".well-known"}  # the actions of one file, and not of one service
    assert prefixes >= {"carts", "shipments"}
    for prefix in prefixes:
        assert methods[f"/api/{prefix}"] - {"head"} == METHODS | {"options"}
        assert methods[f"/api/{prefix}/{{proxy+}}"] - {"head"} == METHODS | {"options"}


def preference(path: str) -> list[int]:
    """API Gateway prefers a literal part to a parameter, and a parameter to `{proxy+}`."""
    return [0 if part == "{proxy+}" else 1 if part.startswith("{") else 2 for part in path.split("/")]


def fits(route: str, path: str) -> bool:
    literal, proxy, _ = route.partition("/{proxy+}")
    parts, wanted = literal.split("/"), path.split("/")
    long_enough = len(wanted) > len(parts) if proxy else len(wanted) == len(parts)
    return long_enough and all(
        mine == theirs or mine.startswith("{") for mine, theirs in zip(parts, wanted, strict=False)
    )


def test_who_has_no_token_reaches_each_route_for_strangers() -> None:
    for served in all_routes():
        if PUBLIC in served.route.roles:
            method, path = served.route.method.lower(), served.route.path
            found = [route for route in routes() if route.method == method and fits(route.path, path)]
            assert max(found, key=lambda route: preference(route.path)).is_public, f"{method} {path}"


def test_only_the_routes_meant_to_be_public_skip_the_authorizer() -> None:
    public = {(route.method, route.path) for route in routes() if route.is_public}
    heads = {path for method, path in public if method == "head"}
    assert heads <= {path for method, path in public if method == "get"}
    public = {(method, path) for method, path in public if method not in ("head", "options")}
    paths = (
        "/api/carts/guests",
        "/api/carts/guests/{proxy+}",
        "/api/checkouts/guests/{proxy+}",
        "/api/documents/guests/{proxy+}",
        "/api/notifications/guests/{proxy+}",
        "/api/orders/guests",
        "/api/orders/guests/{proxy+}",
        "/api/payments/guests/{proxy+}",
    )
    guests = {(method, path) for method in METHODS for path in paths}

    assert public == guests | {
        ("post", "/api/users"),
        ("post", "/api/users/{proxy+}"),
        ("get", "/api/.well-known/jwks.json"),
        ("get", "/api/products"),
        ("get", "/api/products/{proxy+}"),
        ("post", "/api/notifications/unsubscriptions/{token}"),
        ("get", "/api/notifications/guest-reminders/{token}"),
        ("delete", "/api/notifications/guest-reminders/{token}"),
        ("post", "/api/notifications/guest-wishes"),
        ("post", "/api/notifications/guest-wishes/{token}"),
        ("delete", "/api/notifications/guest-wishes/{token}"),
        ("post", "/api/payments/webhooks/{provider}"),
        ("post", "/api/shipments/webhooks/{carrier}"),
        ("post", "/api/shipments/quotes"),
        ("get", "/api/shipments/guests/{shipment_id}"),
        ("get", "/api/health"),
        ("get", "/api/openapi.json"),
        ("get", "/api/docs"),
        *((method, "/{proxy+}") for method in METHODS),
    }


def test_every_path_with_a_get_takes_head_too_with_the_same_authorizer() -> None:
    """The function answers 405 where it has no HEAD; API Gateway would answer 404."""
    by_method = {
        method: {route.path: route.is_public for route in routes() if route.method == method}
        for method in ("get", "head")
    }

    assert by_method["head"] == by_method["get"]


def test_every_body_comes_as_bytes() -> None:
    """In a text, API Gateway would replace what is not UTF-8 by U+FFFD."""
    api = load_template("template.yaml")["Resources"]["Api"]["Properties"]
    assert api["BinaryMediaTypes"] == ["*~1*"]


def test_every_path_takes_a_browsers_preflight_without_a_token() -> None:
    preflights = {route.path: route.is_public for route in routes() if route.method == "options"}

    assert preflights == {route.path: True for route in routes()}


def test_the_gateways_own_answers_are_problems_that_a_browser_may_read_and_nobody_may_keep() -> None:
    said = load_template("template.yaml")["Resources"]["Api"]["Properties"]["GatewayResponses"]

    assert {
        "UNAUTHORIZED",
        "ACCESS_DENIED",
        "AUTHORIZER_FAILURE",
        "AUTHORIZER_CONFIGURATION_ERROR",
        "DEFAULT_4XX",
        "DEFAULT_5XX",
        "THROTTLED",
        "INTEGRATION_TIMEOUT",
    } <= said.keys()
    for name, answer in said.items():
        headers = answer["ResponseParameters"]["Headers"]
        assert headers["Content-Type"] == "'application/problem+json'", name
        assert headers["X-Request-Id"] == "context.requestId", name
        assert headers["Access-Control-Allow-Origin"] == "'*'", name
        assert headers["Cache-Control"] == "'no-store'", name
        assert headers["X-Content-Type-Options"] == "'nosniff'", name
        assert headers["Content-Security-Policy"] == "'sandbox'", name
        assert headers["X-Frame-Options"] == "'DENY'", name
        assert headers["Strict-Transport-Security"].startswith("'max-age="), name
        problem = json.loads(answer["ResponseTemplates"]["application/json"])
        assert problem["type"].startswith("urn:mercato:problem:"), name
        assert problem.get("status") == answer.get("StatusCode"), name
        assert ("Retry-After" in headers) == (answer.get("StatusCode") in (429, 503)), name


def test_every_api_keeps_the_ingress() -> None:
    """Every API counts its clients' requests, and records what admins do where an admin's request can arrive."""
    shared = load_template("template.yaml")["Globals"]["Function"]["Environment"]["Variables"]
    assert {"RATE_LIMITS_TABLE", "RATE_LIMIT_PER_15_MINUTES", "AUDIT_TABLE", "ALLOWED_ORIGINS"} <= shared.keys()
    for name, function in FUNCTIONS.items():
        own = [route for route in routes() if route.function == name]
        knows_admins = any(route.method not in READS and not route.is_public for route in own)
        assert ("dynamodb:UpdateItem" in allowed_on(function, "RateLimitsTable")) == bool(own), name
        assert ("dynamodb:PutItem" in allowed_on(function, "AuditTable")) == knows_admins, name


def test_no_function_may_change_or_delete_what_the_audit_log_says() -> None:
    granted = {action for function in FUNCTIONS.values() for action in allowed_on(function, "AuditTable")}

    assert granted == {"dynamodb:PutItem", "dynamodb:Query"}


def allowed_on(function: dict[str, Any], table: str) -> set[str]:
    return {
        action
        for statement in statements(function["Properties"].get("Policies", []))
        if f"{table}.Arn" in str(statement["Resource"])
        for action in as_list(statement["Action"])
    }


def test_the_prober_knows_and_may_ask_and_mark_every_registered_service() -> None:
    prober = FUNCTIONS["OpsProber"]["Properties"]
    registered = resources_of_type("AWS::ServiceDiscovery::Service")
    del registered["ApiRegistration"]  # the path to all of them, which has no function
    expected = {f"{found['Properties']['Name']}=${{{name}}}" for name, found in registered.items()}
    allowed = {
        action: as_list(statement["Resource"])
        for statement in statements(prober)
        for action in as_list(statement["Action"])
    }

    assert expected
    assert set(prober["Environment"]["Variables"]["SERVICES"]["Fn::Sub"].split(",")) == expected
    for name in registered:
        api = name.replace("Registration", "Api")
        assert {"Fn::GetAtt": f"{name}.Arn"} in allowed["servicediscovery:UpdateInstanceCustomHealthStatus"]
        assert {"Ref": f"{api}.Alias"} in allowed["lambda:InvokeFunctionUrl"]
        assert {"Ref": f"{api}.Alias"} in allowed["lambda:InvokeFunction"]


@pytest.mark.parametrize(
    "name", [name for name, found in FUNCTIONS.items() if "FunctionUrlConfig" in found["Properties"]]
)
def test_a_service_may_look_at_what_its_health_depends_on(name: str) -> None:
    properties = FUNCTIONS[name]["Properties"]
    variables = properties["Environment"]["Variables"]
    table = {"Fn::GetAtt": f"{variables['TABLE_NAME']['Ref']}.Arn"}
    granted = [statement for statement in statements(properties) if table in as_list(statement["Resource"])]

    assert any("dynamodb:GetItem" in as_list(statement["Action"]) for statement in granted)
    if "QUEUE_NAME" in variables:
        queue = variables["QUEUE_NAME"]["Fn::Sub"]
        (grant,) = [one for one in statements(properties) if "sqs:GetQueueUrl" in as_list(one["Action"])]
        assert grant["Resource"]["Fn::Sub"].endswith(f":{queue}")
        subscribed = [one["Properties"]["Parameters"]["QueueName"] for one in SUBSCRIPTIONS.values()]
        assert {"Fn::Sub": queue} in subscribed


@pytest.mark.parametrize("name", sorted(CALLERS_OF_PEERS - {"OpsProber"}))
def test_who_calls_peers_has_circuits_for_them(name: str) -> None:
    properties = FUNCTIONS[name]["Properties"]
    circuits = {"Fn::GetAtt": "CircuitsTable.Arn"}
    granted = [action for one in statements(properties) if one["Resource"] == circuits for action in one["Action"]]

    assert properties["Environment"]["Variables"]["CIRCUITS_TABLE"] == {"Ref": "CircuitsTable"}
    assert set(granted) == {"dynamodb:BatchGetItem", "dynamodb:UpdateItem", "dynamodb:PutItem"}


def test_nobody_else_calls_peers() -> None:
    """Except the prober, which calls also those that are down."""
    callers = {
        name
        for name, function in FUNCTIONS.items()
        for statement in statements(function)
        if "lambda:InvokeFunctionUrl" in as_list(statement["Action"])
    }
    assert callers == CALLERS_OF_PEERS


def test_a_peer_is_invoked_through_its_url_alone() -> None:
    """In a direct invocation the caller could claim any user and role."""
    direct = {
        name: statement
        for name, function in FUNCTIONS.items()
        for statement in statements(function)
        if "lambda:InvokeFunction" in as_list(statement["Action"])
    }
    # The smoke test asks a version that has no URL yet, with events that name no caller (rollout.questions).
    assert direct.pop("RolloutSmoke")["Resource"]["Fn::Sub"].endswith(":function:${AWS::StackName}-*:*")
    assert direct.keys() == CALLERS_OF_PEERS
    for name, statement in direct.items():
        # AWS denies lambda:InvokeFunctionUrl under this condition.
        assert statement["Action"] == ["lambda:InvokeFunction"], name
        assert statement["Condition"] == {"Bool": {"lambda:InvokedViaFunctionUrl": True}}, name
