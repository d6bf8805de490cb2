"""The mesh's policy file: what it says, and that each mistake is told with its line."""

from __future__ import annotations

import re

import pytest

from infra.mesh import compiled, envoy, policy
from infra.mesh.policy import Call, PolicyError

GOOD = """\
trust_domain: mercato
identities:
  orders: {functions: [OrdersApi]}
  ops: {functions: [OpsProber], timeout: 10s}
defaults:
  timeout: 5s
  connect: 1s
  resend: {attempts: 2, budget: 10}
  eject: {after: 5, for: 30s}
services:
  products:
    callers:
      orders: [POST /api/products/lookup, "GET /api/products/{id}", POST /api/products]
      ops: [GET /health]
    reads: [POST /api/products/lookup]
    versions: {live: {}, canary: {pin: {header: x-mesh-version, is: canary}}}
    mirror: {to: canary, percent: 30, only: [POST /api/products/lookup]}
    faults:
      - {when: {header: x-mesh-fault, is: slow}, delay: 200ms, percent: 50, environments: [local]}
"""


def test_a_policy_lists_who_may_call_what() -> None:
    found = policy.parse(GOOD)
    assert found.allows("orders", "products", "POST", "/api/products/lookup")
    assert found.allows("orders", "products", "GET", "/api/products/p-1")
    assert not found.allows("orders", "products", "GET", "/api/products/p-1/images"), "{id} is one segment"
    assert not found.allows("orders", "products", "GET", "/health")
    assert not found.allows("ops", "products", "POST", "/api/products/lookup")
    assert not found.allows("orders", "users", "GET", "/health")
    assert not found.allows("stranger", "products", "GET", "/health")


@pytest.mark.parametrize(
    ("line", "old", "new", "said"),
    [
        (1, "trust_domain: mercato", "trust_domain: Mercato Ltd", "trust_domain: String should match pattern"),
        (3, "[OrdersApi]", "[]", "identities.orders.functions: List should have at least 1 item"),
        (4, "[OpsProber]", "[OrdersApi]", "OrdersApi has the identity orders"),
        (6, "5s", "5 minutes", "defaults.timeout: is no duration such as 200ms or 5s"),
        (6, "  timeout: 5s\n", "  timeout: 5s\n  timout: 5s\n", "defaults.timout: Extra inputs are not permitted"),
        (8, "budget: 10", "budget: 101", "defaults.resend.budget: Input should be less than or equal to 100"),
        (13, "POST /api/products/lookup,", "FETCH /api/products/lookup,", "products.callers.orders.0: is no call"),
        (13, "POST /api/products]", "POST api/products]", "services.products.callers.orders.2: is no call such as"),
        (13, "POST /api/products]", "POST /api/products/lookup]", "POST /api/products/lookup is listed twice"),
        (14, "ops: [GET", "shipping: [GET", "shipping is none of the identities"),
        (14, "ops: [GET", "orders: [GET", "services.products.callers.orders: is here twice"),
        (
            15,
            "[POST /api/products/lookup]\n    versions",
            "[POST /api/x]\n    versions",
            "no caller may call POST /api/x",
        ),
        (16, "live: {},", "alive: {},", "there is no version live"),
        (16, "live: {},", "live: {pin: {header: x-y, is: z}},", "the live version gets all calls without a pin"),
        (17, "to: canary", "to: live", "live is no version beside live"),
        (17, "percent: 30", "percent: lots", "services.products.mirror.percent: Input should be a valid integer"),
        (17, "only: [POST /api/products/lookup]", "only: [POST /api/products]", "POST /api/products is a write"),
        (17, "only: [POST /api/products/lookup]", "only: [GET /api/z]", "no caller may call GET /api/z"),
        (19, "delay: 200ms,", "", "a fault has either a delay or an abort"),
        (19, "delay: 200ms,", "abort: 200,", "abort: Input should be greater than or equal to 400"),
        (19, "[local]", "[staging]", "environments.0: Input should be 'local', 'dev' or 'prod'"),
        (19, "when: {header: x-mesh-fault, is: slow}, ", "", "in prod, a fault needs the header"),
        (8, "{attempts: 2, budget: 10}", "{attempts: 2, budget: 10", "it is no YAML"),
    ],
)
def test_each_mistake_is_told_with_its_line(line: int, old: str, new: str, said: str) -> None:
    text = GOOD.replace(old, new, 1)
    if "in prod" in said:
        text = text.replace("[local]", "[prod]")
    assert text != GOOD
    with pytest.raises(PolicyError) as refused:
        policy.parse(text)
    assert any(said in problem for problem in refused.value.problems), refused.value.problems
    if "no YAML" in said:  # the parser tells the line at which it gives up
        return
    # A line that was put in moves the others.
    assert any(problem.startswith(f"{line + text.count('timout')}: ") for problem in refused.value.problems)


