"""The document equals a newly generated one, is complete, and breaks no released client."""

from __future__ import annotations

import json
import re
import warnings
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import jsonschema
import pytest
from click.testing import CliRunner
from openapi_spec_validator import OpenAPIV31SpecValidator
from pydantic import BaseModel

from checkout.domain import KEPT_FOR
from documents.domain import Numbering, check_prefixes
from infra.contract import events
from infra.contract.command import contract
from infra.contract.openapi import examples
from infra.contract.openapi.operations import Operation, operations
from infra.contract.openapi.problems import problems_of
from infra.contract.services import SERVICES
from mercato import addresses
from mercato.http import PEER, PUBLIC, idempotency
from notifications.api import KindSwitch
from notifications.domain import BY_SMS, SWITCHABLE
from promotions.domain import Coupon, changed_coupon, checked
from promotions.views import CouponChanges, NewCoupon
from tests.conftest import NOON
from tests.kit.template import routes

DOCUMENT: dict[str, Any] = json.loads(events.OPENAPI.read_text())
OPERATIONS = [
    (method, path, operation) for path, methods in DOCUMENT["paths"].items() for method, operation in methods.items()
]


def by_name(value: Any) -> str:
    return value["operationId"] if isinstance(value, dict) else str(value)


def operation(name: str) -> dict[str, Any]:
    (found,) = [one for _, _, one in OPERATIONS if one["operationId"] == name]
    return dict(found)


def route(name: str) -> Operation:
    (found,) = [one for one in operations() if one.name == name]
    return found


def test_the_document_is_what_the_routes_and_models_make_of_it() -> None:
    wanted = events.files()[events.OPENAPI.resolve()]

    assert events.OPENAPI.read_text() == wanted, "run `mercato contract` and commit docs/openapi.json"


def test_the_document_is_valid_openapi_3_1() -> None:
    assert [error.message for error in OpenAPIV31SpecValidator(DOCUMENT).iter_errors()] == []


def test_no_client_of_the_last_release_is_broken_unless_the_version_says_so() -> None:
    found = events.breaking_clients()

    if found and events.may_break_clients():
        warnings.warn(f"{len(found)} changes break the last release: mercato contract --breaks", stacklevel=1)
    else:
        assert found == [], "clients of the last release would break"


def test_the_command_counts_what_breaks_clients_and_lists_it_on_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    def told(*options: str) -> list[str]:
        return CliRunner().invoke(contract, options).output.splitlines()

    monkeypatch.setattr(events, "write", list)  # what both find is tested above
    monkeypatch.setattr(events, "breaking_clients", list)
    assert told("--breaks") == []

    monkeypatch.setattr(events, "breaking_clients", lambda: ["POST /api/teas: `sugar` is gone"])
    count = "Changes that break clients of the last release, as the new version may: 1 (--breaks)"
    assert told() == [count]
    assert told("--breaks") == [count, "  POST /api/teas: `sugar` is gone"]


def test_every_public_route_of_every_service_is_there_and_no_peers_route() -> None:
    listed = {f"{method.upper()} {path}" for method, path, _ in OPERATIONS}

    assert {str(one) for one in operations()} == listed
    assert "POST /api/products/lookup" not in listed
    assert not any(path.startswith("/health") for _, path, _ in OPERATIONS)
    for one in operations():
        assert one.route.roles != {PEER}
    assert {tag["name"] for tag in DOCUMENT["tags"]} == set(SERVICES)


@pytest.mark.parametrize(("method", "path", "found"), OPERATIONS, ids=by_name)
def test_each_operation_is_described_and_says_who_may_call_it(method: str, path: str, found: dict[str, Any]) -> None:
    assert found["summary"]
    assert len(found["tags"]) == 1
    assert bool(found["security"]) == bool(found.get("x-roles"))
    assert {part["name"] for part in found.get("parameters", []) if part.get("in") == "path"} == set(
        re.findall(r"\{(\w+)\}", path)
    )
    assert "429" in found["responses"]
    if found["security"]:
        assert "401" in found["responses"]


