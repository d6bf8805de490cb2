"""Every route states who may call it, and no request model has a field that only the server may set."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, get_args, get_origin

import pytest
from pydantic import BaseModel

from mercato.http import ADMIN, CUSTOMER, PEER, PUBLIC, App, Body, Query, RawBody, Request, SignedBody
from mercato.http.auth import Role
from mercato.telemetry.paths import hide_capability
from tests.kit.routes import Served, all_routes

ROUTES = all_routes()

# To add a route to one of these lists is to state that a stranger, or any customer, may call it.
FOR_STRANGERS = {
    "GET /api/.well-known/jwks.json",
    "GET /api/carts/guests/{cart_id}",
    "DELETE /api/carts/guests/{cart_id}/items/{product_id}",
    "GET /api/checkouts/guests/{cart_id}/{checkout_id}",
    "GET /api/documents/guests/{token}",
    "GET /api/documents/guests/{token}/{document_id}",
    "GET /api/documents/guests/{token}/{document_id}/pdf",
    "GET /api/health",
    "GET /api/notifications/guest-reminders/{token}",
    "GET /api/notifications/guests/{token}/preferences",
    "GET /api/orders/guests/{token}",
    "GET /api/products",
    "GET /api/products/{product_id}",
    "GET /api/shipments/guests/{shipment_id}",
    "PATCH /api/checkouts/guests/{cart_id}/{checkout_id}",
    "POST /api/carts/guests",
    "POST /api/carts/guests/{cart_id}/items/{product_id}",
    "POST /api/checkouts/guests/{cart_id}",
    "DELETE /api/notifications/guest-reminders/{token}",
    "DELETE /api/notifications/guest-wishes/{token}",
    "DELETE /api/notifications/guests/{cart_id}/reminder",
    "POST /api/notifications/guest-wishes",
    "POST /api/notifications/guest-wishes/{token}",
    "POST /api/notifications/unsubscriptions/{token}",
    "POST /api/orders/guests",
    "POST /api/orders/guests/{token}/cancel",
    "POST /api/orders/guests/{token}/payments",
    "POST /api/orders/guests/{token}/returns",
    "POST /api/orders/guests/{token}/returns/{return_id}/cancel",
    "POST /api/payments/guests/sandbox/challenges/{charge_id}",
    "POST /api/payments/webhooks/sandbox",
    "POST /api/payments/webhooks/stripe",
    "POST /api/shipments/quotes",
    "POST /api/shipments/webhooks/easypost",
    "POST /api/shipments/webhooks/sandbox",
    "POST /api/users",
    "POST /api/users/login",
    "POST /api/users/logout",
    "POST /api/users/password-reset",
    "POST /api/users/password-reset/confirm",
    "POST /api/users/token/refresh",
    "POST /api/users/verify-email",
    "PUT /api/carts/guests/{cart_id}/items/{product_id}",
    "PUT /api/notifications/guests/{cart_id}/reminder",
    "PUT /api/notifications/guests/{token}/preferences",
}
# Fields that a client must never send, since the server knows their values.
NEVER_ASKED = {"role", "is_admin", "owner", "owner_id", "user_id", "customer_id", "status", "total", "payment_status"}
BARE = (Request, RawBody, SignedBody)
# A signed report of a carrier or a provider states the status.
SIGNED = {
    "POST /api/payments/webhooks/sandbox",
    "POST /api/payments/webhooks/stripe",
    "POST /api/shipments/webhooks/easypost",
    "POST /api/shipments/webhooks/sandbox",
}


def by_name(served: Served) -> str:
    return served.name


@pytest.mark.parametrize("served", ROUTES, ids=by_name)
def test_every_route_states_who_may_call_it(served: Served) -> None:
    assert served.route.roles, "a route without a role is open to nobody and to a mistake"
    assert served.route.roles <= set(Role)


def test_a_route_that_states_no_role_cannot_even_be_declared() -> None:
    with pytest.raises(TypeError, match="role"):
        App("test").get("/api/things")(lambda: None)  # type: ignore[call-arg]


def test_the_routes_for_strangers_are_the_ones_meant_to_be() -> None:
    open_to_all = {served.name for served in ROUTES if PUBLIC in served.route.roles}
    assert {name for name in open_to_all if "openapi" not in name and "docs" not in name} == FOR_STRANGERS


def test_no_route_is_for_a_peer_and_a_stranger_where_it_tells_of_a_person() -> None:
    """A peer may ask for any customer. Only the catalogue is for strangers and peers."""
    shared = {served.name for served in ROUTES if {PUBLIC, PEER} <= served.route.roles}
    assert shared == {"GET /api/products", "GET /api/products/{product_id}"}


def test_what_begins_with_ops_is_for_admins_alone() -> None:
    for served in ROUTES:
        if served.route.path.startswith("/api/ops"):
            assert served.route.roles == {ADMIN}, served.name


def test_a_customer_s_route_that_names_a_thing_knows_who_asks() -> None:
    """A function without the caller as a parameter cannot check ownership. Stock has no owner."""
    for served in ROUTES:
        if CUSTOMER in served.route.roles and served.parameters and "inventory" not in served.route.path:
            names = {kind.__name__ for kind in served.route.parameters.values()}
            assert names & {"Caller", "Request"}, served.name


def models(kind: Any) -> Iterator[type[BaseModel]]:
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        yield kind
        for field in kind.model_fields.values():
            yield from models(field.annotation)
    for part in get_args(kind):
        yield from models(part)


@pytest.mark.parametrize("served", ROUTES, ids=by_name)
def test_a_request_holds_no_unknown_field_and_nothing_that_the_server_knows_better(served: Served) -> None:
    for kind in served.route.parameters.values():
        for model in models(kind):
            if issubclass(model, Body | Query):
                assert model.model_config.get("extra") == "forbid", model
            if issubclass(model, Body) and served.name not in SIGNED:
                assert not NEVER_ASKED & set(model.model_fields), model


def test_what_reads_its_body_itself_is_known() -> None:
    """A route with the bare request or the bare body escapes the test above."""
    bare = {
        served.name
        for served in ROUTES
        if any(issubclass(get_origin(kind) or kind, BARE) for kind in served.route.parameters.values())
    }
    assert bare == SIGNED | {"POST /api/products/imports"}


# Path parameters of public routes that open nothing by themselves: a checkout's needs its guest's cart beside it, a
# document's and a return's the link of the order.
PUBLIC_IDS = {"product_id", "checkout_id", "document_id", "return_id"}


@pytest.mark.parametrize("served", [one for one in all_routes() if Role.PUBLIC in one.route.roles], ids=by_name)
def test_an_id_that_opens_what_it_names_is_in_no_log(served: Served) -> None:
    """On a public route the id is all that a caller needs, so it is a capability or the id of something public."""
    assert {served.route.capability, *PUBLIC_IDS} >= set(served.parameters)
    if served.route.capability:
        shown = served.route.path_for_logs(dict.fromkeys(served.parameters, "the-secret"))
        assert re.search(r"/~[0-9a-f]{12}(/|$)", shown)
        assert served.route.named({served.route.capability: "the-secret"})[served.route.capability] != "the-secret"


@pytest.mark.parametrize("served", ROUTES, ids=by_name)
def test_what_opens_a_guests_thing_is_in_no_log_of_any_route(served: Served) -> None:
    """Peers send it in the same paths as guests do."""
    found = re.search(r"/guests/{(cart_id|token)}", served.route.path)
    assert not found or served.route.capability == found[1]


@pytest.mark.parametrize("served", [one for one in ROUTES if one.route.capability], ids=by_name)
def test_what_opens_a_thing_is_in_no_log_of_a_call_to_its_route(served: Served) -> None:
    """The pages and other peers log a call that fails, by its path."""
    ids = dict.fromkeys(served.parameters, "an-id") | {str(served.route.capability): "eyJ-the_secret.x"}
    shown = hide_capability(served.path(ids))
    assert "the_secret" not in shown
    assert shown.count("~") == 1