def test_a_file_that_is_no_mapping_is_refused() -> None:
    with pytest.raises(PolicyError, match="the policy is a mapping"):
        policy.parse("[]")


def test_a_call_is_a_pattern_for_envoy_and_a_wildcard_for_iam() -> None:
    call = Call("GET", "/api/carts/guests/{cart_id}/items.v1")
    assert re.fullmatch(call.pattern, "/api/carts/guests/abc/items.v1")
    assert not re.fullmatch(call.pattern, "/api/carts/guests/abc/itemsXv1"), "a dot is a dot"
    assert not re.fullmatch(call.pattern, "/api/carts/guests//items.v1")
    assert call.wildcard == "/api/carts/guests/*/items.v1"


def test_a_pinned_or_retried_call_has_no_other_version_behind_it_and_no_copy() -> None:
    [products, unknown] = envoy.routes(policy.parse(GOOD), "orders", "local")["resources"][0]["virtual_hosts"]
    routes = [route for route in products["routes"] if route["name"] == "products POST /api/products/lookup"]
    pinned, retried, weighted = routes
    assert [route["route"]["cluster"] for route in (pinned, retried)] == ["products.canary", "products.live"]
    assert not any("request_mirror_policies" in route["route"] for route in (pinned, retried))
    assert retried["match"]["headers"][1] == {"name": "x-mesh-retry", "string_match": {"exact": "true"}}
    assert weighted["route"]["weighted_clusters"]["clusters"] == [
        {"name": "products.live", "weight": 100},
        {"name": "products.canary+live", "weight": 0},
    ]
    assert weighted["route"]["request_mirror_policies"][0]["cluster"] == "products.canary"
    assert [route["direct_response"]["status"] for route in (products["routes"][-1], *unknown["routes"])] == [403, 403]


def test_a_write_is_never_mirrored() -> None:
    text = GOOD.replace("reads: [POST /api/products/lookup]", "reads: []")
    with pytest.raises(PolicyError, match="POST /api/products/lookup is a write"):
        policy.parse(text)


def test_a_fault_is_of_its_environments_alone() -> None:
    def faults(environment: policy.Environment) -> list[dict[str, object]]:
        hosts = envoy.routes(policy.parse(GOOD), "orders", environment)["resources"][0]["virtual_hosts"]
        return [route["typed_per_filter_config"]["mesh.fault.0"] for route in hosts[0]["routes"][:-1]]

    assert all("delay" in fault and "headers" in fault for fault in faults("local"))
    assert all(set(fault) == {"@type"} for fault in faults("prod"))


def test_permissions_are_of_the_listed_calls_alone() -> None:
    ingress = "arn:${AWS::Partition}:execute-api:${AWS::Region}:${AWS::AccountId}:${MeshIngress}/$default"
    assert compiled.permissions(policy.parse(GOOD), "orders") == [
        f"{ingress}/POST/products/*/api/products/lookup",
        f"{ingress}/GET/products/*/api/products/*",
        f"{ingress}/POST/products/*/api/products",
    ]