def contents(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        if "schema" in node and ("example" in node or "examples" in node):
            yield node
        for value in node.values():
            yield from contents(value)
    elif isinstance(node, list):
        for value in node:
            yield from contents(value)


def test_every_example_is_one_of_its_schema() -> None:
    shown = list(contents({"paths": DOCUMENT["paths"], "components": DOCUMENT["components"]}))

    assert len(shown) > 100
    for content in shown:
        schema = content["schema"] | {"components": DOCUMENT["components"]}
        for example in [content["example"]] if "example" in content else content["examples"].values():
            value = example["value"] if "examples" in content else example
            jsonschema.validate(value, schema, cls=jsonschema.Draft202012Validator)


def test_every_example_of_a_body_is_taken_by_its_model() -> None:
    for one in operations():
        if one.body is not None and issubclass(one.body, BaseModel):
            content = operation(one.name)["requestBody"]["content"]["application/json"]
            one.body.model_validate_json(json.dumps(content["example"]))


def whole(component: str) -> str:
    return json.dumps(examples.WHOLE[component])


def test_no_example_of_a_body_is_refused_by_the_rules_of_its_service() -> None:
    """A schema cannot say what one field asks of another one."""
    for name in ("orders.ShippingAddress", "checkout.AddressGiven"):
        address = examples.WHOLE[name]
        assert list(addresses.findings(address["country"], address["postcode"], address.get("region"))) == [], name
    check_prefixes(Numbering.model_validate_json(whole("documents.Numbering")), {})
    given = NewCoupon.model_validate_json(whole("promotions.NewCoupon")).given()
    coupon = checked(Coupon(**given | {"created_at": NOON}))
    changes = CouponChanges.model_validate_json(whole("promotions.CouponChanges")).given()
    assert changed_coupon(coupon, 1, changes).version == 2
    switched = KindSwitch.model_validate_json(whole("notifications.KindSwitch")).kind
    assert switched in set(SWITCHABLE) & set(BY_SMS)
    received = examples.WHOLE["orders.LineReceived"]
    assert received["restock"] + received["write_off"] > 0


def test_each_whole_example_is_one_that_the_document_shows() -> None:
    assert examples.WHOLE.keys() - DOCUMENT["components"]["schemas"].keys() == set()
    placed = operation("place_order")["requestBody"]["content"]["application/json"]["example"]
    assert placed["shipping_address"] == examples.WHOLE["orders.ShippingAddress"]


def test_an_order_states_its_key_its_statuses_and_what_can_go_wrong() -> None:
    found = operation("place_order")

    assert found["parameters"] == [{"$ref": "#/components/parameters/IdempotencyKey"}]
    assert found["security"] == [{"accessToken": []}]
    assert found["x-roles"] == ["admin", "customer"]
    assert [status for status in found["responses"] if status < "300"] == ["202"]
    assert found["responses"]["202"]["headers"]["Location"] == {"$ref": "#/components/headers/Location"}
    assert found["responses"]["202"]["links"]["get_order"]["parameters"] == {"order_id": "$response.body#/order_id"}
    problems = {status: {kind.slug() for kind in kinds} for status, kinds in problems_of(route("place_order")).items()}
    assert problems[400] == {"invalid-idempotency-key", "malformed"}
    assert problems[409] == {"cart-already-ordered", "price-changed", "quote-changed"}
    assert "unknown-product" in problems[422]


def test_a_list_states_its_page_and_its_filters() -> None:
    parameters = {part["name"]: part for part in operation("list_orders")["parameters"]}

    assert parameters.keys() == {"status", "limit", "cursor"}
    assert parameters["limit"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}
    assert not any(part["required"] for part in parameters.values())


def test_a_list_says_what_its_parameters_mean() -> None:
    """A query's model is no component, so the operation has its description."""
    assert "Prices are in minor units" in operation("list_products")["description"]
    assert "separated by commas" in operation("list_products")["description"]
    for one in operations():
        said = vars(one.query).get("__doc__") if one.query else None
        assert " ".join((said or "").split()) in operation(one.name).get("description", ""), one


def test_a_field_that_a_change_leaves_out_has_no_default() -> None:
    """A client that sent the default would overwrite what it left out."""
    for method, path, found in OPERATIONS:
        if method == "patch":
            body = found["requestBody"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
            fields = DOCUMENT["components"]["schemas"][body]["properties"]
            assert {name for name, field in fields.items() if "default" in field} == set(), path


def test_only_an_operation_that_takes_a_key_answers_about_keys() -> None:
    for _, _, found in OPERATIONS:
        takes_key = {"$ref": "#/components/parameters/IdempotencyKey"} in found.get("parameters", [])
        answers = json.dumps(found["responses"])
        assert takes_key or not re.search("idempotency-key|request-in-flight", answers), found["operationId"]


def test_a_key_is_known_for_the_day_that_the_document_promises() -> None:
    assert "sent again within a day" in " ".join(DOCUMENT["info"]["description"].split())
    assert min(idempotency.KEPT, KEPT_FOR) >= timedelta(days=1)


def test_a_field_s_rule_keeps_its_names_in_capitals() -> None:
    assert DOCUMENT["components"]["schemas"]["Money"]["properties"]["currency"]["description"] == (
        "Must be an ISO 4217 code, such as GBP."
    )


def test_a_webhook_states_its_signature_and_the_model_that_it_reads() -> None:
    found = operation("hear_sandbox")

    assert [part["$ref"].rpartition("/")[2] for part in found["parameters"]] == ["WebhookTimestamp", "WebhookSignature"]
    body = found["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/payments.WebhookEvent"}


def test_what_is_not_json_says_what_it_is() -> None:
    assert list(operation("import_products")["requestBody"]["content"]) == ["text/csv"]
    assert list(operation("show_docs")["responses"]["200"]["content"]) == ["text/html"]


def test_every_operation_has_a_way_through_the_gateway() -> None:
    """A path of the document is a path of the template, or below one of its {proxy+}."""
    served = {(route.method, route.path) for route in routes()}
    for method, path, _ in OPERATIONS:
        parts = path.split("/")
        prefixes = {"/".join(parts[:count]) + "/{proxy+}" for count in range(2, len(parts))} - {"/{proxy+}"}
        assert any((method, one) in served for one in {path, *prefixes}), f"{method} {path} is not in infra/api.yaml"


def test_the_gateway_asks_for_a_token_where_a_route_needs_one() -> None:
    """API Gateway uses the most specific path that matches a request. Without its authorizer a service knows no caller,
    and answers 401 also to a request with a token.
    """
    served = {(route.method, route.path): route for route in routes()}
    for found in operations():
        roles, method, path = found.route.roles, found.route.method.lower(), found.route.path
        if PUBLIC in roles or roles == {PEER}:
            continue
        parts = path.split("/")
        prefixes = ["/".join(parts[:count]) + "/{proxy+}" for count in range(len(parts) - 1, 1, -1)]
        route = next(route for one in (path, *prefixes) if (route := served.get((method, one))))
        assert not route.is_public, f"{method} {path} is behind {route.path}, which asks for no token"
